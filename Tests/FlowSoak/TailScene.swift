import Foundation
import Weir

/// The latency from a record's intended append to a consumer that has it in hand.
///
/// One process, records of 100 bytes, everything flushed. First the path's maximum rate: a thread
/// appends batches of 100 records as fast as the stream takes them, and a consumer gets them. Then
/// a thread keeps to a schedule of half that rate, each record at its own moment: it wakes every 50
/// µs and appends what is due as one batch. Latency counts from the moment when a record was due,
/// whatever kept the thread or the stream from it.
struct TailScene {
    private let arguments: Arguments
    private let seconds: Int
    /// Records a second; 0 for half of the maximum.
    private let rate: Int
    private static let value = [UInt8](repeating: 7, count: 100)
    private static let wakeNanoseconds: Int64 = 50_000
    private static let p99MicrosecondsMax = 200.0
    /// In a batch, as fast as it goes; and what a batch of the schedule may have at most.
    private static let batchRecords = 100
    private static let batchRecordsMax = 500

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        seconds = try arguments.number("seconds", default: 10)
        rate = try arguments.number("rate", default: 0, minimum: 0)
    }

    func play() async throws -> ReportLine {
        try await Scene.with(arguments, .init(durability: .flushed)) { scene in
            // The first one warms up.
            _ = try await maximum(scene.stream, seconds: 1)
            let maximum = try await maximum(scene.stream, seconds: 2)
            let rate = rate > 0 ? rate : max(1, Int(maximum / 2))
            try await onThread { try Self.touchPages(rate * seconds * 120, in: scene.store.path) }
            let outcome = try await keepTo(rate, scene.stream)
            return report(outcome, rate, maximum)
        }
    }

    // MARK: as fast as it goes

    /// Records a second that a consumer gets while a thread enqueues without a pause.
    private func maximum(_ stream: LogStream, seconds: Int) async throws -> Double {
        let subscription = try stream.subscribe(from: .offset(stream.endOffset))
        let start = nanoseconds()
        let until = start + Int64(seconds) * 1_000_000_000
        async let consumed = consume(subscription)
        let appended = try await onThread {
            let writer = try stream.syncWriter()
            var batch = Batch()
            var count = 0
            while nanoseconds() < until {
                try Self.append(Self.batchRecords, &batch, writer)
                count += Self.batchRecords
            }
            try writer.append(value: [])
            return count
        }
        let tally = try await consumed
        let end = nanoseconds()
        guard appended == tally.records, tally.isInOrder else {
            throw Usage("Not every record came, or not in its place.")
        }
        return Double(tally.records) / (Double(end - start) / 1e9)
    }

    private func consume(_ subscription: Subscription) async throws -> Tally {
        var tally = Tally()
        for try await batch in subscription {
            tally.add(batch)
            if tally.hasLast { break }
        }
        return tally
    }

    /// Appends so many records as one batch.
    private static func append(
        _ count: Int, _ batch: inout Batch, _ writer: SyncWriter
    ) throws {
        for _ in 0..<count { _ = batch.append(value: value) }
        try writer.append(&batch)
    }

    /// Has the host give the pages that the page cache is about to take: on a virtual machine the
    /// first touch of one is many times slower than whatever is measured here.
    private static func touchPages(_ byteCount: Int, in folder: String) throws {
        let path = folder + "/pages"
        let piece = Data(repeating: 1, count: 8 << 20)
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let file = FileHandle(forWritingAtPath: path)
        else { throw Usage("The file \(path) cannot be made; choose another --dir.") }
        for _ in 0..<max(1, byteCount / piece.count) { try file.write(contentsOf: piece) }
        try file.close()
        try FileManager.default.removeItem(atPath: path)
        // What the runs before left is written now, and not beside the one that is measured.
        sync()
    }

    // MARK: to a schedule

    private struct Outcome: Sendable {
        var latencies: [Int64] = []
        var tally = Tally()
        var isExact = false
        /// How late the thread itself was, at its wakings.
        var lateness: [Int64] = []
    }

    private func keepTo(_ rate: Int, _ stream: LogStream) async throws -> Outcome {
        let base = stream.endOffset
        let count = rate * seconds
        let subscription = try stream.subscribe(from: .offset(base))
        // Not before the consumer has touched the room for its latencies, hundreds of megabytes.
        let touching = Int64(count) * 20
        let pacer = Pacer(
            start: nanoseconds() + 100_000_000 + touching, stepNanoseconds: 1e9 / Double(rate))
        async let delivered = follow(subscription, base, count, pacer)
        var outcome = try await onThread { try produce(count, pacer, stream) }
        (outcome.latencies, outcome.tally) = try await delivered
        return outcome
    }

    private func follow(
        _ subscription: Subscription, _ base: Offset, _ count: Int, _ pacer: Pacer
    ) async throws -> ([Int64], Tally) {
        // Touched beforehand: on a virtual machine the first touch of a page is slow.
        var latencies = [Int64](repeating: 1, count: count)
        latencies.removeAll(keepingCapacity: true)
        var tally = Tally()
        for try await batch in subscription {
            let now = nanoseconds()
            let first = batch.firstOffset - base
            tally.add(batch)
            // The last one is no record of the schedule.
            for index in first..<min(count, batch.endOffset - base) {
                latencies.append(now - pacer.due(index))
            }
            if tally.hasLast { break }
        }
        return (latencies, tally)
    }

    /// Blocks the thread.
    private func produce(_ count: Int, _ pacer: Pacer, _ stream: LogStream) throws -> Outcome {
        var outcome = Outcome()
        outcome.isExact = Pacer.beExact()
        outcome.lateness.reserveCapacity(seconds * 20_000)
        let writer = try stream.syncWriter()
        var batch = Batch()
        var sent = 0
        var wake = pacer.start
        while sent < count {
            Pacer.wait(until: wake)
            let now = nanoseconds()
            outcome.lateness.append(now - wake)
            let due = min(count, pacer.stepsDue(by: now))
            while sent < due {
                // What one batch may have; the rest follows at once.
                let size = min(due - sent, Self.batchRecordsMax)
                try Self.append(size, &batch, writer)
                sent += size
            }
            wake = max(wake + Self.wakeNanoseconds, nanoseconds())
        }
        try writer.append(value: [])
        return outcome
    }

    // MARK: figures

    private func report(_ outcome: Outcome, _ rate: Int, _ maximum: Double) -> ReportLine {
        let latencies = Percentiles(outcome.latencies)
        let lateness = Percentiles(outcome.lateness)
        let delivered =
            outcome.tally.isAll(rate * seconds, valueBytes: Self.value.count)
            && latencies.count == rate * seconds
        let p99 = latencies.microseconds(99)
        let isFast = arguments.isUntimed || p99 <= Self.p99MicrosecondsMax
        var line = ReportLine("tail", isOkay: delivered && isFast)
        line.add("maximumRecordsPerSecond", Int(maximum))
        line.add("recordsPerSecond", rate)
        line.add("records", latencies.count)
        line.add("delivered", delivered)
        for (name, percent) in [
            ("p50", 50), ("p90", 90), ("p99", 99), ("p99_9", 99.9), ("p99_99", 99.99), ("max", 100),
        ] {
            line.add(name + "Microseconds", latencies.microseconds(percent))
        }
        line.add("exactTimer", outcome.isExact)
        line.add("producerLateP99Microseconds", lateness.microseconds(99))
        return line
    }
}
