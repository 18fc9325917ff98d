package import WeirBase

/// Who may append now: the decider in front of a stream's producers.
///
///     take ──taken──▶ copy, write, sync ──▶ giveBack ──▶ admitted: the next in the line
///      │ wait                                                 ▲
///      ▼                                                      │
///     line, first come first served ──────────────────────────┘
///
/// An append passes if nobody stands before it, its size fits into the permits that are left, and
/// no consumer that the stream is bound to lags too far. Two rules keep it from locking up:
///
/// - One append passes whatever its size when no permit is out.
/// - Lag counts what was appended and what is on its way, never what asks: a consumer that has
///   released all it can see opens the gate. One that releases nothing holds it shut for
///   `capNanoseconds` at most; then it stays open until the lag was within its bound again.
///
/// So permits that are out exceed the limit by less than one append, and so does the lag its bound.
/// Numbers only: nothing here waits, and time is handed in (any, where there is no lag bound).
package struct AppendGate: Sendable {
    package typealias Ticket = TicketLine.Ticket

    package enum Answer: Sendable, Hashable {
        /// The permits are the caller's, until it gives them back.
        case taken
        /// The caller stands in the line until its ticket is admitted, cancelled or turned away.
        case wait(Ticket)
        /// Nothing was taken, since the caller may not wait.
        case refused
        /// `refusal` says why.
        case closed
    }

    /// What an event leaves to be done; in most cases nothing.
    package struct Effects: Sendable, Hashable {
        /// Those who hold their permits now, in order.
        package var admitted: [Ticket] = []
        package var signals: [SignalKind] = []
        /// Consumers are to tell what they have released and not told yet.
        package var asksReleases = false
        /// When `tick` is due. Once is enough, at the earliest time that was told.
        package var tickAt: Moment?

        package init() {}

        package var isNothing: Bool {
            admitted.isEmpty && signals.isEmpty && !asksReleases && tickAt == nil
        }

        package mutating func merge(_ other: Effects) {
            admitted += other.admitted
            signals += other.signals
            asksReleases = asksReleases || other.asksReleases
            tickAt = other.tickAt ?? tickAt
        }
    }

    /// Consumers whose lag holds the producers back.
    package struct Bound: Sendable, Hashable {
        /// `nil`: every consumer that has a name.
        package var names: Set<String>?
        package var lagRecords: Int
        package var capNanoseconds: Int64

        package init(names: Set<String>?, lagRecords: Int, capNanoseconds: Int64) {
            self.names = names
            self.lagRecords = max(0, min(lagRecords, Credit.unlimited.records))
            self.capNanoseconds = max(0, capNanoseconds)
        }
    }

    package private(set) var limit: Credit
    package private(set) var bound: Bound?
    /// Permits that are out.
    package private(set) var used = Credit.zero
    /// The size refused last, until it would fit: what `ready` waits for.
    package private(set) var refusedSize: Credit?
    @Rare package private(set) var refusal: WeirError? = nil
    /// Shut for lag since then, or capped since some time after it.
    package private(set) var lagsSince: Moment?
    package private(set) var isCapped = false
    /// Who held it shut last, and how many records behind: when it shut, or at the cap.
    package private(set) var laggard: (name: String, records: Int)?
    private var line = TicketLine()
    private var lag: ConsumerLag
    private var wasClosed = false

    package init(limit: Credit, end: Offset) {
        self.limit = Self.bounded(limit)
        self.lag = ConsumerLag(end: end)
    }

    package var waitingCount: Int { line.count }
    package var lagRecords: Int? { bound == nil ? nil : lag.records }
    package var slowestConsumer: String? { bound == nil ? nil : lag.slowestName }
    package var isShutForLag: Bool { lagsSince != nil && !isCapped }
    package var isShutForPermits: Bool {
        guard let wanted = line.first ?? refusedSize else { return false }
        return !fits(wanted)
    }
    package var isOpen: Bool { refusal == nil && !isShutForLag && !isShutForPermits }

    /// Whether an append of this size would be taken now.
    package func wouldPass(_ size: Credit) -> Bool {
        refusal == nil && line.isEmpty && !isShutForLag && fits(Self.bounded(size))
    }

    // MARK: events of producers

    /// An append wants to pass.
    package mutating func take(
        _ size: Credit, at moment: Moment, mayWait: Bool = true
    ) -> (Answer, Effects) {
        var effects = Effects()
        if refusal != nil { return (.closed, effects) }
        let size = Self.bounded(size)
        // Those who stand in the line already are admitted first, while their tickets are known:
        // the cap may have passed, and its timer not have come yet.
        if bound != nil { settle(at: moment, &effects) }
        var answer = Answer.refused
        if line.isEmpty, !isShutForLag, fits(size) {
            used += size
            if bound == nil { return (.taken, effects) }
            answer = .taken
        } else if mayWait {
            answer = .wait(line.append(size))
        } else {
            refusedSize = size
            effects.signals.append(.gateRefused)
        }
        settle(at: moment, &effects)
        return (answer, effects)
    }

    /// An append's outcome is known; the stream shows records up to `end` now.
    package mutating func giveBack(
        _ size: Credit, end: Offset? = nil, at moment: Moment
    ) -> Effects {
        let size = Self.bounded(size)
        precondition(used.covers(size), "more permits were given back than taken")
        used -= size
        if let end { lag.appended(end: end) }
        return settled(at: moment)
    }

    /// Somebody leaves the line, unless the ticket was admitted before (then nothing happens).
    /// `isRefused`: since its time is over.
    package mutating func cancel(
        _ ticket: Ticket, isRefused: Bool = false, at moment: Moment
    ) -> Effects {
        var effects = Effects()
        guard line.remove(ticket) else { return effects }
        if isRefused { effects.signals.append(.gateRefused) }
        settle(at: moment, &effects)
        return effects
    }

    // MARK: events of consumers and of time

    /// Readers see records up to here.
    package mutating func appended(end: Offset, at moment: Moment) -> Effects {
        lag.appended(end: end)
        return settled(at: moment)
    }

    /// A live consumer has released everything below an offset.
    package mutating func consumer(
        _ name: String, released: Offset, at moment: Moment
    ) -> Effects {
        guard let bound, bound.names?.contains(name) ?? true else { return Effects() }
        lag.note(name, released: released, countMax: Limits.boundConsumersMax)
        return settled(at: moment)
    }

    /// A consumer's cursor stands here now; `nil`: it has none any more.
    package mutating func consumer(
        _ name: String, committed: Offset?, at moment: Moment
    ) -> Effects {
        guard let bound, bound.names?.contains(name) ?? true else { return Effects() }
        lag.note(name, committed: committed, countMax: Limits.boundConsumersMax)
        return settled(at: moment)
    }

    /// The consumer is gone. Its last position counts until the gate is capped.
    package mutating func consumerEnded(_ name: String, at moment: Moment) -> Effects {
        lag.end(name)
        return settled(at: moment)
    }

    /// Time has passed. Says when to come again, if the gate is shut for lag still.
    package mutating func tick(at moment: Moment) -> Effects {
        var effects = settled(at: moment)
        if let bound, let lagsSince, !isCapped { effects.tickAt = lagsSince + bound.capNanoseconds }
        return effects
    }

    // MARK: events of the owner

    /// Other permits and another bound, from now on. Consumers are asked where they are.
    package mutating func change(
        limit: Credit, bound: Bound?, at moment: Moment
    ) -> Effects {
        self.limit = Self.bounded(limit)
        self.bound = bound
        lag.keep { name in bound.map { $0.names?.contains(name) ?? true } ?? false }
        var effects = settled(at: moment)
        effects.asksReleases = bound != nil
        if let bound, let lagsSince, !isCapped {
            effects.tickAt = lagsSince + bound.capNanoseconds
        }
        return effects
    }

    /// Lets nobody pass any more, and turns away all who wait.
    package mutating func close(_ error: WeirError) -> [Ticket] {
        refusal = refusal ?? error
        return line.removeAll()
    }

    // MARK: deciding

    private static func bounded(_ size: Credit) -> Credit {
        Credit(bytes: max(0, size.bytes), records: max(0, size.records)).limited(to: .unlimited)
    }

    private func fits(_ size: Credit) -> Bool {
        used == .zero || (limit - used).covers(size)
    }

    private mutating func settled(at moment: Moment) -> Effects {
        var effects = Effects()
        settle(at: moment, &effects)
        return effects
    }

    /// Admits whoever may pass, and tells when the gate's state changed.
    private mutating func settle(at moment: Moment, _ effects: inout Effects) {
        watchLag(at: moment, &effects)
        while !isShutForLag, let size = line.first, fits(size) {
            used += size
            effects.admitted.append(line.removeFirst())
            watchLag(at: moment, &effects)
        }
        if let size = refusedSize, fits(size) { refusedSize = nil }
        let isClosed = isShutForLag || isShutForPermits
        if isClosed != wasClosed { effects.signals.append(isClosed ? .gateClosed : .gateOpened) }
        wasClosed = isClosed
    }

    /// Shuts the gate when the lag exceeds its bound, and opens it when that is over or lasted for
    /// as long as it may.
    private mutating func watchLag(at moment: Moment, _ effects: inout Effects) {
        guard let bound else { return forgetLag() }
        if isCapped { lag.forgetEnded(beyond: bound.lagRecords - used.records) }
        guard exceeds(bound) else { return forgetLag() }
        guard let lagsSince else {
            lagsSince = moment
            noteLaggard()
            effects.asksReleases = true
            effects.tickAt = moment + bound.capNanoseconds
            return
        }
        guard !isCapped, moment - lagsSince >= bound.capNanoseconds else { return }
        isCapped = true
        // Before it is forgotten, if it is gone.
        noteLaggard()
        effects.signals.append(.gateCapped)
        lag.forgetEnded(beyond: bound.lagRecords - used.records)
        if !exceeds(bound) { forgetLag() }
    }

    private func exceeds(_ bound: Bound) -> Bool {
        guard let records = lag.records else { return false }
        return records > bound.lagRecords - used.records
    }

    private mutating func noteLaggard() {
        if let name = lag.slowestName, let records = lag.records { laggard = (name, records) }
    }

    private mutating func forgetLag() {
        lagsSince = nil
        isCapped = false
    }
}
