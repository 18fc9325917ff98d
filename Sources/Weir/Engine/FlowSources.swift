import WeirBase
import WeirFiles

/// Something that has figures for a report on flow control: the store's budget, a subscription, a
/// gate.
package protocol FlowSource: Sendable {
    /// Adds what it has; of some streams only, where they are named. Called on any thread, and with
    /// no lock held.
    func add(to report: inout FlowReport, streams: Set<String>?)
}

/// Everything that has figures now. Whoever registers itself takes itself out again.
package final class FlowSources: Sendable {
    private struct State {
        var sources: [UInt64: any FlowSource] = [:]
        var next: UInt64 = 0
    }
    private let state = Lock(State())

    package init() {}

    /// The number to give to `remove`.
    package func register(_ source: any FlowSource) -> UInt64 {
        state.withLock { state in
            state.next += 1
            state.sources[state.next] = source
            return state.next
        }
    }

    package func remove(_ id: UInt64) {
        // Let go outside the lock: its end may do anything.
        let source = state.withLock { $0.sources.removeValue(forKey: id) }
        withExtendedLifetime(source) {}
    }

    /// What all of them have; of one stream only, or of all partitions of one.
    func report(on stream: String?, of engine: SystemEngine) -> FlowReport {
        guard let stream else { return report(streams: nil) }
        let partitions = engine.partitionNames(of: stream)
        var report = report(streams: Set(partitions).union([stream]))
        if !partitions.isEmpty { report.sort(by: partitions) }
        return report
    }

    /// In the order in which they came.
    private func report(streams: Set<String>?) -> FlowReport {
        let sources = state.withLock { state in
            state.sources.sorted { $0.key < $1.key }.map(\.value)
        }
        var report = FlowReport(
            timeMicroseconds: Host.wallClock().microseconds,
            budget: .init(totalBytes: 0, reservedBytes: 0, usedBytes: 0, waiting: 0),
            consumers: [], gates: [], latencies: [], signals: [])
        for source in sources { source.add(to: &report, streams: streams) }
        return report
    }
}

extension FlowReport {
    /// By the numbers of the partitions, not by their names: `trips-10` comes behind `trips-9`.
    fileprivate mutating func sort(by partitions: [String]) {
        self.partitions = partitions.count
        var places: [String: Int] = [:]
        for (place, name) in partitions.enumerated() { places[name] = place }
        func place(_ stream: String) -> Int { places[stream] ?? 0 }
        consumers.sort { ($0.name, place($0.stream)) < ($1.name, place($1.stream)) }
        gates.sort { place($0.stream) < place($1.stream) }
        latencies.sort { ($0.what, place($0.stream)) < ($1.what, place($1.stream)) }
    }
}

extension SignalBook: FlowSource {
    /// A line for each kind that came, sorted by whom it is about.
    package func add(to report: inout FlowReport, streams: Set<String>?) {
        let counted = counts.filter { streams?.contains($0.key.stream) ?? true }
        let sorted = counted.sorted { a, b in
            (a.key.stream, a.key.partition ?? -1, a.key.consumer, a.key.variant)
                < (b.key.stream, b.key.partition ?? -1, b.key.consumer, b.key.variant)
        }
        for (source, counts) in sorted {
            report.signals += counts.nonZero.map { kind, entry in
                FlowReport.SignalLine(
                    kind: kind.rawValue, stream: source.stream, partition: source.partition,
                    consumer: source.consumer, variant: source.variant, count: entry.count,
                    lastMicroseconds: entry.last?.microseconds ?? 0)
            }
        }
    }
}
