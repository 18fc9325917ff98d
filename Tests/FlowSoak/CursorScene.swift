import Foundation
import Weir

/// Consumers that commit after every record, durably, each its own cursor.
struct CursorScene {
    private let arguments: Arguments
    private let consumers: Int
    private let seconds: Int
    private let filler = Filler(valueBytes: 8, recordsPerBatch: 10_000)
    private static let batches = 100
    private static let commitsPerSecondMin = 20_000

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        consumers = try arguments.number("consumers", default: 64)
        seconds = try arguments.number("seconds", default: 5)
    }

    func play() async throws -> ReportLine {
        try await Scene.with(arguments, .init(durability: .flushed)) { scene in
            try await onThread { try filler.fill(scene.stream, batches: Self.batches) }
            // The first commit makes the stream that keeps them.
            try await scene.stream.savedCursor("warm").commit(upTo: 1)
            let start = nanoseconds()
            let end = start + Int64(seconds) * 1_000_000_000
            let samples = try await withThrowingTaskGroup(of: [Int64].self) { group in
                for number in 0..<consumers {
                    let cursor = try scene.stream.savedCursor("c\(number)")
                    group.addTask { try await Self.commit(cursor, until: end) }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            let took = Double(nanoseconds() - start) / 1e9
            return try await report(samples, took, scene)
        }
    }

    /// What each commit took, in nanoseconds.
    private static func commit(_ cursor: StreamCursor, until end: Int64) async throws -> [Int64] {
        var samples: [Int64] = []
        var offset = Offset.zero
        var now = nanoseconds()
        while now < end {
            offset = offset + 1
            try await cursor.commit(upTo: offset)
            let then = nanoseconds()
            samples.append(then - now)
            now = then
        }
        guard try cursor.position?.offset == offset else {
            throw Usage("A cursor does not stand where it was committed last.")
        }
        return samples
    }

    private func bytes(_ scene: Scene) async throws -> Int {
        let stream = try await scene.store.stream("weir.cursors")
        return try await onThread { try stream.info().logicalBytes }
    }

    private func report(
        _ samples: [Int64], _ took: Double, _ scene: Scene
    ) async throws -> ReportLine {
        let rate = Double(samples.count) / took
        let latency = Percentiles(samples)
        let records = try await scene.store.stream("weir.cursors").endOffset
        // As a writer's opening does, a reader's first look reads all of them.
        let begin = nanoseconds()
        let reader = try await Store.open(at: scene.store.path, .read)
        let seen = try await reader.stream("soak").savedCursor("c0")
        let isSeen = try await onThread { try seen.position != nil }
        let read = Double(nanoseconds() - begin) / 1e6
        try await reader.close()
        // One record a commit: of one cursor there is never more than one under way.
        let isWhole = records == Offset(UInt64(samples.count)) + 1
        let isFast = arguments.isUntimed || rate >= Double(Self.commitsPerSecondMin)
        var line = ReportLine("cursors", isOkay: isWhole && isSeen && isFast)
        line.add("consumers", consumers)
        line.add("commits", samples.count)
        line.add("commitsPerSecond", Int(rate))
        line.add("p50Microseconds", latency.microseconds(50))
        line.add("p99Microseconds", latency.microseconds(99))
        line.add("readMilliseconds", read)
        line.add("storedBytesPerCommit", try await bytes(scene) / max(1, samples.count))
        return line
    }
}
