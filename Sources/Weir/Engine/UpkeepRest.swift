import WeirBase

/// How long upkeep rests behind a slice of its work: while appends are under way it works for one
/// part of the time.
///
/// They are under way while a group is being written, and for a moment after one was: where syncs
/// are slow, most slices of work see no new group begin.
struct UpkeepRest: Sendable {
    typealias Instant = ContinuousClock.Instant

    private var groupsSeen: UInt64
    private var sliceStart: Instant
    private var appendsSeen: Instant?
    /// Behind the last sign of appends they are counted as under way for so long.
    static let echo = Duration.milliseconds(100)
    /// A slice that met a slow disk is no reason to rest for longer.
    static let microsecondsMax = 50_000

    init(groupsWritten: UInt64, at now: Instant) {
        groupsSeen = groupsWritten
        sliceStart = now
    }

    /// The slice is over: so many groups were begun ever, and so many are under way.
    mutating func microseconds(
        groupsWritten: UInt64, groupsUnderWay: UInt64, at now: Instant
    ) -> Int {
        if groupsWritten != groupsSeen || groupsUnderWay > 0 { appendsSeen = now }
        groupsSeen = groupsWritten
        let worked = Int((now - sliceStart) / .microseconds(1))
        sliceStart = now
        guard let appendsSeen, now - appendsSeen < Self.echo else { return 0 }
        return min(worked * Limits.upkeepRestShare, Self.microsecondsMax)
    }

    /// The rest is over.
    mutating func resume(at now: Instant) { sliceStart = now }
}
