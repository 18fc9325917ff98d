package import WeirBase

/// The time by which ages are counted: a wall clock that jumps must not wipe a stream.
///
///     wall clock   ──────┐ jumps ten years ahead
///                        └──────────────────────────────
///     this clock   ────────── goes on, at twice the pace of the monotone clock, until it has
///                             caught up; back, it follows at once
///
/// It never runs ahead of the wall clock. At a writer's opening it begins at the wall clock, but no
/// more than a week ahead of the newest time that the store knows from before. So a step that is
/// right, such as that of a machine that was off, delays retention; one that is wrong gives people
/// half of the age that they chose to put the clock right, and is logged.
package struct RetentionClock: Sendable {
    private var time: Timestamp
    private var seenNanoseconds: Int64
    /// Differences that are no jump.
    private static let toleranceMicroseconds: Int64 = 60_000_000

    /// `witness`: the newest time that the store knows from before, if any.
    package init(wall: Timestamp, witness: Timestamp?, monotonicNanoseconds: Int64) {
        let doubt = Limits.clockDoubtSeconds * 1_000_000
        time = wall
        if let witness, wall.microseconds > witness.microseconds,
            wall.microseconds - max(witness.microseconds, 0) > doubt
        {
            time = Timestamp(microseconds: max(witness.microseconds, 0) + doubt)
        }
        seenNanoseconds = monotonicNanoseconds
    }

    package mutating func now(wall: Timestamp, monotonicNanoseconds: Int64) -> Timestamp {
        let passed = max(0, monotonicNanoseconds - seenNanoseconds) / 1000 * 2
        seenNanoseconds = monotonicNanoseconds
        let (next, overflow) = time.microseconds.addingReportingOverflow(passed)
        time = overflow ? wall : min(wall, Timestamp(microseconds: next))
        return time
    }

    /// Whether the wall clock is ahead of what is believed of it.
    package func doubts(_ wall: Timestamp) -> Bool {
        let (limit, overflow) = time.microseconds.addingReportingOverflow(
            Self.toleranceMicroseconds)
        return !overflow && wall.microseconds > limit
    }
}
