import Synchronization
import WeirBase
import WeirFiles
import WeirFlow
import WeirLog

/// Whoever holds a subscription. With the last reference it ends.
///
/// Admission comes first: one batch of the stream's largest size is set aside in the store's
/// budget. Then there is a `Feed`, which reads ahead.
final class Consumer: Sendable {
    private let stream: LogStream
    private let start: StartPosition
    private let options: SubscriptionOptions
    private let variant: FlowVariant
    let name: String
    private let key: UInt64
    private let state: Lock<State>
    private let gaps = Atomic(0)

    private struct State {
        var feed: Feed<RealFileSystem>?
        /// Granted before there was a feed.
        var granted: [Credit] = []
        /// Who waits for a place in the budget, and with which number.
        var pending: (@Sendable (FeedOutcome) -> Void)?
        var place: UInt64?
        /// The feed's number of who waits, once it has one; what came for them before that.
        var waiter: UInt64?
        var early: FeedOutcome?
        /// Somebody waits; a second one is told.
        var isAsking = false
        /// Counts the calls: a deadline of an earlier one means nothing to a later.
        var call: UInt64 = 0
        /// Set once; `nil` within for an end without an error.
        var end: WeirError??
    }

    init(
        stream: LogStream, start: StartPosition, options: SubscriptionOptions
    ) throws(WeirError) {
        if stream.isClosed { throw Store.closed() }
        self.stream = stream
        // What is appended from now on, however late the first batch is asked for.
        let isHere = start == .next && !stream.engine.isReadOnly
        self.start = isHere ? .offset(stream.endOffset) : start
        self.options = options
        key = stream.flow.nextKey()
        name = options.consumer ?? "#\(key)"
        variant = stream.flow.variant(for: name)
        state = Lock(State())
        let reserve = stream.configuration.batchBytesMax
        guard stream.flow.budget.couldAdmit(reserve: reserve) else { throw refused() }
        if let place = stream.flow.budget.admit(reserve: reserve) {
            open(place)
        } else if options.whenFull == .fail {
            note(.budgetRefused, "")
            throw refused()
        }
    }

    deinit { end(nil) }

    private func refused() -> WeirError {
        WeirError(
            .exhausted,
            "The subscription \(name) of \(stream.name) does not fit into the store's budget of "
                + "\(stream.flow.budget.report.totalBytes) bytes: a batch may have "
                + "\(stream.configuration.batchBytesMax). End other subscriptions, open the store "
                + "with a larger budget, or let it wait.")
    }

    private func note(_ kind: SignalKind, _ detail: String) {
        stream.flow.signals.note(kind, stream.source(label, variant), detail: detail)
    }

    /// Without a name, figures of ended consumers are counted together.
    private var label: String { options.consumer ?? "" }

    // MARK: admission

    /// Begins to read ahead, with a place in the budget.
    private func open(_ place: UInt64) {
        let account = BudgetAccount(budget: stream.flow.budget, id: place)
        let settings = FeedSettings(
            options, variant: variant, batchBytesMax: stream.configuration.batchBytesMax)
        let label = FeedLabel(
            key: key, name: name, source: self.label, mode: settings.modeName, variant: variant)
        let feed = stream.makeFeed(
            label, settings: settings, account: account, start: start, reading: options.reading)
        let (granted, end) = state.withLock { state in
            state.feed = feed
            defer { state.granted = [] }
            return (state.granted, state.end)
        }
        // Ended while it was made: nobody else would end it.
        if let end { return feed.finish(end) }
        do throws(WeirError) {
            for credit in granted { try feed.grant(credit) }
        } catch {
            feed.finish(error)
        }
    }

    /// There is a place in the budget, or `nil`: there will be none.
    private func admit(_ place: UInt64?) {
        stream.feeds.removePending(key)
        if let place { open(place) }
        let (resume, feed) = state.withLock { state in
            state.place = nil
            return (state.pending.take(), state.feed)
        }
        guard let resume else { return }
        guard let feed else {
            return resume(ended() ?? .failure(stream.isClosed ? Store.closed() : refused()))
        }
        wait(in: feed, mayLook: false, resume)
    }

    private func wait(
        in feed: Feed<RealFileSystem>, mayLook: Bool,
        _ resume: @escaping @Sendable (FeedOutcome) -> Void
    ) {
        let waiter = feed.wait(mayLook: mayLook, resume)
        let early = state.withLock { state in
            state.waiter = waiter
            return state.early.take()
        }
        if let early { feed.leave(waiter, early) }
    }

    private func ended() -> FeedOutcome? {
        guard let end = state.withLock({ $0.end }) else { return nil }
        return end.map { .failure($0) } ?? .end
    }

    // MARK: asking

