import Histogram
import WeirBase
import WeirFlow

/// How long records of a stream took, a pair of histograms for each variant of flow control.
///
/// HDR histograms (G. Tene) of microseconds up to an hour, with two digits: some 20 KiB each, so
/// they are kept by stream and variant and not by consumer.
final class LatencyBook: Sendable {
    struct Pair {
        var appendToDelivery = makeHistogram()
        var deliveryToRelease = makeHistogram()
    }
    private let pairs = Lock<[FlowVariant: Pair]>([:])
    private static let microsecondsMax: UInt64 = 3_600_000_000

    private static func makeHistogram() -> Histogram<UInt64> {
        Histogram(highestTrackableValue: microsecondsMax, numberOfSignificantValueDigits: .two)
    }

    func noteDelivery(microseconds: Int64, records: Int, variant: FlowVariant) {
        note(\.appendToDelivery, microseconds, records, variant)
    }

    func noteRelease(microseconds: Int64, records: Int, variant: FlowVariant) {
        note(\.deliveryToRelease, microseconds, records, variant)
    }

    private func note(
        _ which: WritableKeyPath<Pair, Histogram<UInt64>>, _ microseconds: Int64, _ records: Int,
        _ variant: FlowVariant
    ) {
        let value = min(UInt64(max(0, microseconds)), Self.microsecondsMax)
        pairs.withLock {
            _ = $0[variant, default: Pair()][keyPath: which].record(value, count: UInt64(records))
        }
    }

    func report(stream: String) -> [FlowReport.Latency] {
        pairs.withLock { pairs in
            pairs.flatMap { variant, pair in
                [
                    ("append to delivery", pair.appendToDelivery),
                    ("delivery to release", pair.deliveryToRelease),
                ].map { what, histogram in
                    Self.line(stream: stream, "\(variant)", what, histogram)
                }
            }
        }
        .sorted { ($0.variant, $0.what) < ($1.variant, $1.what) }
    }

    private static func line(
        stream: String, _ variant: String, _ what: String, _ histogram: Histogram<UInt64>
    ) -> FlowReport.Latency {
        func at(_ percentile: Double) -> Int {
            Int(clamping: histogram.valueAtPercentile(percentile))
        }
        return FlowReport.Latency(
            stream: stream, variant: variant, what: what,
            count: Int(clamping: histogram.totalCount), p50: at(50), p90: at(90), p99: at(99),
            p999: at(99.9), p9999: at(99.99), max: Int(clamping: histogram.max))
    }
}
