import WeirBase
import WeirFiles
import WeirFlow
import WeirLog

/// Where a subscription stands in the world: threads, time, chance, and whom it tells.
struct FeedSurroundings: Sendable {
    /// Runs what may block, on a thread of Weir's.
    var run: @Sendable (@escaping @Sendable () -> Void) -> Void
    /// Calls once when the stream shows more than it did up to an offset.
    var whenMore: @Sendable (Offset, @escaping @Sendable () -> Void) -> Void
    /// Calls once after so many nanoseconds.
    var after: @Sendable (Int64, @escaping @Sendable () -> Void) -> Void
    var now: @Sendable () -> Moment
    var random: @Sendable () -> UInt64
    var note: @Sendable (SignalKind, String) -> Void
    /// The consumer has released everything below.
    var released: @Sendable (Offset) -> Void
    var delivered: @Sendable (LentBatch) -> Void
    /// When any consumer of the store was last served at the end of its log.
    var tail: TailClock
    var residence: @Sendable (_ nanoseconds: Int64, _ records: Int) -> Void
    var ended: @Sendable () -> Void
}

/// Reads a stream ahead for one consumer, exactly as far as its credit allows.
///
/// The state decides behind one lock; what it wants done is performed outside it. The reader is a
/// job on one of Weir's threads that lives as long as there is credit and data; between jobs
/// nothing waits, so an idle subscription costs memory only.
final class Feed<Files: FileSystem>: Sendable {
    private let view: LogView<Files>
    private let settings: FeedSettings
    private let reading: ReadingMode
    private let around: FeedSurroundings
    /// Where to begin; asked by the first reader.
    private let start: @Sendable () throws(WeirError) -> ReadingStart
    private let state: Lock<Shared>

    private struct Shared {
        var feed: FeedState
        var place: ReaderPlace<Files>?
    }

    init(
        view: LogView<Files>, settings: FeedSettings, reading: ReadingMode,
        account: BudgetAccount, around: FeedSurroundings,
        start: @escaping @Sendable () throws(WeirError) -> ReadingStart
    ) {
        self.view = view
        self.settings = settings
        self.reading = reading
        self.around = around
        self.start = start
        state = Lock(
            Shared(feed: FeedState(settings: settings, account: account, at: around.now())))
        if settings.mode == .conservative { around.note(.degraded, "") }
    }

    /// Decides under the lock, and performs what was decided outside it.
    private func act<Result, Failure: Error>(
        _ body: (inout FeedState) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var effects: [FeedEffect] = []
        defer { for effect in effects { perform(effect) } }
        return try state.withLock { shared throws(Failure) in
            defer { swap(&effects, &shared.feed.effects) }
            return try body(&shared.feed)
        }
    }

    private func perform(_ effect: FeedEffect) {
        switch effect {
        case .resume(let waiter, let outcome): waiter.resume(outcome)
        case .read(let generation): around.run { self.read(generation) }
        case .note(let kind, let detail): around.note(kind, detail)
        case .rest(let nanoseconds, let generation, let reason):
            around.after(nanoseconds) {
                self.act { $0.reopen(generation: generation, because: reason) }
            }
        case .watch(let nanoseconds):
            // Whoever lets go of the subscription is not kept by its watchdog.
            around.after(nanoseconds) { [weak self] in self?.checkStall() }
        case .released(let offset): around.released(offset)
        case .residence(let nanoseconds, let records): around.residence(nanoseconds, records)
        case .ended:
            let place = state.withLock { $0.place.take() }
            // Let go outside the lock: it may close files.
            withExtendedLifetime(place) {}
            around.ended()
        }
    }

    private func checkStall() {
        let visibleEnd = view.visibleEnd
        let now = around.now()
        act { $0.checkStall(visibleEnd: visibleEnd, at: now) }
    }

    // MARK: the consumer

    /// The next batch or gap, if there is one at once.
    func poll() -> FeedOutcome? {
        let now = around.now()
        return act { $0.ask(at: now) }
    }

    /// The same, and `resume` is called once there is one. Returns a number to leave with. With
    /// `mayLook`, it may get `look` and has to call that, on a thread of its own.
    func wait(mayLook: Bool, _ resume: @escaping @Sendable (FeedOutcome) -> Void) -> UInt64 {
        let now = around.now()
        let visibleEnd = view.visibleEnd
        return act { feed in
            feed.nextID += 1
            let waiter = FeedWaiter(id: feed.nextID, mayLook: mayLook, resume: resume)
            if let outcome = feed.ask(at: now) {
                feed.effects.append(.resume(waiter, outcome))
            } else {
                feed.wait(waiter, at: now)
                feed.noteExhausted(visibleEnd: visibleEnd)
            }
            return waiter.id
        }
    }

