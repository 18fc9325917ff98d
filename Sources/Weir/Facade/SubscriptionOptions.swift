public import WeirBase
import WeirFlow

/// Who chooses how much is read ahead for a consumer.
public enum WindowMode: Sendable, Hashable {
    /// The store, by what it observes, within the knobs. The default.
    case adaptive
    /// The caller, once.
    case fixed(Credit)
    /// The caller, by `grant`: what is used up comes back by granting anew.
    case manual
    /// For a consumer that cannot say when it is done with a batch: a small fixed window, of a
    /// stream's largest batch. Counted as `degraded`.
    case conservative
}

/// What a subscription does where expected records are not there.
public enum GapPolicy: Sendable, Hashable {
    /// Throws an error with the code `gap`; the next call goes on behind it. The default.
    case fail
    /// Goes on behind it; counted as `gapSkipped`.
    case skip
}

/// What a subscription does that does not fit into the store's budget.
public enum BudgetPolicy: Sendable, Hashable {
    /// Waits until others leave; `nil` for as long as it takes.
    case wait(timeout: Duration?)
    /// Throws an error with the code `exhausted`.
    case fail
}

/// How reading goes on after an error that may pass, such as one of the device: anew from the last
/// offset, after a wait that doubles from `first` to `cap` and is jittered.
public struct RetryPolicy: Sendable, Hashable {
    /// So often in a row; then the consumer is told. 0: at once.
    public var attempts: Int
    public var first: Duration
    public var cap: Duration

    public init(
        attempts: Int = 8, first: Duration = .milliseconds(10), cap: Duration = .seconds(5)
    ) {
        self.attempts = attempts
        self.first = first
        self.cap = cap
    }

    var attemptsMax: Int { attempts }
    var firstNanoseconds: Int64 { first.nanoseconds }
    var capNanoseconds: Int64 { cap.nanoseconds }
}

/// How a subscription reads, waits and fails.
public struct SubscriptionOptions: Sendable, Hashable {
    /// A name labels the consumer's figures, and lets streams wait for it. Anonymous ones get a
    /// number.
    public var consumer: String?
    public var mode: WindowMode
    public var knobs: FlowKnobs
    public var onGap: GapPolicy
    public var whenFull: BudgetPolicy
    public var retry: RetryPolicy
    /// So long may a consumer wait with credit left and data in the log before reading begins anew.
    public var stallTimeout: Duration
    public var reading: Reading

    public init(
        consumer: String? = nil, mode: WindowMode = .adaptive, knobs: FlowKnobs = FlowKnobs(),
        onGap: GapPolicy = .fail, whenFull: BudgetPolicy = .wait(timeout: nil),
        reading: Reading = .mapped
    ) {
        self.consumer = consumer
        self.mode = mode
        self.knobs = knobs
        self.onGap = onGap
        self.whenFull = whenFull
        self.reading = reading
        self.retry = RetryPolicy()
        self.stallTimeout = .seconds(10)
    }

    /// Throws `invalidArgument` for the first option that is outside its range.
    public func validate() throws(WeirError) {
        try knobs.validate()
        if let consumer { _ = try StreamName(consumer, what: "consumer") }
        if case .fixed(let window) = mode {
            try FlowKnobs.expect(window, "fixed window", minimum: 1)
            guard knobs.maxOutstanding.covers(window) else {
                throw WeirError(
                    .invalidArgument,
                    "The fixed window of \(window) is more than the maxOutstanding of "
                        + "\(knobs.maxOutstanding); expected at most that.")
            }
        }
        if case .wait(let timeout?) = whenFull { try Self.expect(timeout, "budget timeout") }
        try Self.expect(stallTimeout, "stallTimeout")
        try Self.expect(retry.first, "first wait of a retry")
        try Self.expect(retry.cap, "longest wait of a retry")
        guard (0...1000).contains(retry.attempts), retry.cap >= retry.first else {
            throw WeirError(
                .invalidArgument,
                "The retry policy has \(retry.attempts) attempts from \(retry.first) to "
                    + "\(retry.cap); expected 0 to 1000, the longest wait no shorter than "
                    + "the first."
            )
        }
    }

    static func expect(_ time: Duration, _ what: String) throws(WeirError) {
        guard time > .zero, time <= .seconds(31_536_000) else {
            throw WeirError(
                .invalidArgument,
                "The \(what) is \(time); expected more than zero and at most a year.")
        }
    }
}

extension Duration {
    /// Saturates after 292 years.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, carry) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carry ? .max : sum
    }
}

/// A subscription's options as its state uses them.
struct FeedSettings: Sendable {
    let mode: WindowMode
    let knobs: FlowKnobs
    /// To begin with, or for good.
    let window: Credit
    let batchBytesMax: Int
    let readsAhead: Bool
    let retry: RetryPolicy
    let budgetNanoseconds: Int64
    let stallNanoseconds: Int64
    let variant: FlowVariant

    init(_ options: SubscriptionOptions, variant: FlowVariant, batchBytesMax: Int) {
        let asked = options.mode
        knobs = options.knobs
        self.batchBytesMax = batchBytesMax
        // Two of the largest batches: one is read while the other is used.
        let pair = Credit(bytes: 2 * batchBytesMax, records: 2 * Limits.batchEntriesMax)
            .limited(to: knobs.maxOutstanding)
        mode = asked == .adaptive && !variant.adaptiveWindow ? .fixed(pair) : asked
        switch mode {
        case .fixed(let window): self.window = window
        case .conservative:
            window = Credit(bytes: batchBytesMax, records: Limits.batchEntriesMax)
                .limited(to: knobs.maxOutstanding)
        case .adaptive, .manual: window = pair
        }
        readsAhead = variant.prefetch
        retry = options.retry
        budgetNanoseconds = options.knobs.latencyBudget.nanoseconds
        stallNanoseconds = options.stallTimeout.nanoseconds
        self.variant = variant
    }

    var modeName: String {
        switch mode {
        case .adaptive: "adaptive"
        case .fixed: "fixed"
        case .manual: "manual"
        case .conservative: "degraded"
        }
    }
}
