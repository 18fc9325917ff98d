import Testing
import Weir
import WeirBase

@Suite("The progress of a compaction")
struct CompactionProgressTests {
    private let folder = TemporaryFolder()

    /// About 1 MB under one key, so that there are steps to tell of.
    private func open() async throws -> (Store, LogStream) {
        let store = try Store.openBlocking(at: folder.path)
        store.pauseUpkeep()
        let stream = try store.streamBlocking(
            "s", creating: .init(durability: .flushed, compaction: CompactionPolicy()))
        for number in 0..<300 {
            let value = [UInt8](repeating: UInt8(number % 256), count: 3_500)
            try await stream.append(key: number % 2 == 0 ? bytes("k") : nil, value: value)
        }
        return (store, stream)
    }

    private typealias Call = (phase: CompactionPhase, done: UInt64, all: UInt64)

    @Test func `looks, then rewrites, and is never more than all`() async throws {
        let (store, stream) = try await open()
        let calls = Lock<[Call]>([])
        try stream.compactBlocking(.init(isNow: true)) { phase, done, all in
            calls.withLock { $0.append((phase, done, all)) }
            return true
        }
        let told = calls.withLock { $0 }
        #expect(told.first?.phase == .looking && told.last?.phase == .rewriting)
        let begin = try #require(told.firstIndex { $0.phase == .rewriting })
        #expect(told[begin...].allSatisfy { $0.phase == .rewriting })
        #expect(told.allSatisfy { $0.done <= $0.all && $0.all > 0 })
        for phase in [told[..<begin], told[begin...]] {
            #expect(phase.map(\.done) == phase.map(\.done).sorted())
        }
        try store.closeBlocking()
    }

    @Test func `ends the compaction with a no, and nothing is changed`() async throws {
        let (store, stream) = try await open()
        let before = try stream.all()
        let error = #expect(throws: WeirError.self) {
            try stream.compactBlocking(.init(isNow: true)) { _, _, _ in false }
        }
        #expect(error?.code == .closed)
        #expect(try stream.all() == before)
        // The next one does it.
        #expect(try stream.compactBlocking(.init(isNow: true)).recordsRemoved == 149)
        try store.closeBlocking()
    }

    @Test func `is told to who asks the writer, which goes on without them`() async throws {
        let (store, stream) = try await open()
        let calls = Lock<[Call]>([])
        let report = try Store.compact(
            storeAt: folder.path, stream: "s", CompactionOptions(isNow: true)
        ) { phase, done, all in
            calls.withLock { $0.append((phase, done, all)) }
            return true
        }
        #expect(report.recordsRemoved == 149)
        #expect(calls.withLock { $0 }.allSatisfy { $0.done <= $0.all })
        try await stream.append(key: bytes("k"), value: bytes("the last"))
        let error = #expect(throws: WeirError.self) {
            try Store.compact(
                storeAt: folder.path, stream: "s", CompactionOptions(isNow: true)
            ) { _, _, _ in false }
        }
        #expect(error?.code == .closed)
        try stream.compactBlocking(.init(isNow: true))
        #expect(try stream.all().filter { $0.key != nil }.map { text($0.value) } == ["the last"])
        try store.closeBlocking()
    }
}
