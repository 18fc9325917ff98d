import Foundation
import Testing
import WeirBase
import WeirFormat

@testable import Weir

@Suite("A restored store")
struct RestoreTests {
    private let folder = TemporaryFolder()
    private var source: String { folder.path + "/source" }
    private var backup: String { folder.path + "/backup" }
    private var restored: String { folder.path + "/restored" }

    init() throws {
        try FileManager.default.createDirectory(
            atPath: folder.path, withIntermediateDirectories: true)
    }

    /// Two streams, the second packed, in batches of five.
    private func fill(_ store: Store, count: Int = 20) async throws {
        for name in ["plain", "packed"] {
            let stream = try await store.stream(
                name, creating: .init(compression: name == "packed" ? .lz4 : .off))
            for start in stride(from: 0, to: count, by: 5) {
                var batch = Batch()
                for number in start..<start + 5 {
                    let added = batch.append(value: bytes("\(name) record \(number)"))
                    #expect(added)
                }
                try await stream.append(&batch)
            }
        }
    }

    private func values(_ path: String, _ name: String) async throws -> [String] {
        let store = try await Store.open(at: path, .read)
        let values = try await store.stream(name).all().map { text($0.value) }
        try await store.close()
        return values
    }

    @Test func `has the streams, records and cursors of the source, and an id of its own`()
        async throws
    {
        let store = try await Store.open(at: source)
        try await fill(store)
        try await store.stream("plain").savedCursor("billing").commit(upTo: 7)
        _ = try await store.backup(to: backup)
        let report = try await Store.restore(from: backup, to: restored)
        #expect(report.damage.isEmpty && report.recordCount == 40)
        for name in ["plain", "packed"] {
            #expect(try await values(restored, name) == (0..<20).map { "\(name) record \($0)" })
        }
        let copy = try await Store.open(at: restored)
        #expect(copy.reports.isEmpty)
        #expect(copy.engine.header.storeID != store.engine.header.storeID)
        #expect(copy.engine.epoch > store.engine.epoch)
        try await copy.close()
        try await store.close()
    }

    @Test func `ends before the offset that was asked for, whichever batch it lies in`()
        async throws
    {
        let store = try await Store.open(at: source)
        try await fill(store)
        _ = try await store.backup(to: backup)
        try await store.close()
        for end: UInt64 in [0, 1, 5, 7, 19, 20] {
            for name in ["plain", "packed"] {
                let path = restored + "-\(name)-\(end)"
                _ = try await Store.restore(
                    from: backup, to: path,
                    options: .init(streams: [name], end: .offset(Offset(end))))
                #expect(try await values(path, name) == (0..<end).map { "\(name) record \($0)" })
            }
        }
    }

    @Test func `counts no record that a trim has let go of`() async throws {
        let store = try await Store.open(at: source)
        try await fill(store)
        for name in ["plain", "packed"] {
            _ = try await store.stream(name).trim(before: .offset(7))
        }
        _ = try await store.backup(to: backup)
        try await store.close()
        let whole = try await Store.restore(from: backup, to: restored)
        #expect(whole.recordCount == 26)
        for end: UInt64 in [7, 9, 18] {
            let part = try await Store.restore(
                from: backup, to: restored + "-\(end)",
                options: .init(streams: ["packed"], end: .offset(Offset(end))))
            #expect(part.recordCount == Int(end) - 7)
            #expect(try await values(restored + "-\(end)", "packed").count == Int(end) - 7)
        }
    }

    @Test func `goes on with the next append where it ends`() async throws {
        let store = try await Store.open(at: source)
        try await fill(store)
        _ = try await store.backup(to: backup)
        try await store.close()
        _ = try await Store.restore(
            from: backup, to: restored, options: .init(streams: ["plain"], end: .offset(7)))
        let copy = try await Store.open(at: restored)
        let receipt = try await copy.stream("plain").append(value: bytes("new"))
        #expect(receipt.offset == 7)
        try await copy.close()
        #expect(try await values(restored, "plain").suffix(2) == ["plain record 6", "new"])
    }

    @Test func `ends at a time with what was appended before it`() async throws {
        let store = try await Store.open(at: source)
        try await fill(store, count: 10)
        // A batch has one append time, and no two of them have the same.
        let time = Timestamp.now
        try await fill(store, count: 5)
        _ = try await store.backup(to: backup)
        try await store.close()
        _ = try await Store.restore(
            from: backup, to: restored, options: .init(end: .appended(time)))
        for name in ["plain", "packed"] {
            #expect(try await values(restored, name).count == 10)
        }
    }

    @Test func `remembers producers up to its end, and no further`() async throws {
        let store = try await Store.open(at: source)
        let stream = try await store.stream("s", creating: .init())
        let producer = try await stream.producer("p")
        for id: UInt64 in 1...3 { _ = try await producer.append(value: bytes("\(id)"), id: id) }
        _ = try await store.backup(to: backup)
        try await store.close()
        _ = try await Store.restore(
            from: backup, to: restored, options: .init(streams: ["s"], end: .offset(2)))
        let copy = try await Store.open(at: restored)
        let again = try await copy.stream("s").producer("p")
        #expect(try await again.append(value: bytes("2"), id: 2).isDuplicate)
        #expect(try await !again.append(value: bytes("3"), id: 3).isDuplicate)
        try await copy.close()
    }

    private func code(
        _ options: RestoreOptions = .init(), to path: String? = nil
    ) async -> WeirError.Code? {
        do {
            _ = try await Store.restore(from: backup, to: path ?? restored, options: options)
            return nil
        } catch {
            return (error as? WeirError)?.code
        }
    }

    @Test func `is refused where something stands, and for an end that is not there`()
        async throws
    {
        let store = try await Store.open(at: source)
        try await fill(store)
        #expect(await code() == .notFound)
        _ = try await store.backup(to: backup)
        try await store.close()
        #expect(await code(to: source) == .alreadyExists)
        #expect(await code(.init(end: .offset(3))) == .invalidArgument)
        #expect(await code(.init(streams: ["plain"], end: .offset(21))) == .invalidArgument)
        #expect(await code(.init(streams: ["other"])) == .notFound)
        #expect(await code(.init(snapshot: "other")) == .notFound)
        #expect(await code(.init(end: .appended(.distantPast))) == .invalidArgument)
        #expect(await code(.init(end: .appended(.distantFuture))) == .invalidArgument)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
                == ["backup", "source"])
        #expect(await code() == nil)
    }

    @Test func `has what an altered backup still has, and tells of the rest`() async throws {
        let store = try await Store.open(at: source)
        try await fill(store)
        _ = try await store.backup(to: backup)
        try await store.close()
        let streams = backup + "/streams/"
        var names = try FileManager.default.subpathsOfDirectory(atPath: streams)
        names = names.filter { $0.hasSuffix(".segment") }.sorted()
        let file = try #require(FileHandle(forUpdatingAtPath: streams + names[0]))
        try file.seek(toOffset: 4096 + 160)
        try file.write(contentsOf: [1, 2, 3])
        try file.close()
        try FileManager.default.removeItem(atPath: streams + names[1])
        let report = try await Store.restore(from: backup, to: restored)
        #expect(report.damage.contains { $0.kind == .missingSegment })
        #expect(report.damage.contains { $0.path.hasSuffix(names[0]) })
        let counts = [
            try await values(restored, "plain").count, try await values(restored, "packed").count,
        ]
        #expect(counts.sorted() == [0, 15])
    }
}
