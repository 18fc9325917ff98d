import Foundation
import Testing
import WeirBase

@testable import Weir

@Suite("A cancelled consumer")
struct CancellationTests {
    private let folder = TemporaryFolder()
    /// `WEIR_CYCLES` says another number.
    private let cycles = Int(ProcessInfo.processInfo.environment["WEIR_CYCLES"] ?? "") ?? 10_000

    private func count(in folder: String) -> Int {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).count
        } catch {
            return 0
        }
    }

    @Test func `leaves no thread, map or descriptor behind, 10,000 times`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream(
            "s", creating: .init(durability: .flushed, batchBytesMax: 4 << 10))
        for _ in 0..<20 { try await stream.append(value: [UInt8](repeating: 1, count: 900)) }
        /// One that waits at the end, or stops in the middle.
        @Sendable func cycle(_ number: Int) async throws {
            let subscription = try stream.subscribe(
                from: number % 2 == 0 ? .next : .first,
                .init(mode: number % 3 == 0 ? .fixed(Credit(bytes: 5, records: 1)) : .adaptive))
            let task = Task { try await subscription.nextBatch() }
            if number % 5 != 0 { await Task.yield() }
            task.cancel()
            _ = try await task.value
        }
        for number in 0..<200 { try await cycle(number) }
        let maps = stream.engine.mapCount
        let before = (
            threads: count(in: "/proc/self/task"), files: count(in: "/proc/self/fd")
        )
        try await withThrowingTaskGroup { group in
            for worker in 0..<4 {
                group.addTask {
                    for number in 0..<cycles / 4 { try await cycle(worker + number * 4) }
                }
            }
            try await group.waitForAll()
        }
        // Readers that were at work let go of their places a moment after the end.
        while stream.feeds.all.count > 0 { await Task.yield() }
        #expect(store.flow.budget.report.usedBytes == 0)
        #expect(store.flow.budget.report.reservedBytes == 0)
        #expect(stream.engine.mapCount <= maps + 1)
        // Other tests run beside this one: what 10,000 leaks would be is far beyond their noise.
        #expect(count(in: "/proc/self/task") < before.threads + 200)
        #expect(count(in: "/proc/self/fd") < before.files + 400)
        try await store.close()
    }
}
