import Foundation
import Weir

/// The latency from a record's intended append to a consumer that has it in hand.
///
/// One process, records of 100 bytes, everything flushed. First the path's maximum rate: a thread
/// enqueues as fast as the stream takes records, and a consumer gets them. Then a thread keeps to
/// a schedule of half that rate, each record at its own moment: it wakes every 50 µs and enqueues
/// what is due, so that records that were due since share a batch. Latency counts from the moment
/// when a record was due, whatever kept the thread or the stream from it.
struct TailScene {
    private let arguments: Arguments
    private let seconds: Int
    /// Records a second; 0 for half of the maximum.
    private let rate: Int
    private static let value = [UInt8](repeating: 7, count: 100)
    private static let wakeNanoseconds: Int64 = 50_000
    private static let p99MicrosecondsMax = 200.0

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
        let (enqueued, last) = try await onThread {
            var count = 0
            while nanoseconds() < until {
                for _ in 0..<100 { try Self.enqueue(Self.value, stream) }
                count += 100
            }
            return (count, try Self.enqueue([], stream).append)
        }
        // Where it was refused, for want of room on the disk, nobody waits for it.
        _ = try await last.receipt()
        let tally = try await consumed
        let end = nanoseconds()
        guard enqueued == tally.records, tally.isInOrder else {
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

    /// Puts a record on its way; where there is no room, waits for it. Blocks the thread.
    @discardableResult
    private static func enqueue(
        _ value: [UInt8], _ stream: LogStream
    ) throws -> (append: PendingAppend, waited: Bool) {
        var waited = false
        while true {
            do throws(WeirError) {
                return (try stream.enqueue(value: value), waited)
            } catch {
                guard error.code == .wouldBlock else { throw error }
                waited = true
                let room = DispatchSemaphore(value: 0)
                Task.detached {
                    do { try await stream.ready() } catch { room.signal() }
                    room.signal()
                }
                room.wait()
            }
        }
    }

    // MARK: to a schedule

    private struct Outcome: Sendable {
        var latencies: [Int64] = []
        var tally = Tally()
        /// Records that found no room, and waited.
        var waits = 0
        var isExact = false
        /// How late the thread itself was, at its wakings.
        var lateness: [Int64] = []
    }

    private func keepTo(_ rate: Int, _ stream: LogStream) async throws -> Outcome {
        let base = stream.endOffset
        let count = rate * seconds
        let subscription = try stream.subscribe(from: .offset(base))
        let pacer = Pacer(
            start: nanoseconds() + 100_000_000, stepNanoseconds: 1e9 / Double(rate))
        async let delivered = follow(subscription, base, count, pacer)
        var (outcome, last) = try await onThread { try produce(count, pacer, stream) }
        _ = try await last.receipt()
        (outcome.latencies, outcome.tally) = try await delivered
        return outcome
    }

    private func follow(
        _ subscription: Subscription, _ base: Offset, _ count: Int, _ pacer: Pacer
    ) async throws -> ([Int64], Tally) {
        var latencies: [Int64] = []
        latencies.reserveCapacity(count)
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
    private func produce(
        _ count: Int, _ pacer: Pacer, _ stream: LogStream
    ) throws -> (Outcome, PendingAppend) {
        var outcome = Outcome()
        outcome.isExact = Pacer.beExact()
        outcome.lateness.reserveCapacity(seconds * 20_000)
        var sent = 0
        var wake = pacer.start
        while sent < count {
            Pacer.wait(until: wake)
            let now = nanoseconds()
            outcome.lateness.append(now - wake)
            let due = min(count, pacer.stepsDue(by: now))
            while sent < due {
                if try Self.enqueue(Self.value, stream).waited { outcome.waits += 1 }
                sent += 1
            }
            wake = max(wake + Self.wakeNanoseconds, nanoseconds())
        }
        return (outcome, try Self.enqueue([], stream).append)
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
        line.add("waits", outcome.waits)
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
