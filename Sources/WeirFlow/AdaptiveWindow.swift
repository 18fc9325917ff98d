package import WeirBase

/// Chooses how much a consumer may have out: read ahead, and in its hands.
///
///     starved and in use ──▶ grow: double while far from the ceiling, else add a little
///     ceiling fell ────────▶ shrink to it
///     records were late ───▶ trust the ceiling less, shrink
///     budget refused more ─▶ shrink by a quarter ┐ then grow only by adding,
///     a read failed ───────▶ halve              ┘ for a while
///     none of these ───────▶ hold
///
/// The ceiling is Little's law: what this consumer works off within its latency budget. Starvation
/// moves the window below it, so a window is never larger than was needed once. `Docs/FLOW.md` has
/// the whole argument.
package struct AdaptiveWindow: Sendable {
    /// What a step did, with the window after it.
    package enum Change: Sendable, Hashable {
        case grew(Credit)
        case shrank(Credit)
        case halved(Credit)
        case held(Credit)
    }

    /// The first window: a few small batches. A larger batch comes by overdraft, and then counts.
    static let startBytes = 16 << 10
    /// The part of the budget that the plan uses: the rest is for what the plan cannot know.
    static let plannedShare = 0.8
    /// Deviations above the mean that must fit too: 99 % of a normal distribution is 2.3 of them,
    /// and processing times have longer tails.
    static let plannedDeviations = 3.0
    /// A step has this many releases, and no less than one 20th of the budget: enough to judge by,
    /// soon enough to act within the budget. A slow consumer's step ends after half the budget.
    static let stepReleases = 8
    static let stepsPerBudget: Int64 = 20
    static let slowStepsPerBudget: Int64 = 2
    /// Waiting for less than this part of the time is not worth memory.
    static let starvedShare = 0.02
    /// A ceiling that falls by less is taken for noise.
    static let shrinkShare = 7.0 / 8
    /// Near its ceiling a window grows by this part of it a step.
    static let additiveShare = 16
    /// Steps after a failure or a refusal in which a window is not doubled.
    static let cautiousSteps = 16
    /// More late records than this in a step show that the plan is wrong for this consumer.
    static let lateShare = 0.01
    /// Then its ceiling is put at three quarters of what was too much, and comes back by a 512th of
    /// itself a step: a pause that comes every hundred steps is remembered until the next.
    static let trustFactor = 0.75
    static let trustGain = 1 + 1.0 / 512
    static let trustMin = 1.0 / 64
    /// Room for records smaller than those before: bytes are what counts, records only guard.
    static let recordSlack = 4

    private let knobs: FlowKnobs
    private let batchBytesMax: Int
    private let budgetNanoseconds: Int64
    private var meter = WindowMeter()
    private var stepStart: Moment?
    private var trust = 1.0
    private var cautiousStepsLeft = 0
    private var hasFailed = false
    private var isPressed = false
    /// Batches delivered earlier were late by what has been answered already.
    private var blameStart = Moment.zero
    package private(set) var window: Credit

    package init(knobs: FlowKnobs, batchBytesMax: Int) {
        self.knobs = knobs
        self.batchBytesMax = max(1, batchBytesMax)
        let (seconds, attoseconds) = knobs.latencyBudget.components
        budgetNanoseconds = max(1, seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        window = knobs.maxOutstanding
        setWindow(bytes: min(Self.startBytes, self.batchBytesMax))
    }
}

// MARK: What happened

extension AdaptiveWindow {
    /// The consumer waited while the log had data for it.
    package mutating func starved(from start: Moment, to end: Moment) {
        noteStart(start)
        meter.starved(nanoseconds: end - start)
    }

    /// A batch's credit came back. Residence counts from its delivery into the window, the lease
    /// from when the consumer took it.
    package mutating func released(
        _ size: Credit, residenceNanoseconds: Int64, leaseNanoseconds: Int64, at now: Moment
    ) {
        noteStart(now + -leaseNanoseconds)
        // What a longer lease adds says nothing more about the window: it is too long for any.
        let lease = min(max(leaseNanoseconds, 0), budgetNanoseconds)
        if leaseNanoseconds > budgetNanoseconds { blameStart = max(blameStart, now) }
        let isLate =
            residenceNanoseconds > budgetNanoseconds && now + -residenceNanoseconds >= blameStart
        meter.released(size, leaseNanoseconds: Double(lease), isLate: isLate)
    }

    /// What is read ahead and not taken.
    package mutating func queued(_ waiting: Credit, at now: Moment) {
        meter.queued(bytes: waiting.bytes)
    }

    /// A read failed. However many fail in a step, the window is halved once: they have one cause.
    package mutating func failed(at now: Moment) {
        noteStart(now)
        hasFailed = true
    }

    /// The store's budget had no room for more.
    package mutating func pressed(at now: Moment) {
        noteStart(now)
        isPressed = true
    }

    private mutating func noteStart(_ moment: Moment) {
        if stepStart == nil { stepStart = moment }
    }
}

// MARK: What follows

extension AdaptiveWindow {
    /// Ends a step where one is due, and chooses the next window.
    package mutating func step(at now: Moment) -> Change? {
        guard let start = stepStart, isDue(now - start) else { return nil }
        let isStarved = isStarved(in: now - start)
        let isLate = meter.lateShare > Self.lateShare
        // By the plan that admitted the late records, before this step's pauses change it.
        trust = isLate ? lessTrust : min(1, trust * Self.trustGain)
        meter.endStep()
        let before = window
        let wasHalved = hasFailed
        setWindow(bytes: nextBytes(isStarved: isStarved))
        if isLate { blameStart = now }
        hasFailed = false
        isPressed = false
        stepStart = now
        if wasHalved { return .halved(window) }
        if window.bytes > before.bytes { return .grew(window) }
        if window.bytes < before.bytes { return .shrank(window) }
        return .held(window)
    }

    /// The one place where the window is decided. What is worst comes first.
    private mutating func nextBytes(isStarved: Bool) -> Int {
        let limit = min(ceilingBytes, largestBytes)
        if hasFailed || isPressed {
            cautiousStepsLeft = Self.cautiousSteps
            return min(limit, hasFailed ? window.bytes / 2 : window.bytes - window.bytes / 4)
        }
        cautiousStepsLeft = max(0, cautiousStepsLeft - 1)
        if Double(limit) < Double(window.bytes) * Self.shrinkShare { return limit }
        guard isStarved, limit > window.bytes else { return window.bytes }
        let isFar = window.bytes <= limit / 2 && cautiousStepsLeft == 0
        if isFar { return max(window.bytes * 2, min(limit, meter.largest.bytes * 2)) }
        return min(limit, window.bytes + max(meter.largest.bytes, limit / Self.additiveShare))
    }

    private func isDue(_ elapsed: Int64) -> Bool {
        if hasFailed { return true }
        if elapsed < budgetNanoseconds / Self.stepsPerBudget { return false }
        if meter.releases >= Self.stepReleases { return true }
        return elapsed >= budgetNanoseconds / Self.slowStepsPerBudget
            && (meter.hasEvents || isPressed)
    }

    /// Starvation counts where the window was in use: one that never filled was not what lacked.
    private func isStarved(in elapsed: Int64) -> Bool {
        let isLong = Double(meter.starvedNanoseconds) > Double(elapsed) * Self.starvedShare
        let batch = max(meter.largest.bytes, 1)
        return isLong && meter.waitingBytesMax + batch >= window.bytes / 2
    }

    private var lessTrust: Double {
        let plan = plannedBytes
        let seen = plan.isFinite ? Double(window.bytes) / max(plan, 1) : trust
        return max(Self.trustMin, min(trust, seen) * Self.trustFactor)
    }

    private var ceilingBytes: Int {
        let bytes = plannedBytes * trust
        return bytes < Double(knobs.maxOutstanding.bytes) ? Int(bytes) : knobs.maxOutstanding.bytes
    }

    /// The `w` whose time to work off, `w·m + z·√(w·v)`, is the planned part of the budget: a
    /// quadratic equation in √w.
    private var plannedBytes: Double {
        let mean = meter.nanosecondsPerByte
        guard mean > 0 else { return .infinity }
        let spread = Self.plannedDeviations * meter.variancePerByte.squareRoot()
        let time = Double(budgetNanoseconds) * Self.plannedShare
        let root = ((spread * spread + 4 * mean * time).squareRoot() - spread) / (2 * mean)
        return root * root
    }

    /// What waits may be `maxQueue`, beside the one batch in the consumer's hands.
    private var largestBytes: Int {
        min(knobs.maxOutstanding.bytes, knobs.maxQueue.bytes + smallestBytes)
    }

    /// One batch, as batches are here.
    private var smallestBytes: Int {
        let batch = meter.largest.bytes > 0 ? meter.largest.bytes : Self.startBytes
        return max(1, min(batch, batchBytesMax, knobs.maxOutstanding.bytes))
    }

    private mutating func setWindow(bytes: Int) {
        window.bytes = max(smallestBytes, min(bytes, largestBytes))
        let batch = meter.largest.records
        let most = knobs.maxQueue.records + max(batch, 1)
        let plan =
            meter.recordBytes > 0
            ? Double(window.bytes) / meter.recordBytes * Double(Self.recordSlack) : .infinity
        let records = plan < Double(most) ? Int(plan) : most
        window.records = max(
            1, min(max(records, batch * 2), most, knobs.maxOutstanding.records))
    }
}