    /// Whoever still waits with this number gets the outcome instead.
    @discardableResult
    func leave(_ id: UInt64, _ outcome: FeedOutcome) -> Bool {
        act { $0.leave(id, outcome) }
    }

    func grant(_ credit: Credit) throws(WeirError) {
        let now = around.now()
        try act { feed throws(WeirError) in try feed.grant(credit, at: now) }
    }

    /// Ends it: nothing is read any more, everything held for the consumer is given back.
    func finish(_ error: WeirError?) {
        let now = around.now()
        act { $0.finish(error, at: now) }
    }

    /// Producers wait: tells them at once what was released.
    func tellReleased() {
        act { $0.tellReleased() }
    }

    /// What to do where no batch comes for lack of credit, though the log has more.
    var lackOfCredit: String? {
        let visibleEnd = view.visibleEnd
        return state.withLock { shared -> Credit? in
            let feed = shared.feed
            let isLacking = feed.ledger.isManual && !feed.ledger.available.isPositive
            return isLacking && feed.hasMore(upTo: visibleEnd) ? feed.ledger.available : nil
        }.map { "\($0) of credit are left: grant more, of both." }
    }

    /// What an operator sees.
    func report(into report: inout FlowReport.Consumer) {
        let now = around.now()
        let end = view.visibleEnd
        state.withLock { shared in
            let feed = shared.feed
            let released = feed.releasedOffset ?? feed.readEnd ?? .zero
            report.releasedOffset = released.value
            report.lagRecords = feed.readEnd == nil ? 0 : end - released
            report.windowBytes = feed.ledger.limit.bytes
            report.windowRecords = feed.ledger.limit.records
            report.queuedBytes = feed.ledger.queued.bytes
            report.queuedRecords = feed.ledger.queued.records
            report.leasedBytes = feed.ledger.leased.bytes
            report.leaseMicroseconds = feed.lease.map { Int(max(0, now - $0.takenAt) / 1000) }
            report.keptBytes = feed.ledger.kept.bytes
            report.isWaiting = feed.waiter != nil || feed.isLooking
            report.occupancy = feed.occupancy.rows(at: now)
            report.occupancyMilliseconds = feed.occupancy.rowMilliseconds
        }
    }

    /// On the consumer's thread, which may be one of Swift's: reads what was just appended if that
    /// waits for nothing, and otherwise leaves it to a thread of Weir's. `nil`: it has to wait.
    func look(_ generation: UInt64) -> FeedOutcome? {
        let place = state.withLock { $0.feed.isCurrent(generation) ? $0.place : nil }
        let isAtHand = place?.isAtHand ?? false
        if let place, isAtHand, step(place, bytesMax: Limits.lookBytesMax) {
            rest(at: place.offset ?? .zero, generation)
        }
        let now = around.now()
        return act { $0.looked(leaving: isAtHand ? nil : generation, at: now) }
    }

    // MARK: the reader

    /// Reads until there is no credit, no data, or another reader.
    private func read(_ generation: UInt64) {
        let place = state.withLock { shared -> ReaderPlace<Files>? in
            guard shared.feed.isCurrent(generation) else { return nil }
            if let place = shared.place, place.generation == generation { return place }
            let place = ReaderPlace<Files>(generation: generation, offset: shared.feed.readEnd)
            shared.place = place
            return place
        }
        guard let place else { return }
        while step(place) {}
    }

