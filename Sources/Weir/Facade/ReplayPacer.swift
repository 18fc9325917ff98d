public import WeirBase

/// How fast records are replayed.
public enum ReplaySpeed: Sendable, Hashable {
    /// As fast as they are read.
    case max
    /// So many times as fast as their times say: 1 is the original pace, 60 a minute a second.
    case times(Double)

    /// Throws `invalidArgument` for a speed that is not from a thousandth to a million.
    public func validate() throws(WeirError) {
        guard case .times(let factor) = self else { return }
        guard factor >= 0.001, factor <= 1_000_000 else {
            throw WeirError(
                .invalidArgument,
                "The speed of replay is \(factor); expected 0.001 to 1000000 times the pace of the "
                    + "records, or the maximum.")
        }
    }
}

/// When a record is due, if records are to come at the pace of their times. Decides over numbers;
/// whoever asks does the waiting.
///
/// ```swift
/// var pacer = try ReplayPacer(.times(60))
/// if case .wait(let time) = pacer.next(record.time, at: .now - start) {
///     try await Task.sleep(for: time)
/// }
/// ```
///
/// The first record is due at once and sets the beginning; every other is due so long after it as
/// their times are apart, divided by the speed. So waits do not add up errors, and a consumer that
/// was slow catches up. A record whose time goes back was due before, and comes at once; the pace
/// does not begin anew with it.
public struct ReplayPacer: Sendable {
    public enum Decision: Sendable, Hashable {
        case now
        /// So long from now.
        case wait(Duration)
    }

    /// Waits longer than this are worth a word to whoever looks on.
    public static let longWait = Duration.seconds(3600)

    /// `nil`: no waits.
    private let factor: Double?
    private var beginning: (time: Timestamp, elapsed: Duration)?

    /// Throws `invalidArgument` as `ReplaySpeed.validate`.
    public init(_ speed: ReplaySpeed) throws(WeirError) {
        try speed.validate()
        factor = if case .times(let factor) = speed { factor } else { nil }
    }

    /// What to do about a record. `elapsed` is what a clock that nobody sets has counted since some
    /// start, always the same.
    public mutating func next(_ time: Timestamp, at elapsed: Duration) -> Decision {
        guard let factor else { return .now }
        guard let beginning else {
            self.beginning = (time, elapsed)
            return .now
        }
        // As numbers with a point: the difference of two times may not fit into one.
        let microseconds =
            (Double(time.microseconds) - Double(beginning.time.microseconds)) / factor
        let wait = beginning.elapsed + Self.duration(microseconds) - elapsed
        return wait > .zero ? .wait(wait) : .now
    }

    private static func duration(_ microseconds: Double) -> Duration {
        // Saturates at 30,000 years.
        let bounded = Swift.min(Swift.max(microseconds, -1e18), 1e18)
        return .microseconds(Int64(bounded))
    }
}