    /// Calls `tell` once, with what comes next; that may be `look` where it may.
    private func wait(mayLook: Bool, _ tell: @escaping @Sendable (FeedOutcome) -> Void) {
        enum Next {
            case read(Feed<RealFileSystem>)
            case tell(FeedOutcome)
            case queueUp
            case stay
        }
        let resume: @Sendable (FeedOutcome) -> Void = { outcome in
            self.state.withLock { $0.isAsking = false }
            tell(outcome)
        }
        let next = state.withLock { state -> Next in
            if state.isAsking { return .tell(.failure(FeedState.twoAtOnce())) }
            if state.feed == nil, let end = state.end {
                return .tell(end.map { .failure($0) } ?? .end)
            }
            state.isAsking = true
            state.waiter = nil
            state.early = nil
            state.call += 1
            if let feed = state.feed { return .read(feed) }
            state.pending = resume
            return state.place == nil ? .queueUp : .stay
        }
        switch next {
        case .read(let feed): wait(in: feed, mayLook: mayLook, resume)
        case .tell(let outcome): tell(outcome)
        case .queueUp: queueUp()
        case .stay: break
        }
    }

    /// Waits for a place in the budget, in the order of those who ask.
    private func queueUp() {
        note(.budgetWaited, "")
        let budget = stream.flow.budget
        stream.feeds.addPending(key) { [weak self] error in self?.end(error) }
        let number = budget.wait(reserve: stream.configuration.batchBytesMax) {
            [weak self] place in
            if let self { return self.admit(place) }
            // Let go while it waited.
            if let place { budget.remove(place) }
        }
        let isOver = state.withLock { state in
            if state.pending != nil { state.place = number }
            return state.end != nil
        }
        if stream.isClosed { return end(Store.closed()) }
        if isOver, giveUp() { return admit(nil) }
        guard case .wait(let timeout?) = options.whenFull else { return }
        stream.flow.timers.schedule(after: timeout.nanoseconds) { [weak self] in
            guard let self, self.giveUp() else { return }
            self.note(.budgetRefused, "")
            self.admit(nil)
        }
    }

    /// Leaves the queue for a place; `false` if it was given already.
    @discardableResult
    private func giveUp() -> Bool {
        guard let place = state.withLock({ $0.place }) else { return false }
        return stream.flow.budget.giveUp(place)
    }

    /// Whoever waits gets this instead.
    private func leave(_ outcome: FeedOutcome, call: UInt64) {
        var resume: (@Sendable (FeedOutcome) -> Void)?
        var place: (feed: Feed<RealFileSystem>, waiter: UInt64)?
        state.withLock { state in
            guard state.call == call else { return }
            resume = state.pending.take()
            if let waiter = state.waiter, let feed = state.feed {
                place = (feed, waiter)
            } else if resume == nil {
                state.early = outcome
            }
        }
        if let resume { return resume(outcome) }
        if let place { place.feed.leave(place.waiter, outcome) }
    }

