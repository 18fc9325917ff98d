package import WeirBase

/// Who holds how much of a consumer's credit: the decider of reading ahead.
///
///     available ──reserve──▶ queued ──take──▶ leased ──release──▶ available
///                              │                 └──keep──▶ the consumer's own account
///                              └──drop──▶ available
///
/// With a window, `available + queued + leased == window` always, so nothing is lost or invented.
/// By grants alone (`isManual`), what is released does not come back: the consumer grants anew.
///
/// Overdraft: while the consumer waits, one batch may be read that the credit left does not cover,
/// if some is left. So no window and no batch size can lock up, and what is out is never more than
/// the window and one batch. `Tests/Models/flow.pml` is the same protocol in another language.
package struct CreditLedger: Sendable, Hashable {
    package enum Verdict: Sendable, Hashable {
        /// The batch is reserved; as much again as `ahead` may be brought in behind it.
        case read(ahead: Credit, isOverdraft: Bool)
        /// Not now: when credit comes back, or the consumer waits.
        case hold
    }

    package let isManual: Bool
    package let maxQueue: Credit
    package private(set) var window: Credit
    /// Below zero after an overdraft, or when the window shrank under what is out.
    package private(set) var available: Credit
    package private(set) var queued = Credit.zero
    package private(set) var leased = Credit.zero
    package private(set) var kept = Credit.zero
    /// The credit was used up while there was more to read.
    package private(set) var isExhausted = false
    /// The batch that was held back: reading ahead resumes when it fits and a good part of the
    /// window is free, not at every crumb.
    private var held: Credit?
    package private(set) var hasEnded = false

    /// Reading ahead resumes when a quarter of the window, and of the queue, is free.
    private static let resumeDivisor = 4

    package init(window: Credit, maxQueue: Credit, isManual: Bool = false) {
        self.window = isManual ? .zero : window
        self.available = isManual ? .zero : window
        self.maxQueue = maxQueue
        self.isManual = isManual
    }

    /// Read ahead or in the consumer's hands.
    package var outstanding: Credit { queued + leased }

    /// What may be out at once: the window, or what was granted and has not been released.
    package var limit: Credit {
        guard isManual else { return window }
        let left = Credit(bytes: max(0, available.bytes), records: max(0, available.records))
        return outstanding + left
    }

    /// Whether anything more may wait for the consumer.
    package var hasRoom: Bool { maxQueue.covers(queued + Credit(bytes: 1, records: 1)) }

    /// Whether a reader that held may look again.
    package func mayResume(consumerWaits: Bool) -> Bool {
        guard !hasEnded, available.isPositive else { return false }
        if consumerWaits { return true }
        guard let held else { return hasRoom }
        return available.covers(Self.enough(of: window, for: held, isManual))
            && (maxQueue - queued).covers(Self.enough(of: maxQueue, for: held, isManual))
    }

    private static func enough(of limit: Credit, for held: Credit, _ isManual: Bool) -> Credit {
        if isManual { return held }
        return Credit(
            bytes: min(limit.bytes, max(held.bytes, limit.bytes / resumeDivisor)),
            records: min(limit.records, max(held.records, limit.records / resumeDivisor)))
    }

    /// The reader found a batch of this size.
    ///
    /// `consumerWaits`: it has asked for a batch, and none is queued.
    package mutating func reserve(_ size: Credit, consumerWaits: Bool) -> Verdict {
        guard !hasEnded else { return .hold }
        let fits = available.covers(size)
        let hasRoom = maxQueue.covers(queued + size)
        guard fits && hasRoom || consumerWaits && available.isPositive else {
            held = size
            if !fits { isExhausted = true }
            return .hold
        }
        held = nil
        if fits { isExhausted = false }
        available -= size
        queued += size
        let ahead = available.limited(to: maxQueue - queued)
        return .read(
            ahead: ahead.isPositive ? ahead : .zero, isOverdraft: !(fits && hasRoom))
    }

    /// There is more to read, and nobody looks at how large it is, since no credit is left.
    package mutating func lacksCredit() {
        if !hasEnded, !available.isPositive { isExhausted = true }
    }

    /// What was reserved or queued is given up unread: a damaged batch, a cancelled consumer.
    package mutating func drop(_ size: Credit) {
        precondition(queued.covers(size), "more was dropped than was queued")
        queued -= size
        available += size
    }

    /// The consumer takes a queued batch.
    package mutating func take(_ size: Credit) {
        precondition(queued.covers(size), "more was taken than was queued")
        queued -= size
        leased += size
    }

    /// The consumer is done with a batch, or keeps it on its own account (`toKeep`).
    package mutating func release(_ size: Credit, toKeep: Bool = false) {
        precondition(leased.covers(size), "more was released than was leased")
        leased -= size
        if !isManual { available += size }
        if toKeep { kept += size }
    }

    /// The consumer is done with a batch that it kept.
    package mutating func releaseKept(_ size: Credit) {
        precondition(kept.covers(size), "more was released than was kept")
        kept -= size
    }

    /// Another window. What is out stays out; a smaller window takes effect as it comes back.
    package mutating func resize(to newWindow: Credit) {
        guard !isManual, !hasEnded else { return }
        available += newWindow - window
        window = newWindow
    }

    /// Credit by hand. Throws `invalidArgument` for what is not positive, what would overflow, and
    /// where nothing can be granted: with a window that the store chooses, or after the end.
    package mutating func grant(_ credit: Credit) throws(WeirError) {
        if hasEnded {
            throw WeirError(
                .closed,
                "The subscription has ended, so nothing can be granted to it; subscribe "
                    + "again from the last offset.")
        }
        guard isManual else {
            throw WeirError(
                .invalidArgument,
                "The subscription has a window of its own, so nothing can be granted to it; "
                    + "subscribe with the mode manual.")
        }
        guard credit.bytes >= 0, credit.records >= 0, credit != .zero else {
            throw WeirError(
                .invalidArgument,
                "The grant is of \(credit); expected more than zero of one, and no less than zero "
                    + "of the other.")
        }
        let sum = available + credit
        guard Credit.unlimited.covers(sum) else {
            throw WeirError(
                .invalidArgument,
                "With the grant of \(credit) the credit would be \(sum); expected at most "
                    + "\(Credit.unlimited).")
        }
        available = sum
    }

    /// Nothing is read, taken or granted any more; what is queued was dropped before.
    package mutating func end() { hasEnded = true }
}
