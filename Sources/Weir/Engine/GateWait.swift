import WeirBase
import WeirFlow

/// Somebody who stands before the gate.
struct GateWaiter: Sendable {
    let slot: Slot<GateOutcome>
    /// Wants to know only when so much would pass, and takes no permits then.
    let probe: Credit?
}

/// How waiting at the gate ended.
enum GateOutcome: Sendable {
    /// The permits are held: the append must follow.
    case admitted
    case cancelled
    case timedOut
    case closed(WeirError)
}

/// A place in the gate's line, or among those who wait for room under a quota.
struct GateWait: Sendable {
    enum Place: Sendable {
        case gate(AppendGate.Ticket)
        case quota(UInt64)
    }
    let place: Place
    let slot: Slot<GateOutcome>
    let patience: Patience

    /// How the append comes to its permits once it was admitted.
    var passage: Committer.Passage {
        if case .gate = place { .holds } else { .asksAgain(patience) }
    }
}

/// How long an append waits, from the first time that it has to: in all places together, and
/// however often it is told to come again.
struct Patience: Sendable, Hashable {
    /// `nil`: for ever.
    let timeout: Duration?
    private let end: Moment?

    init(timeout: Duration?, from now: Moment) {
        self.timeout = timeout
        self.end = timeout.map { now + $0.nanoseconds }
    }

    /// `nil`: for ever.
    func nanosecondsLeft(at now: Moment) -> Int64? { end.map { max(0, $0 - now) } }
}