    /// What comes next. A cancelled task ends the subscription.
    private func next(timeout: Duration?) async throws -> FeedOutcome {
        if let timeout { try SubscriptionOptions.expect(timeout, "timeout") }
        if Task.isCancelled { end(nil) }
        if let outcome = state.withLock({ $0.feed })?.poll() { return outcome }
        let deadline = timeout.map { MonotonicClock.now() + $0.nanoseconds }
        while true {
            var timer: TimerID?
            let outcome = await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    wait(mayLook: true) { continuation.resume(returning: $0) }
                    timer = expire(at: deadline)
                }
            } onCancel: {
                end(nil)
            }
            if let timer { stream.flow.timers.cancel(timer) }
            if let found = looked(outcome) { return found }
        }
    }

    /// What came, or what there is to be seen; `nil`: it has to wait once more.
    private func looked(_ outcome: FeedOutcome) -> FeedOutcome? {
        guard case .look(let generation) = outcome else { return outcome }
        return state.withLock { $0.feed }?.look(generation)
    }

    /// The same on a thread of the caller's.
    private func nextBlocking(timeout: Duration?) throws(WeirError) -> FeedOutcome {
        if let timeout { try SubscriptionOptions.expect(timeout, "timeout") }
        if let outcome = state.withLock({ $0.feed })?.poll() { return outcome }
        let deadline = timeout.map { MonotonicClock.now() + $0.nanoseconds }
        while true {
            let found = Monitor<FeedOutcome?>(nil)
            wait(mayLook: true) { outcome in found.signal { $0 = outcome } }
            let milliseconds = Self.nanosecondsLeft(deadline).map { Int(max(1, $0 / 1_000_000)) }
            var outcome = found.wait(milliseconds: milliseconds, until: { $0 })
            if outcome == nil {
                leave(.timedOut, call: state.withLock { $0.call })
                outcome = found.wait { $0 } ?? .timedOut
            }
            if let outcome, let found = looked(outcome) { return found }
        }
    }

    private func expire(at deadline: Moment?) -> TimerID? {
        guard let left = Self.nanosecondsLeft(deadline) else { return nil }
        let call = state.withLock { $0.call }
        return stream.flow.timers.schedule(after: left) { [weak self] in
            self?.leave(.timedOut, call: call)
        }
    }

    private static func nanosecondsLeft(_ deadline: Moment?) -> Int64? {
        deadline.map { max(0, $0 - MonotonicClock.now()) }
    }

    // MARK: what it gets

    private func event(_ outcome: FeedOutcome) throws(WeirError) -> SubscriptionEvent? {
        switch outcome {
        case .batch(let batch, let id):
            let holder = state.withLock { $0.feed }
            return .batch(RecordBatch(batch, lease: holder.map { Lease(id, of: $0) }))
        case .gap(let gap):
            gaps.add(1, ordering: .relaxed)
            return .gap(gap)
        case .failure(let error): throw error
        case .timedOut:
            note(.timedOut, "")
            throw WeirError(
                .timedOut,
                "No batch of \(stream.name) came within the timeout; "
                    + (state.withLock { $0.feed }?.lackOfCredit ?? "ask again, or look with "
                        + "`weir flow` at what the producers do."))
        case .look, .end: return nil
        }
    }

    func nextEvent(timeout: Duration?) async throws -> SubscriptionEvent? {
        let event = try event(try await next(timeout: timeout))
        if case .gap(let gap)? = event { note(.gap, gap.detail) }
        return event
    }

    func nextEventBlocking(timeout: Duration?) throws(WeirError) -> SubscriptionEvent? {
        let event = try event(try nextBlocking(timeout: timeout))
        if case .gap(let gap)? = event { note(.gap, gap.detail) }
        return event
    }

    func nextBatch(timeout: Duration?) async throws -> RecordBatch? {
        while true {
            if let batch = try batch(try event(try await next(timeout: timeout))) { return batch }
            if ended() != nil { return nil }
        }
    }

    func nextBatchBlocking(timeout: Duration?) throws(WeirError) -> RecordBatch? {
        while true {
            if let batch = try batch(try event(try nextBlocking(timeout: timeout))) { return batch }
            if ended() != nil { return nil }
        }
    }

    /// Calls `tell` once, on any thread, with the next batch or why there is none; `nil` at the
    /// end.
    func ask(_ tell: @escaping @Sendable (Result<RecordBatch?, WeirError>) -> Void) {
        wait(mayLook: false) { outcome in
            do throws(WeirError) {
                if let batch = try self.batch(try self.event(outcome)) {
                    return tell(.success(batch))
                }
            } catch {
                return tell(.failure(error))
            }
            if self.ended() != nil { tell(.success(nil)) } else { self.ask(tell) }
        }
    }

    /// `nil` for a gap that is skipped, and for the end.
    private func batch(_ event: SubscriptionEvent?) throws(WeirError) -> RecordBatch? {
        switch event {
        case .batch(let batch): return batch
        case .gap(let gap) where options.onGap == .skip:
            note(.gapSkipped, gap.detail)
            return nil
        case .gap(let gap) where gap.next < gap.expected:
            note(.gap, gap.detail)
            throw WeirError(
                .gap,
                "The records from offset \(gap.next) to before \(gap.expected) were lost before "
                    + "they were durable (\(gap.reason.rawValue)), after they had been processed; "
                    + "ask again to go on at offset \(gap.next), where others may stand by now.",
                at: .init(stream: stream.name.description, offset: gap.next), cause: gap.detail)
        case .gap(let gap):
            note(.gap, gap.detail)
            throw WeirError(
                .gap,
                "\(gap.next - gap.expected) records are not there, from offset \(gap.expected) to "
                    + "before \(gap.next) (\(gap.reason.rawValue)); ask again to go on behind "
                    + "them, or subscribe with onGap: .skip.",
                at: .init(stream: stream.name.description, offset: gap.expected),
                cause: gap.detail)
        case nil: return nil
        }
    }

    var gapCount: Int { gaps.load(ordering: .relaxed) }

    func grant(_ credit: Credit) throws(WeirError) {
        if let feed = state.withLock({ $0.feed }) { return try feed.grant(credit) }
        // Tried on an account of its own, which says what is wrong with it.
        try state.withLock { state throws(WeirError) in
            var trial = CreditLedger(
                window: .zero, maxQueue: .zero, isManual: options.mode == .manual)
            if state.end != nil { trial.end() }
            for credit in state.granted + [credit] { try trial.grant(credit) }
            state.granted.append(credit)
        }
    }

    /// Nothing is read any more; whoever waits is told so.
    func end(_ error: WeirError?) {
        let (isFirst, resume, feed) = state.withLock { state in
            let isFirst = state.end == nil
            if isFirst { state.end = .some(error) }
            return (isFirst, state.pending.take(), state.feed)
        }
        guard isFirst else { return }
        stream.feeds.removePending(key)
        giveUp()
        resume?(error.map { .failure($0) } ?? .end)
        feed?.finish(error)
        if !stream.isClosed { note(.cancelled, "") }
    }
}
