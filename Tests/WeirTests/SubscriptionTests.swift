import Foundation
import Testing
import Weir

@Suite("A subscription")
struct SubscriptionTests {
    private let folder = TemporaryFolder()

    /// The one segment file of the store.
    private func segmentPath() throws -> String {
        let streams = folder.path + "/streams"
        let manager = FileManager.default
        let stream = try #require(try manager.contentsOfDirectory(atPath: streams).first)
        let names = try manager.contentsOfDirectory(atPath: streams + "/" + stream)
        let name = try #require(names.first { $0.hasSuffix(".segment") })
        return streams + "/" + stream + "/" + name
    }

    @Test func `ends in an error when its file is cut under it, and the process lives`()
        async throws
    {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init())
        for _ in 0..<3 {
            try await stream.append(value: [UInt8](repeating: 7, count: 200_000))
        }
        var iterator = try stream.subscribe(from: .first).makeAsyncIterator()
        let batch = try #require(try await iterator.next())
        let file = try #require(FileHandle(forUpdatingAtPath: try segmentPath()))
        try file.truncate(atOffset: 8192)
        try file.close()
        // What was there is gone; what is read in its place is thrown away by the next step.
        var sum = 0
        for record in batch { sum += (record.value ?? []).reduce(0) { $0 + Int($1) } }
        #expect(sum < 7 * 200_000)
        let error = await #expect(throws: WeirError.self) { _ = try await iterator.next() }
        #expect(error?.code == .damaged)
    }

    @Test func `says by release, also after its end, that its file was cut under a batch`()
        async throws
    {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init())
        for _ in 0..<2 {
            try await stream.append(value: [UInt8](repeating: 7, count: 200_000))
        }
        let subscription = try stream.subscribe(from: .first)
        let kept = try #require(try await subscription.nextBatch())
        try kept.keep()
        let held = try #require(try await subscription.nextBatch())
        let file = try #require(FileHandle(forUpdatingAtPath: try segmentPath()))
        try file.truncate(atOffset: 8192)
        try file.close()
        #expect(held.map(\.value) != [[UInt8](repeating: 7, count: 200_000)])
        subscription.cancel()
        for batch in [held, kept] {
            let error = #expect(throws: WeirError.self) { try batch.release() }
            #expect(error?.code == .damaged)
        }
    }

    @Test func `copied, keeps what it has when its file is cut under it`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init())
        try await stream.append(value: [UInt8](repeating: 7, count: 200_000))
        var iterator = try stream.subscribe(from: .first, .init(reading: .copied))
            .makeAsyncIterator()
        let batch = try #require(try await iterator.next())
        let file = try #require(FileHandle(forUpdatingAtPath: try segmentPath()))
        try file.truncate(atOffset: 8192)
        try file.close()
        #expect(batch.map(\.value) == [[UInt8](repeating: 7, count: 200_000)])
    }

    @Test func `shows an interval's records once they are synced, with no further append`()
        async throws
    {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream(
            "s",
            creating: .init(durability: .interval(milliseconds: 20), visibility: .durable))
        let receipt = try await stream.append(value: bytes("one"))
        #expect(receipt.level == .flushed)
        var iterator = try stream.subscribe(from: .first).makeAsyncIterator()
        let batch = try await iterator.next()
        #expect(batch?.map { text($0.value) } == ["one"])
        try await store.close()
    }

    @Test func `tells a gap as an error once, skips it by choice, and has it as an event`()
        async throws
    {
        var store = try await Store.open(at: folder.path)
        var stream = try await store.stream("s", creating: .init())
        for byte in 1...3 {
            try await stream.append(value: [UInt8](repeating: UInt8(byte), count: 5000))
        }
        let path = try segmentPath()
        try await store.close()
        var bytes = try Data(contentsOf: URL(filePath: path))
        let second = try #require(bytes.firstRange(of: Data(repeating: 2, count: 5000)))
        bytes[second.lowerBound + 9] = 0
        try bytes.write(to: URL(filePath: path))
        store = try await Store.open(at: folder.path)
        stream = try await store.stream("s")
        let strict = try stream.subscribe(from: .first)
        #expect(try await strict.nextBatch()?.firstOffset == 0)
        let error = await #expect(throws: WeirError.self) { _ = try await strict.nextBatch() }
        #expect(error?.code == .gap)
        #expect(try await strict.nextBatch()?.firstOffset == 2)
        let lenient = try stream.subscribe(from: .first, .init(onGap: .skip))
        for offset in [0, 2] {
            #expect(try await lenient.nextBatch()?.firstOffset == Offset(UInt64(offset)))
        }
        #expect(lenient.gapCount == 1)
        var events = try stream.subscribe(from: .offset(1)).events().makeAsyncIterator()
        guard case .gap(let gap)? = try await events.next() else {
            Issue.record("no gap")
            return
        }
        #expect(gap.expected == 1 && gap.next == 2 && gap.reason == .damage)
        #expect(store.signalCounts.values.contains { $0[.gapSkipped].count == 1 })
        try await store.close()
    }
}
