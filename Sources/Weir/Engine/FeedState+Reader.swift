import WeirBase
import WeirFlow
import WeirLog

/// What a reader does: meets batches, reads them, rests at the end, fails, is watched.
extension FeedState {
    /// Whether a reader that begins or goes on is still the one.
    func isCurrent(_ generation: UInt64) -> Bool {
        self.generation == generation && end == nil && reader == .reading
    }

    /// Whether there is credit for anything at all.
    var mayLook: Bool {
        guard ledger.available.isPositive else { return false }
        if consumerWaits { return true }
        return settings.readsAhead && ledger.hasRoom
            && !turns.isOver(queuedBytes: ledger.queued.bytes)
    }

    /// Whether the log has something that was not read.
    func hasMore(upTo visibleEnd: Offset) -> Bool {
        visibleEnd > readEnd ?? .zero
    }

    /// Tells once that the credit is used up while the log has more, where no reader meets the next
    /// batch and finds that it does not fit.
    mutating func noteExhausted(visibleEnd: Offset) {
        guard !ledger.isExhausted, inFlight == .zero, hasMore(upTo: visibleEnd) else { return }
        ledger.lacksCredit()
        if ledger.isExhausted { effects.append(.note(.exhausted, "")) }
    }

    /// The first reader found where to begin.
    mutating func begin(at offset: Offset) {
        guard began == nil else { return }
        began = offset
        readEnd = readEnd ?? offset
        effects.append(.released(offset))
    }

    /// The reader met a batch: whether it may read it, and how much it may bring in behind it.
    mutating func admit(_ size: Credit, generation: UInt64, at now: Moment) -> Admission {
        guard isCurrent(generation) else { return .hold }
        // Asked again about the same batch, after a map failed under it.
        dropInFlight()
        let waits = consumerWaits
        guard settings.readsAhead || waits else { return .hold }
        let wasExhausted = ledger.isExhausted
        switch ledger.reserve(size, consumerWaits: waits) {
        case .hold:
            if ledger.isExhausted, !wasExhausted { effects.append(.note(.exhausted, "")) }
            return .hold
        case .read(let ahead, let isOverdraft):
            guard account.take(size.bytes) else {
                ledger.drop(size)
                window?.pressed(at: now)
                return .hold
            }
            if wasExhausted, !ledger.isExhausted { effects.append(.note(.resumed, "")) }
            // Without reading ahead nothing is ever queued, and that is no overdraft.
            if isOverdraft, settings.readsAhead { effects.append(.note(.overdraft, "\(size)")) }
            inFlight = size
            guard settings.readsAhead else { return .read(ahead: .zero) }
            return .read(ahead: turns.limit(ahead.limited(to: account.room)))
        }
    }

    /// What was reserved did not become a batch.
    mutating func dropInFlight() {
        guard inFlight != .zero else { return }
        ledger.drop(inFlight)
        account.give(inFlight.bytes)
        inFlight = .zero
    }

    /// A batch or a gap was read. `false` ends the reader.
    mutating func push(
        _ outcome: FeedOutcome, readEnd: Offset, generation: UInt64, at now: Moment
    ) -> Bool {
        guard isCurrent(generation) else { return false }
        backoff.reset()
        self.readEnd = readEnd
        var outcome = outcome
        var size = Credit.zero
        if case .batch(let batch, _) = outcome {
            nextID += 1
            outcome = .batch(batch, lease: nextID)
            size = inFlight
            inFlight = .zero
        } else {
            dropInFlight()
        }
        queue.append(Queued(outcome: outcome, size: size, at: now))
        // In turns the consumer sleeps until the reader is about to.
        if !turns.isOn || turns.isOver(queuedBytes: ledger.queued.bytes) { serveWaiter(at: now) }
        window?.queued(ledger.queued, at: now)
        stepWindow(at: now)
        noteOccupancy(at: now)
        return true
    }

    /// The consumer, if it waits, gets what is there; before the reader rests, at the latest.
    private mutating func serveWaiter(at now: Moment) {
        guard !isQueueEmpty, let waiter else { return }
        self.waiter = nil
        effects.append(.resume(waiter, takeAwaited(at: now)))
    }

    private mutating func takeAwaited(at now: Moment) -> FeedOutcome {
        window?.starved(from: max(waitingSince, dataSince), to: now)
        return takeNext(at: now)
    }

    /// The batch was held back. `false` parks the reader: nothing has changed since `changes`.
    mutating func park(
        since changes: UInt64, readEnd: Offset, visibleEnd: Offset, generation: UInt64,
        at now: Moment
    ) -> Bool {
        guard isCurrent(generation) else { return false }
        self.readEnd = readEnd
        if self.changes != changes { return true }
        reader = .parked
        serveWaiter(at: now)
        noteExhausted(visibleEnd: visibleEnd)
        return false
    }

    /// Behind damage the reader has not met a batch yet: it comes again, when those who wait for
    /// its thread had their turn.
    mutating func searched(generation: UInt64, at now: Moment) {
        guard isCurrent(generation) else { return }
        searchedAt = now
        dropInFlight()
        serveWaiter(at: now)
        if isLooking { looks.fail() }
        effects.append(.read(generation: generation))
    }

