import Foundation
import Synchronization
import Weir

/// The latency of consumers at the log's end while another one catches up from far behind.
///
/// A thread appends a batch every millisecond, flushed; each consumer's latency counts from the
/// moment when the batch was due. Stretches of catching up and quiet ones of the same length take
/// turns, and are cut into windows. What is compared is the median over windows of each window's
/// percentile, as a moment in which the host is elsewhere then costs one window; the percentile
/// over all samples is told beside it.
struct CatchUpScene {
    private let arguments: Arguments
    private let tails: Int
    private let rounds: Int
    private let batches: Int
    private let filler = Filler(valueBytes: 100, recordsPerBatch: 1000)
    private static let recordsPerTick = 20
    private static let tickNanoseconds = 1_000_000.0
    private static let windowNanoseconds: Int64 = 250_000_000
    private static let ratioMax = 1.2

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        tails = try arguments.number("consumers", default: 4)
        rounds = try arguments.number("rounds", default: 5)
        batches = filler.batches(for: try arguments.bytes(default: 1 << 30))
    }

    func play() async throws -> ReportLine {
        try await Scene.with(arguments, .init(durability: .flushed)) { scene in
            try await onThread { try filler.fill(scene.stream, batches: batches) }
            let base = scene.stream.endOffset
            let isOver = Flag()
            // Whatever happens, the producer's thread comes to its end.
            defer { isOver.set() }
            let pacer = Pacer(
                start: nanoseconds() + 100_000_000, stepNanoseconds: Self.tickNanoseconds)
            return try await withThrowingTaskGroup { group in
                for _ in 0..<tails {
                    let subscription = try scene.stream.subscribe(from: .offset(base))
                    group.addTask { try await follow(subscription, base, pacer) }
                }
                async let ticks = onThread { try produce(scene.stream, pacer, isOver) }
                let stretches = try await play(scene)
                isOver.set()
                let records = try await ticks * Self.recordsPerTick
                var outcomes: [Tailed] = []
                for try await tailed in group { outcomes.append(tailed) }
                let delivered =
                    stretches.delivered
                    && outcomes.allSatisfy {
                        $0.tally.isAll(records, valueBytes: filler.valueBytes)
                    }
                return report(stretches, outcomes, delivered)
            }
        }
    }

    // MARK: the producer and the consumers at the end

    /// Appends a batch each tick until told to stop. Returns how many. Blocks the thread.
    private func produce(_ stream: LogStream, _ pacer: Pacer, _ isOver: Flag) throws -> Int {
        _ = Pacer.beExact()
        let writer = try stream.syncWriter()
        let value = [UInt8](repeating: 7, count: filler.valueBytes)
        var batch = Batch()
        var tick = 0
        while !isOver.isSet {
            Pacer.wait(until: pacer.due(tick))
            for _ in 0..<Self.recordsPerTick { _ = batch.append(value: value) }
            try writer.append(&batch)
            tick += 1
        }
        try writer.append(value: [])
        return tick
    }

    private struct Tailed: Sendable {
        var tally = Tally()
        var samples = Samples(reserving: 1 << 20)
    }

    private func follow(
        _ subscription: Subscription, _ base: Offset, _ pacer: Pacer
    ) async throws -> Tailed {
        var tailed = Tailed()
        for try await batch in subscription {
            let now = nanoseconds()
            tailed.tally.add(batch)
            if tailed.tally.hasLast { break }
            // A tick is a batch, and the last one is no tick.
            let tick = (batch.firstOffset - base) / Self.recordsPerTick
            for _ in 0..<Self.recordsPerTick {
                tailed.samples.add(now - pacer.due(tick), at: now)
            }
        }
        return tailed
    }

    // MARK: quiet, and not

    private struct Stretches {
        var quiet: [Range<Int64>] = []
        var busy: [Range<Int64>] = []
        var delivered = true
    }

    private func play(_ scene: Scene) async throws -> Stretches {
        var stretches = Stretches()
        let records = batches * filler.recordsPerBatch
        // The first round warms up, and tells how long a quiet stretch should be.
        for round in 0...rounds {
            let start = nanoseconds()
            let tally = try await scene.replay(records: records)
            let end = nanoseconds()
            // Behind its batches come the producer's, of another size.
            if !tally.isInOrder || tally.records != records { stretches.delivered = false }
            try await onThread { Pacer.wait(until: end + (end - start)) }
            guard round > 0 else { continue }
            stretches.busy.append(start..<end)
            stretches.quiet.append(end..<nanoseconds())
        }
        return stretches
    }

    // MARK: figures

    /// Over all samples of the stretches.
    private func overall(
        _ percent: Double, _ stretches: [Range<Int64>], _ samples: [Samples]
    ) -> Double {
        let all = stretches.flatMap { stretch in samples.flatMap { $0.during(stretch) } }
        return Percentiles(all).microseconds(percent)
    }

    /// The median over windows of each window's percentile.
    private func windowed(
        _ percent: Double, _ stretches: [Range<Int64>], _ samples: [Samples]
    ) -> Double {
        let windows = stretches.flatMap { stretch -> [Range<Int64>] in
            let length = stretch.upperBound - stretch.lowerBound
            let count = max(1, length / Self.windowNanoseconds)
            return (0..<count).map { number in
                let start = stretch.lowerBound + length * number / count
                return start..<(stretch.lowerBound + length * (number + 1) / count)
            }
        }
        return median(
            windows.map { window in samples.flatMap { $0.during(window) } }
                .filter { !$0.isEmpty }
                .map { Percentiles($0).microseconds(percent) })
    }

    private func report(
        _ stretches: Stretches, _ tailed: [Tailed], _ delivered: Bool
    ) -> ReportLine {
        let samples = tailed.map(\.samples)
        let quiet = windowed(99, stretches.quiet, samples)
        let busy = windowed(99, stretches.busy, samples)
        let isFast = arguments.isUntimed || busy <= quiet * Self.ratioMax
        var line = ReportLine("catchup", isOkay: delivered && isFast)
        line.add("consumers", tails)
        line.add("behindBytes", batches * filler.recordsPerBatch * filler.valueBytes)
        line.add("delivered", delivered)
        line.add("aloneWindowP50Microseconds", windowed(50, stretches.quiet, samples))
        line.add("besideWindowP50Microseconds", windowed(50, stretches.busy, samples))
        line.add("aloneWindowP99Microseconds", quiet)
        line.add("besideWindowP99Microseconds", busy)
        line.add("windowRatio", busy / quiet)
        line.add("aloneP99Microseconds", overall(99, stretches.quiet, samples))
        line.add("besideP99Microseconds", overall(99, stretches.busy, samples))
        line.add(
            "catchUpSeconds",
            median(stretches.busy.map { Double($0.upperBound - $0.lowerBound) / 1e9 }))
        return line
    }
}

/// Tells a producer to stop.
final class Flag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