    /// One batch of so many bytes at most, gap, or reason to stop.
    private func step(_ place: ReaderPlace<Files>, bytesMax: Int = .max) -> Bool {
        let generation = place.generation
        let asked = around.now()
        let tailServed = around.tail.served
        let (changes, mayLook, isFirst) = state.withLock { shared in
            shared.feed.turns.look(tailServed: tailServed, at: asked)
            return (shared.feed.changes, shared.feed.mayLook, shared.feed.began == nil)
        }
        if !mayLook, let end = place.offset {
            // Not even at a header.
            return park(since: changes, at: end, generation, asked)
        }
        do throws(WeirError) {
            try place.open { (offset: Offset?) throws(WeirError) -> LogCursor<Files> in
                let begin: ReadingStart
                if let offset { begin = .init(offset: offset) } else { begin = try start() }
                return LogCursor(
                    view: view, at: begin.offset, mode: reading, isExact: true, after: begin.gap)
            }
            if isFirst, let offset = place.offset { act { $0.begin(at: offset) } }
            let step = try place.step { size in
                guard size.bytes <= bytesMax else { return .hold }
                let admission = act { $0.admit(size, generation: generation, at: asked) }
                // Who looks brings nothing in.
                if bytesMax < .max, case .read = admission { return .read(ahead: .zero) }
                return admission
            }
            let end = place.offset ?? .zero
            let now = around.now()
            switch step {
            case .batch:
                guard let batch = place.lend() else {
                    act { $0.dropInFlight() }
                    return true
                }
                around.delivered(batch)
                return act {
                    $0.push(
                        .batch(batch, lease: 0), readEnd: end, generation: generation, at: now)
                }
            case .gap(let gap):
                return act {
                    $0.push(.gap(gap), readEnd: end, generation: generation, at: now)
                }
            case .held:
                return park(since: changes, at: end, generation, asked)
            case .end:
                rest(at: end, generation)
                return false
            case nil:
                act { $0.searched(generation: generation, at: now) }
                return false
            }
        } catch {
            let end = place.offset
            let random = around.random()
            let now = around.now()
            // Before anybody is told: a consumer that asks again may have another thread read here.
            place.close()
            act {
                $0.fail(error, readEnd: end, generation: generation, random: random, at: now)
            }
            return false
        }
    }

    /// Goes on where something has changed; else it tells whether credit is what lacks.
    private func park(
        since changes: UInt64, at end: Offset, _ generation: UInt64, _ now: Moment
    ) -> Bool {
        let visibleEnd = view.visibleEnd
        return act {
            $0.park(
                since: changes, readEnd: end, visibleEnd: visibleEnd, generation: generation,
                at: now)
        }
    }

    private func rest(at end: Offset, _ generation: UInt64) {
        let now = around.now()
        guard act({ $0.rest(at: end, generation: generation, now: now) }) else { return }
        around.whenMore(end) { [weak self] in
            guard let self else { return }
            let now = around.now()
            let consumerWaits = act { $0.more(generation: generation, at: now) }
            // In another process than the writer's it is asked each second, whatever came.
            if consumerWaits, view.visibleEnd > end { around.tail.note(now) }
        }
    }
}

extension Feed: LeaseHolder {
    func release(_ id: UInt64) throws(WeirError) {
        let now = around.now()
        try act { feed throws(WeirError) in try feed.release(id, at: now) }
    }

    func keep(_ id: UInt64) throws(WeirError) {
        let now = around.now()
        try act { feed throws(WeirError) in try feed.keep(id, at: now) }
    }

    func forget(_ id: UInt64) {
        act { feed in
            guard let held = feed.kept.removeValue(forKey: id) else { return }
            feed.ledger.releaseKept(held.size)
            feed.tellReleased()
        }
    }
}

/// Where one reader of a subscription stands. It goes, with its maps, when neither the subscription
/// nor a reader at work holds it any more.
final class ReaderPlace<Files: FileSystem>: @unchecked Sendable {
    // @unchecked: touched by the one reader of its generation only.
    let generation: UInt64
    /// Where to begin, or to go on after an error; `nil` until the start position was looked up.
    private(set) var offset: Offset?
    private var cursor: LogCursor<Files>?

    init(generation: UInt64, offset: Offset?) {
        self.generation = generation
        self.offset = offset
    }

    func open(_ make: (Offset?) throws(WeirError) -> LogCursor<Files>) throws(WeirError) {
        guard cursor == nil else { return }
        let made = try make(offset)
        offset = made.nextOffset
        cursor = consume made
    }

    /// `nil`: it has to be asked again.
    func step(
        _ admitting: LogCursor<Files>.Admitting
    ) throws(WeirError) -> LogCursor<Files>.Step? {
        guard cursor != nil else { return .end }
        let step = try cursor?.step(admitting: admitting)
        offset = cursor?.nextOffset ?? offset
        return step
    }

    /// Whether the next step waits for nothing.
    var isAtHand: Bool {
        // Unpacked it may have so many, and no more stored but for its header and sections.
        cursor?.isAtHand(upTo: 2 * Limits.lookBytesMax) ?? false
    }

    func lend() -> LentBatch? { cursor?.lend() }

    /// The next step begins anew at `offset`.
    func close() { cursor = nil }
}