    /// The log's end: the reader comes back when there is more.
    mutating func rest(at readEnd: Offset, generation: UInt64, now: Moment) -> Bool {
        guard isCurrent(generation) else { return false }
        turns.reachedEnd(at: now)
        self.readEnd = readEnd
        serveWaiter(at: now)
        reader = .waiting
        return true
    }

    /// The log has more for a reader that waits at its end. `true` if its consumer waits as well.
    mutating func more(generation: UInt64, at now: Moment) -> Bool {
        guard self.generation == generation, end == nil, reader == .waiting else { return false }
        reader = .reading
        dataSince = now
        guard let waiter else {
            effects.append(.read(generation: generation))
            return false
        }
        if waiter.mayLook, looks.mayLook() {
            self.waiter = nil
            isLooking = true
            effects.append(.resume(waiter, .look(generation: generation)))
        } else {
            effects.append(.read(generation: generation))
        }
        return true
    }

    /// The consumer has looked; what it found, if anything. What it left is a thread's to read.
    mutating func looked(leaving generation: UInt64?, at now: Moment) -> FeedOutcome? {
        isLooking = false
        if let generation, isCurrent(generation) {
            effects.append(.read(generation: generation))
        }
        guard isQueueEmpty else {
            looks = LookBackoff(skippedMax: looks.skippedMax)
            let outcome = takeAwaited(at: now)
            resumeReader()
            return outcome
        }
        // Not that nothing had come after all.
        if generation != nil || reader == .parked { looks.fail() }
        resumeReader()
        return nil
    }

    /// Reading failed. What may pass is tried again; the rest is told when the queue is empty.
    mutating func fail(
        _ error: WeirError, readEnd: Offset?, generation: UInt64, random: UInt64, at now: Moment
    ) {
        guard isCurrent(generation) else { return }
        dropInFlight()
        serveWaiter(at: now)
        window?.failed(at: now)
        stepWindow(at: now)
        self.readEnd = readEnd ?? self.readEnd
        let mayPass = error.code == .system || error.code == .exhausted
        if mayPass, backoff.attempts < settings.retry.attemptsMax {
            reader = .resting
            let wait = backoff.next(random: random)
            effects.append(
                .rest(nanoseconds: wait, generation: generation, because: error.description))
            return
        }
        backoff.reset()
        reader = .parked
        if let waiter, isQueueEmpty {
            self.waiter = nil
            effects.append(.resume(waiter, .failure(error)))
        } else {
            failure = error
        }
    }

    /// The backoff is over.
    mutating func reopen(generation: UInt64, because reason: String) {
        guard self.generation == generation, end == nil, reader == .resting else { return }
        restart(because: reason)
    }

    private mutating func restart(because reason: String) {
        generation += 1
        reader = .reading
        effects.append(.note(.reopened, reason))
        effects.append(.read(generation: generation))
    }

    /// The watchdog: a stall counts only while the consumer waits, credit is left, and the log has
    /// data for it. A search that goes on is none.
    mutating func checkStall(visibleEnd: Offset, at now: Moment) {
        isWatched = false
        serveWaiter(at: now)
        guard end == nil, waiter != nil else { return }
        noteExhausted(visibleEnd: visibleEnd)
        let isLong = now - max(waitingSince, searchedAt) >= settings.stallNanoseconds
        let hasData = readEnd.map { visibleEnd > $0 } ?? true
        if isLong, hasData, ledger.available.isPositive, reader != .resting {
            effects.append(
                .note(.stalled, "no batch for \((now - waitingSince) / 1_000_000) milliseconds"))
            dropInFlight()
            waitingSince = now
            restart(because: "the reader stalled")
        }
        watch()
    }

    mutating func watch() {
        guard waiter != nil, !isWatched else { return }
        isWatched = true
        effects.append(.watch(nanoseconds: settings.stallNanoseconds))
    }

    /// The controller chooses another window when one of its steps is due.
    mutating func stepWindow(at now: Moment) {
        guard let change = window?.step(at: now), let chosen = window?.window else { return }
        ledger.resize(to: chosen)
        switch change {
        case .grew: effects.append(.note(.grew, "\(chosen)"))
        case .shrank: effects.append(.note(.shrank, "\(chosen)"))
        case .halved: effects.append(.note(.halved, "\(chosen)"))
        case .held: break
        }
    }

    /// Something came back that the reader may have waited for.
    mutating func changed(at now: Moment) {
        changes += 1
        noteOccupancy(at: now)
    }

    mutating func noteOccupancy(at now: Moment) {
        occupancy.note(
            ledger.outstanding.bytes, of: max(1, ledger.limit.bytes), at: now)
    }

    mutating func resumeReader() {
        changes += 1
        guard reader == .parked, end == nil, failure == nil else { return }
        guard ledger.mayResume(consumerWaits: consumerWaits) else { return }
        guard consumerWaits || settings.readsAhead && !turns.isOn else { return }
        reader = .reading
        effects.append(.read(generation: generation))
    }
}
