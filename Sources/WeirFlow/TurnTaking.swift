package import WeirBase

/// Whether a reader that is far behind takes short turns with its consumer.
///
/// Somebody who catches up from the page cache keeps two cores busy, its reader's and its
/// consumer's, and whoever is woken at the end of a log then waits for a slice of the scheduler:
/// milliseconds instead of microseconds. While consumers at the end are served, the reader of one
/// that is behind brings in a turn, and rests until the consumer has worked it off and waits. So
/// one of them sleeps at any moment, and neither stays awake for long.
///
/// It never reads more by this, only later, and whoever waits is served: nothing can lock up.
package struct TurnTaking: Sendable {
    /// A turn: with twice as much, those at the end notice it.
    package static let turnBytes = 64 << 10
    /// Consumers at the end count for so long after they were served.
    static let tailNanoseconds: Int64 = 1_000_000_000
    /// A reader is behind if it was not at its log's end for so long.
    static let behindNanoseconds: Int64 = 10_000_000

    /// When the reader was at its log's end; `nil` if it never was.
    private var atEnd: Moment?
    package private(set) var isOn = false

    package init() {}

    /// The reader came to the log's end.
    package mutating func reachedEnd(at now: Moment) {
        atEnd = now
        isOn = false
    }

    /// Before the reader looks for the next batch. `tailServed`: when any consumer of the store was
    /// last served at the end of its log.
    package mutating func look(tailServed: Moment?, at now: Moment) {
        let isBehind = atEnd.map { now - $0 > Self.behindNanoseconds } ?? true
        isOn = isBehind && tailServed.map { now - $0 < Self.tailNanoseconds } ?? false
    }

    /// What may be brought in at once.
    package func limit(_ ahead: Credit) -> Credit {
        isOn ? Credit(bytes: min(ahead.bytes, Self.turnBytes), records: ahead.records) : ahead
    }

    /// Whether the reader rests until the consumer waits.
    package func isOver(queuedBytes: Int) -> Bool { isOn && queuedBytes >= Self.turnBytes }
}
