import Foundation
import Weir

/// Durable appends on a schedule, beside a compaction and without one, by turns: the time of each
/// counts from when it was due, so that a stall is told by all who waited for it.
struct ForegroundScene {
    private let arguments: Arguments
    private static let rounds = 3
    private static let appendsPerSecond = 2000
    /// Of a quiet turn.
    private static let quietSeconds = 15.0

    init(_ arguments: Arguments) { self.arguments = arguments }

    func play() throws {
        let store = try Store.openBlocking(at: arguments.folder, index: .off)
        // One for each round, and one for the first, which is discarded.
        for round in 0...Self.rounds { try fill(store, Self.name(round)) }
        sync()
        let stream = try store.streamBlocking("foreground", creating: .init(keyIndex: false))
        var ratios: [Double] = []
        for round in 0...Self.rounds {
            let end = now() + Self.quietSeconds
            let quiet = try load(stream) { now() >= end }
            let compaction = Compaction(storeAt: arguments.folder, stream: Self.name(round))
            compaction.start()
            let busy = try load(stream) { compaction.isOver }
            let report = try compaction.outcome()
            guard round > 0 else { continue }
            tell("quiet", quiet)
            tell("while compacting", busy)
            Figure(
                scene: "foreground", name: "compaction",
                value: Double(report.bytesBefore) / 1e6 / report.seconds, unit: "MB/s"
            ).print()
            ratios.append(busy.quantile(990) / quiet.quantile(990))
        }
        Figure(
            scene: "foreground", name: "p99 while compacting against quiet, median of rounds",
            value: ratios.sorted()[ratios.count / 2], unit: "times", target: "<= 1.5"
        ).print()
        try store.closeBlocking()
    }

    private static func name(_ round: Int) -> String { "compacted-\(round)" }

    private func fill(_ store: Store, _ name: String) throws {
        let stream = try store.streamBlocking(
            name, creating: CompactScene.configuration(lagSeconds: 86_400))
        let keyCount = UInt64(arguments.records / 10)
        try CompactRecords(pattern: .random(keyCount: keyCount), count: arguments.records)
            .append(to: stream)
    }

    private func tell(_ what: String, _ waits: Waits) {
        for (quantile, perMille) in [("median", 500), ("p99", 990), ("p99.9", 999)] {
            Figure(
                scene: "foreground", name: "\(what), \(quantile)", value: waits.quantile(perMille),
                unit: "us"
            ).print()
        }
    }

    /// Appends on the schedule until `isOver`.
    private func load(_ stream: LogStream, until isOver: () -> Bool) throws -> Waits {
        let value = [UInt8](repeating: 7, count: 100)
        let (pending, queue) = AsyncStream.makeStream(of: (due: Double, append: PendingAppend).self)
        let result = Outcome<Waits>()
        Task.detached {
            await result.set {
                var waits = Waits()
                for await (due, append) in pending {
                    _ = try await append.receipt()
                    waits.add(now() - due)
                }
                return waits
            }
        }
        var due = now()
        while !isOver() {
            due += 1 / Double(Self.appendsPerSecond)
            let left = due - now()
            if left > 0 { usleep(UInt32(left * 1e6)) }
            queue.yield((due, try stream.enqueue(value: value)))
        }
        queue.finish()
        return try result.wait()
    }
}

/// As another process asks a writer for it.
private final class Compaction: Sendable {
    private let path: String
    private let stream: String
    private let result = Outcome<CompactionReport>()

    init(storeAt path: String, stream: String) {
        self.path = path
        self.stream = stream
    }

    var isOver: Bool { result.isThere }

    func start() {
        Thread.detachNewThread { [self] in
            result.setBlocking {
                try Store.compact(storeAt: path, stream: stream, CompactionOptions(isNow: true))
            }
        }
    }

    func outcome() throws -> CompactionReport { try result.wait() }
}

/// What another thread found out.
private final class Outcome<Value: Sendable>: @unchecked Sendable {
    // @unchecked: the condition's lock guards the result.
    private let condition = NSCondition()
    private var result: Result<Value, any Error>?

    var isThere: Bool { condition.withLock { result != nil } }

    func set(_ body: () async throws -> Value) async {
        do { put(.success(try await body())) } catch { put(.failure(error)) }
    }

    func setBlocking(_ body: () throws -> Value) { put(Result { try body() }) }

    private func put(_ found: Result<Value, any Error>) {
        condition.withLock {
            result = found
            condition.broadcast()
        }
    }

    func wait() throws -> Value {
        condition.lock()
        defer { condition.unlock() }
        while true {
            if let result { return try result.get() }
            condition.wait()
        }
    }
}

/// How long appends took, in seconds; told in microseconds.
private struct Waits: Sendable {
    private var seconds: [Double] = []

    mutating func add(_ wait: Double) { seconds.append(wait) }

    func quantile(_ perMille: Int) -> Double {
        let sorted = seconds.sorted()
        guard !sorted.isEmpty else { return 0 }
        return sorted[min(sorted.count - 1, sorted.count * perMille / 1000)] * 1e6
    }
}

private func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
