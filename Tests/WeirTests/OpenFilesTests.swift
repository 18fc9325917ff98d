import Foundation
import Testing
import Weir
import WeirBase

@Suite("A store with many streams")
struct OpenFilesTests {
    private let folder = TemporaryFolder()
    private static let streamCount = 16
    private static let openMax = 3
    /// One is on its way to rest on another thread, and those are passed over whose marker is just
    /// being written. Without a bound all would be open.
    private static let openLeeway = 5

    private func open() throws -> Store {
        // The thread that keeps an index would open segments for reading.
        let store = try Store.openBlocking(at: folder.path, index: .off)
        store.openFilesMax = Self.openMax
        return store
    }

    private func stream(
        _ number: Int, of store: Store, _ durability: Durability = .durable
    ) throws -> LogStream {
        try store.streamBlocking("s\(number)", creating: .init(durability: durability))
    }

    /// Segments of the store that this process has open.
    private func openSegments() throws -> Int {
        let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        return descriptors.count { descriptor in
            do {
                let path = try FileManager.default.destinationOfSymbolicLink(
                    atPath: "/proc/self/fd/\(descriptor)")
                return path.hasPrefix(folder.path) && path.hasSuffix(".segment")
            } catch {
                // Closed by another test meanwhile.
                return false
            }
        }
    }

    private func expectAll(_ valueCount: Int) throws {
        let store = try open()
        for number in 0..<Self.streamCount {
            let records = try stream(number, of: store).all()
            #expect(records.map { $0.value ?? [] } == (0..<valueCount).map { bytes("\($0)") })
        }
        #expect(store.reports.isEmpty)
        try store.closeBlocking()
    }

    #if os(Linux)
        @Test(arguments: [Durability.durable, .flushed, .interval(milliseconds: 60_000)])
        func `has few of their files open, and loses nothing`(_ durability: Durability) throws {
            let store = try open()
            for round in 0..<2 {
                for number in 0..<Self.streamCount {
                    let writer = try stream(number, of: store, durability).syncWriter()
                    try writer.append(value: bytes("\(round)"))
                    #expect(try openSegments() <= Self.openMax + Self.openLeeway)
                }
            }
            try store.closeBlocking()
            #expect(try openSegments() == 0)
            try expectAll(2)
        }

        @Test func `does not count those that were deleted`() throws {
            let store = try open()
            for number in 0..<Self.streamCount {
                try stream(number, of: store).syncWriter().append(value: bytes("gone"))
                try store.deleteStreamBlocking("s\(number)")
            }
            for number in 0..<Self.streamCount {
                try stream(number, of: store).syncWriter().append(value: bytes("0"))
                #expect(try openSegments() <= Self.openMax + Self.openLeeway)
            }
            try store.closeBlocking()
            try expectAll(1)
        }
    #endif

    @Test func `takes appends to all of them at once`() async throws {
        let store = try open()
        let rounds = 10
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<Self.streamCount {
                let stream = try stream(number, of: store, number % 2 == 0 ? .durable : .flushed)
                group.addTask {
                    for round in 0..<rounds { try await stream.append(value: bytes("\(round)")) }
                }
            }
            try await group.waitForAll()
        }
        try await store.close()
        try expectAll(rounds)
    }

    @Test func `has a stream's file open again for whatever needs it`() async throws {
        let store = try open()
        for number in 0..<Self.streamCount {
            try await stream(number, of: store).append(value: bytes("0"))
        }
        let first = try stream(0, of: store)
        _ = try await first.trim(before: .offset(first.endOffset))
        #expect(try first.all().isEmpty)
        try await first.append(value: bytes("1"))
        #expect(try first.all().map(\.offset) == [Offset(1)])
        try await store.close()
    }
}
