import WeirBase
import WeirFlow
import WeirFormat
import WeirLog

/// What a consumer does: asks, waits, releases, keeps, grants, ends.
extension FeedState {
    /// The consumer asks: its last batch's credit comes back. `nil` if it has to wait.
    mutating func ask(at now: Moment) -> FeedOutcome? {
        if waiter != nil || isLooking, end == nil { return .failure(FeedState.twoAtOnce()) }
        if let broken = releaseLast(at: now) { return .failure(broken) }
        if let end { return end.map { .failure($0) } ?? .end }
        if !isQueueEmpty {
            let outcome = takeNext(at: now)
            resumeReader()
            return outcome
        }
        if let failure {
            self.failure = nil
            return .failure(failure)
        }
        return nil
    }

    /// It waits; `ask` said that there is nothing.
    mutating func wait(_ waiter: FeedWaiter, at now: Moment) {
        self.waiter = waiter
        waitingSince = now
        resumeReader()
        watch()
    }

    /// It waits no more; `true` if it was still waiting.
    mutating func leave(_ id: UInt64, _ outcome: FeedOutcome) -> Bool {
        guard let waiter, waiter.id == id else { return false }
        self.waiter = nil
        effects.append(.resume(waiter, outcome))
        return true
    }

    mutating func takeNext(at now: Moment) -> FeedOutcome {
        let item = queue[queueStart]
        // Nothing here holds its memory any longer.
        queue[queueStart] = Queued(outcome: .end, size: .zero, at: now)
        queueStart += 1
        if queueStart == queue.count || queueStart >= 64 {
            queue.removeFirst(queueStart)
            queueStart = 0
        }
        switch item.outcome {
        case .batch(let batch, let id):
            ledger.take(item.size)
            lease = Lease(
                id: id, batch: batch, size: item.size, queuedAt: item.at, takenAt: now)
            deliveredEnd = batch.header.endOffset
            window?.queued(ledger.queued, at: now)
        case .gap(let gap): deliveredEnd = gap.next
        case .failure, .timedOut, .look, .end: break
        }
        return item.outcome
    }

    /// Gives the last batch's credit back; an error if its bytes were lost while it was used.
    private mutating func releaseLast(at now: Moment) -> WeirError? {
        guard let last = lease else { return nil }
        release(last, at: now)
        guard !last.batch.isIntact else { return nil }
        return FeedState.lost(last.batch)
    }

    private mutating func release(_ last: Lease, at now: Moment, toKeep: Bool = false) {
        lease = nil
        ledger.release(last.size, toKeep: toKeep)
        account.give(last.size.bytes)
        if toKeep {
            let first = max(last.batch.header.firstOffset, last.batch.firstWanted)
            kept[last.id] = (first, last.size)
        }
        if now - last.takenAt > settings.budgetNanoseconds {
            effects.append(
                .note(.leaseHeld, "\((now - last.takenAt) / 1_000_000) milliseconds"))
        }
        effects.append(
            .residence(nanoseconds: now - last.queuedAt, records: last.size.records))
        window?.released(
            last.size, residenceNanoseconds: now - last.queuedAt,
            leaseNanoseconds: now - last.takenAt, at: now)
        stepWindow(at: now)
        changed(at: now)
        if let offset = releasedOffset { effects.append(.released(offset)) }
    }

    /// The consumer gives a batch back by hand, the last one or one that it kept. After the end
    /// there is nothing left to give back.
    mutating func release(_ id: UInt64, at now: Moment) throws(WeirError) {
        if let last = lease, last.id == id {
            release(last, at: now)
            resumeReader()
        } else if let held = kept.removeValue(forKey: id) {
            ledger.releaseKept(held.size)
            tellReleased()
        } else if end == nil {
            throw WeirError(
                .invalidArgument,
                "The batch was released already, by hand or by asking for the next one; call "
                    + "keep() before that to hold on to it.")
        }
    }

    /// Not after the end: the consumer is gone then.
    mutating func tellReleased() {
        if end == nil, let offset = releasedOffset { effects.append(.released(offset)) }
    }

    mutating func keep(_ id: UInt64, at now: Moment) throws(WeirError) {
        if kept[id] != nil || end != nil { return }
        guard let last = lease, last.id == id else {
            throw WeirError(
                .invalidArgument,
                "The batch was released already, so it cannot be kept; call keep() before asking "
                    + "for the next one.")
        }
        release(last, at: now, toKeep: true)
        resumeReader()
    }

    mutating func grant(_ credit: Credit, at now: Moment) throws(WeirError) {
        try ledger.grant(credit)
        changed(at: now)
        resumeReader()
    }

    static func twoAtOnce() -> WeirError {
        WeirError(
            .invalidArgument,
            "Two tasks ask one subscription at the same time; subscribe once for each.")
    }

    static func lost(_ batch: LentBatch) -> WeirError {
        WeirError.damaged(
            "Pages of a segment vanished while a batch was read: the file was cut, or its medium "
                + "fails. Read it with copying, and check the disk",
            offset: batch.header.firstOffset)
    }

    /// Nothing follows: everything that is held for the consumer is given back.
    mutating func finish(_ error: WeirError?, at now: Moment) {
        guard end == nil else { return }
        end = .some(error)
        generation += 1
        for item in queue[queueStart...] where item.size != .zero {
            ledger.drop(item.size)
            account.give(item.size.bytes)
        }
        queue = []
        queueStart = 0
        dropInFlight()
        if let last = lease {
            lease = nil
            ledger.release(last.size)
            account.give(last.size.bytes)
        }
        ledger.end()
        occupancy.note(0, of: 1, at: now)
        if let waiter {
            self.waiter = nil
            effects.append(.resume(waiter, error.map { .failure($0) } ?? .end))
        }
        effects.append(.ended)
    }
}
