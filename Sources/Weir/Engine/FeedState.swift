import WeirBase
import WeirFlow
import WeirFormat
import WeirLog

/// What a consumer gets when it asks.
enum FeedOutcome: Sendable {
    case batch(LentBatch, lease: UInt64)
    case gap(Gap)
    case failure(WeirError)
    case timedOut
    /// There is more at the log's end: whoever waited looks for itself, see `Feed.look`.
    case look(generation: UInt64)
    /// Cancelled, or let go: nothing follows.
    case end
}

/// A consumer that waits.
struct FeedWaiter: Sendable {
    let id: UInt64
    /// It runs on a thread of its own, and may be told to look.
    let mayLook: Bool
    let resume: @Sendable (FeedOutcome) -> Void
}

/// What is to be done outside the lock, after an event.
enum FeedEffect: Sendable {
    case resume(FeedWaiter, FeedOutcome)
    case read(generation: UInt64)
    case note(SignalKind, String)
    /// Reading again when this much time has passed.
    case rest(nanoseconds: Int64, generation: UInt64, because: String)
    case watch(nanoseconds: Int64)
    case released(Offset)
    case residence(nanoseconds: Int64, records: Int)
    case ended
}

/// A subscription's state: what is read ahead, who holds it, and what its reader is at.
///
///     reader   parked ──ask, credit──▶ reading ──no credit──▶ parked
///                ▲                      │  │ └──end of log──▶ waiting ──append──▶ reading
///                └─── failure is told ──┘  └──error──▶ resting ──backoff──▶ reading
///
/// A consumer that waits while the reader does is told to look, and is the reader for one batch.
/// A reader that searches behind damage leaves its thread, and comes again, for each piece of it.
///
///     batch    reserved ─▶ queued ─▶ leased ─▶ released, or kept on the consumer's own account
///
/// Every event is a mutating function; what it wants done lies in `effects` afterwards, for whoever
/// holds the lock to perform when it has let go.
struct FeedState {
    enum Reader: Hashable {
        case parked
        case reading
        case waiting
        case resting
    }

    struct Queued {
        let outcome: FeedOutcome
        let size: Credit
        let at: Moment
    }

    struct Lease {
        let id: UInt64
        let batch: LentBatch
        let size: Credit
        let queuedAt: Moment
        let takenAt: Moment
    }

    let settings: FeedSettings
    let account: BudgetAccount
    var ledger: CreditLedger
    /// Chooses the ledger's window, where the store does.
    var window: AdaptiveWindow?
    var occupancy: OccupancyRing
    var effects: [FeedEffect] = []

    var reader = Reader.parked
    /// Counts the readers: what an earlier one still brings is thrown away.
    var generation: UInt64 = 0
    /// Counts what may let a reader go on, so that none parks while it comes.
    var changes: UInt64 = 0
    /// Reserved by the reader and not queued yet.
    var inFlight = Credit.zero
    /// Where the reader goes on; where it began.
    var readEnd: Offset?
    var began: Offset?
    /// Since when the log has had data for a reader that had waited at its end.
    var dataSince = Moment.zero
    /// When its search behind damage last came on.
    var searchedAt = Moment.zero
    var backoff: Backoff
    var turns = TurnTaking()

    var queue: [Queued] = []
    var queueStart = 0
    var waiter: FeedWaiter?
    var waitingSince = Moment.zero
    /// It was told to look, and so it is the reader.
    var isLooking = false
    /// Looks that find something else than a batch at hand are the fewer the longer that goes on.
    var looks = LookBackoff(skippedMax: Limits.looksSkippedMax)
    var isWatched = false
    var lease: Lease?
    /// Batches on the consumer's own account, by lease.
    var kept: [UInt64: (first: Offset, size: Credit)] = [:]
    var nextID: UInt64 = 0
    /// Behind the last batch or gap that was handed out.
    var deliveredEnd: Offset?
    var failure: WeirError?
    /// Set once; told to whoever asks after it. `nil` for an end without an error.
    var end: WeirError??

    init(settings: FeedSettings, account: BudgetAccount, at now: Moment) {
        self.settings = settings
        self.account = account
        if settings.mode == .adaptive {
            window = AdaptiveWindow(
                knobs: settings.knobs, batchBytesMax: settings.batchBytesMax)
        }
        ledger = CreditLedger(
            window: window?.window ?? settings.window, maxQueue: settings.knobs.maxQueue,
            isManual: settings.mode == .manual)
        occupancy = OccupancyRing(start: now)
        backoff = Backoff(
            firstNanoseconds: settings.retry.firstNanoseconds,
            capNanoseconds: settings.retry.capNanoseconds)
    }

    var isQueueEmpty: Bool { queueStart == queue.count }
    var consumerWaits: Bool { (waiter != nil || isLooking) && isQueueEmpty }

    /// Everything below it is released.
    var releasedOffset: Offset? {
        let held = kept.values.map(\.first).min()
        let leased = lease.map { max($0.batch.header.firstOffset, $0.batch.firstWanted) }
        return [held, leased].compactMap { $0 }.min() ?? deliveredEnd ?? began
    }
}
