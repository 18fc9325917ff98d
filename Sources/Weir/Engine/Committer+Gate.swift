import Synchronization
import WeirBase
import WeirFlow
import WeirFormat
import WeirLog

extension Committer {
    /// How an append comes to its permits.
    enum Passage: Sendable, Hashable {
        /// As the stream's policy says.
        case asks
        /// It has waited for room, and was told to come again.
        case asksAgain(Patience)
        /// Never waits.
        case asksAtOnce
        /// It has waited, and holds them.
        case holds
    }

    enum Entry: Sendable {
        case queued(Queue.Action)
        /// Nothing was taken: wait for the place, and come again.
        case atGate(GateWait)
    }

    /// What the gate left to be done once the lock is free.
    struct Chores {
        var effects = AppendGate.Effects()
        var tickAt: Moment?
        var ended: [(slot: Slot<GateOutcome>, outcome: GateOutcome)] = []
        /// For whom the gate shut, or opened with an alarm.
        var laggard: (name: String, records: Int)?
    }

    var name: StreamName { writer.view.name }

    // MARK: passing

    /// Takes permits and adds to the queue, in one step under one lock.
    func enter(
        _ size: Credit, _ passage: Passage,
        add: (inout Queue) throws(WeirError) -> Queue.Action
    ) throws(WeirError) -> Entry {
        if isOverQuota.load(ordering: .relaxed) || flow.quota.isOver,
            let wait = try waitForRoom(passage)
        {
            return .atGate(wait)
        }
        let entry = try withGate { shared, chores throws(WeirError) -> Entry? in
            switch try shared.take(size, passage, &chores) {
            case .taken: break
            case .refused, .closed: return nil
            case .wait(let ticket):
                return .atGate(shared.standInLine(ticket, passage, probe: nil))
            }
            do throws(WeirError) {
                return .queued(try add(&shared.queue))
            } catch {
                shared.perform(shared.gate.giveBack(size, at: shared.moment), &chores)
                throw error
            }
        }
        guard let entry else { throw wouldBlock() }
        return entry
    }

    /// Waits for a place in the line to be admitted. A cancelled task leaves the line at once.
    func pass(_ wait: GateWait) async throws {
        let timer = startTimeout(wait)
        let outcome = await withTaskCancellationHandler {
            await wait.slot.outcome()
        } onCancel: {
            leave(wait.place, .cancelled)
        }
        if let timer { flow.timers.cancel(timer) }
        if case .cancelled = outcome { throw CancellationError() }
        try expectAdmitted(outcome, wait)
    }

    /// The same on a thread, which it blocks.
    func passBlocking(_ wait: GateWait) throws(WeirError) {
        let timer = startTimeout(wait)
        let watch = flow.waitingWatch.withLock { $0 }
        let outcome = watch.map { watched(wait, $0) } ?? wait.slot.wait()
        if let timer { flow.timers.cancel(timer) }
        try expectAdmitted(outcome, wait)
    }

    /// Waits until the append that was refused last would pass.
    func ready() async throws {
        let wait = withGate { shared, chores -> GateWait? in
            let size = shared.gate.refusedSize ?? Credit(bytes: 1, records: 1)
            if shared.gate.wouldPass(size) { return nil }
            let (answer, effects) = shared.gate.take(size, at: shared.moment)
            shared.perform(effects, &chores)
            switch answer {
            case .wait(let ticket): return shared.standInLine(ticket, .asks, probe: size)
            case .taken:
                shared.perform(shared.gate.giveBack(size, at: shared.moment), &chores)
                return nil
            case .refused, .closed: return nil
            }
        }
        if let wait { try await pass(wait) }
    }

    private func startTimeout(_ wait: GateWait) -> TimerID? {
        let now = MonotonicClock.now()
        guard let left = wait.patience.nanosecondsLeft(at: now) else { return nil }
        return flow.timers.schedule(after: left) { [weak self] in
            self?.leave(wait.place, .timedOut)
        }
    }

    /// Gives up a place in the line, unless it was admitted before.
    func leave(_ place: GateWait.Place, _ outcome: GateOutcome) {
        withGate { shared, chores in
            guard case .gate(let ticket) = place else {
                return shared.leaveQuota(place, outcome, &chores)
            }
            guard let waiter = shared.waiting.removeValue(forKey: ticket) else { return }
            var isRefused = false
            if case .timedOut = outcome { isRefused = true }
            chores.ended.append((waiter.slot, outcome))
            shared.perform(
                shared.gate.cancel(ticket, isRefused: isRefused, at: shared.moment), &chores)
        }
    }

    private func expectAdmitted(
        _ outcome: GateOutcome, _ wait: GateWait
    ) throws(WeirError) {
        switch outcome {
        case .admitted: return
        case .closed(let error): throw error
        case .timedOut, .cancelled:
            if case .quota = wait.place { throw overQuota() }
            throw WeirError(
                .timedOut,
                "The append waited for \(wait.patience.timeout ?? .zero), as long as the stream's "
                    + "policy lets it, and \(gateState()). Nothing was appended; try again, or "
                    + "give the producers more permits or time.",
                at: .init(stream: name.description))
        }
    }

    private func wouldBlock() -> WeirError {
        WeirError(
            .wouldBlock,
            "The append may not wait, and \(gateState()). Nothing was appended; wait for a "
                + "receipt, or for ready(), and try again.", at: .init(stream: name.description))
    }

    /// Why the gate is closed, for a person.
    func gateState() -> String {
        let report = gateReport()
        if let lag = report.lagRecords, let bound = report.lagBoundRecords, lag > 0 {
            let who = report.slowestConsumer.map { "the consumer \($0)" } ?? "a consumer"
            return "\(report.usedRecords) records are under way and \(who) is \(lag) behind, "
                + "of the \(bound) that it may be; \(report.waiting) appends wait"
        }
        return "\(report.usedBytes) bytes in \(report.usedRecords) records are under way, of "
            + "\(report.limitBytes) bytes and \(report.limitRecords) records; "
            + "\(report.waiting) appends wait"
    }

    // MARK: events

    /// Permits of appends whose outcome is known.
    func giveBack(_ permits: Credit) {
        if permits == .zero { return }
        let end = writer.view.visibleEnd
        withGate { shared, chores in
            shared.perform(
                shared.gate.giveBack(permits, end: end, at: shared.moment), &chores)
        }
    }

    /// Records became visible without an append.
    func tellGateEnd() {
        guard watchesLag.load(ordering: .relaxed) else { return }
        let end = writer.view.visibleEnd
        withGate { shared, chores in
            shared.perform(shared.gate.appended(end: end, at: shared.moment), &chores)
        }
    }

    /// A named live consumer has released everything below an offset.
    func consumer(_ name: String, released: Offset) {
        guard watchesLag.load(ordering: .relaxed) else { return }
        withGate { shared, chores in
            shared.perform(
                shared.gate.consumer(name, released: released, at: shared.moment), &chores)
        }
    }

    func consumerEnded(_ name: String) {
        guard watchesLag.load(ordering: .relaxed) else { return }
        withGate { shared, chores in
            shared.perform(shared.gate.consumerEnded(name, at: shared.moment), &chores)
        }
    }

    /// A cursor was committed or removed. Where it stands is asked under the lock, so that of two
    /// commits the later one counts, whoever tells of it first.
    func cursorMoved(_ name: String, _ committed: () -> Offset?) {
        guard watchesLag.load(ordering: .relaxed) else { return }
        withGate { shared, chores in
            shared.perform(
                shared.gate.consumer(name, committed: committed(), at: shared.moment), &chores)
        }
    }

    /// Holds from now on, for those who wait already too (except for their timeouts). Throws why
    /// nobody passes any more.
    func setPolicy(_ policy: ProducerPolicy) throws(WeirError) {
        let bound = policy.lagBound.map {
            AppendGate.Bound(
                names: $0.consumers.map { Set($0) }, lagRecords: $0.records,
                capNanoseconds: $0.cap.nanoseconds)
        }
        watchesLag.store(bound != nil, ordering: .relaxed)
        let end = writer.view.visibleEnd
        try withGate { shared, chores throws(WeirError) in
            if let refusal = shared.gate.refusal { throw refusal }
            shared.policy = policy
            let time = MonotonicClock.now()
            shared.perform(shared.gate.appended(end: end, at: time), &chores)
            shared.perform(
                shared.gate.change(limit: policy.permits, bound: bound, at: time), &chores)
        }
    }

    var policy: ProducerPolicy { queue.withLock { $0.policy } }

    func gateReport() -> FlowReport.Gate {
        queue.withLock { shared in
            FlowReport.Gate(
                stream: name.description, isOpen: shared.gate.isOpen,
                usedBytes: shared.gate.used.bytes, usedRecords: shared.gate.used.records,
                limitBytes: shared.gate.limit.bytes, limitRecords: shared.gate.limit.records,
                waiting: shared.gate.waitingCount, lagRecords: shared.gate.lagRecords,
                lagBoundRecords: shared.gate.bound?.lagRecords,
                slowestConsumer: shared.gate.slowestConsumer)
        }
    }

    // MARK: performing

    /// Events of the gate under the lock, and what they leave to be done after it.
    func withGate<Result, Failure: Error>(
        _ body: (inout Shared, inout Chores) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var chores = Chores()
        defer { perform(chores) }
        return try queue.withLock { shared throws(Failure) in try body(&shared, &chores) }
    }

    private func perform(_ chores: Chores) {
        let effects = chores.effects
        if effects.isNothing, chores.ended.isEmpty { return }
        for signal in effects.signals { note(signal, chores.laggard) }
        for (slot, outcome) in chores.ended { slot.finish(outcome) }
        if effects.asksReleases { releaseRequests.ask() }
        if let tickAt = chores.tickAt {
            flow.timers.schedule(after: tickAt - MonotonicClock.now()) { [weak self] in
                self?.tick()
            }
        }
    }

    /// The alarm is counted as the consumer's; what else the gate does is the stream's.
    private func note(_ signal: SignalKind, _ laggard: (name: String, records: Int)?) {
        var source = SignalSource(stream: name.description, partition: partition)
        guard let laggard, signal == .gateCapped || signal == .gateClosed else {
            return flow.signals.note(signal, source)
        }
        if signal == .gateCapped {
            source.consumer = laggard.name
            source.variant = "\(flow.variant(for: laggard.name))"
        }
        flow.signals.note(
            signal, source,
            detail: "the consumer \(laggard.name) is \(laggard.records) records behind")
    }

    private func tick() {
        withGate { shared, chores in
            shared.tickAt = nil
            shared.perform(shared.gate.tick(at: shared.moment), &chores)
        }
    }
}

extension Committer.Shared {
    /// Read only where the gate looks at it.
    var moment: Moment { gate.bound == nil ? .zero : MonotonicClock.now() }

    /// Takes permits as far as it must; throws why nobody passes any more.
    mutating func take(
        _ size: Credit, _ passage: Committer.Passage, _ chores: inout Committer.Chores
    ) throws(WeirError) -> AppendGate.Answer {
        if passage == .holds { return .taken }
        if let refusal = gate.refusal { throw refusal }
        let (answer, effects) = gate.take(size, at: moment, mayWait: mayWait(passage))
        perform(effects, &chores)
        return answer
    }

    /// Keeps what an event left to be done. Those who only wanted to know give their permits back
    /// at once, which may admit the next.
    mutating func perform(_ effects: AppendGate.Effects, _ chores: inout Committer.Chores) {
        if effects.isNothing { return }
        chores.effects.merge(effects)
        if effects.signals.contains(.gateCapped)
            || gate.isShutForLag && effects.signals.contains(.gateClosed)
        {
            chores.laggard = gate.laggard
        }
        if let at = effects.tickAt {
            // A gate that opens and shuts many times in its cap needs one timer, not many.
            let isEarlier = tickAt.map { at < $0 } ?? true
            if isEarlier { (tickAt, chores.tickAt) = (at, at) }
        }
        for ticket in effects.admitted {
            guard let waiter = waiting.removeValue(forKey: ticket) else { continue }
            chores.ended.append((waiter.slot, .admitted))
            if let probe = waiter.probe {
                perform(gate.giveBack(probe, at: moment), &chores)
            }
        }
    }

    func mayWait(_ passage: Committer.Passage) -> Bool {
        switch passage {
        case .asks, .asksAgain: policy.admission != .failFast
        case .asksAtOnce, .holds: false
        }
    }

    /// Of an append that has to wait now.
    func patience(_ passage: Committer.Passage) -> Patience {
        if case .asksAgain(let patience) = passage { return patience }
        var timeout: Duration?
        if case .wait(let found) = policy.admission { timeout = found }
        return Patience(timeout: timeout, from: MonotonicClock.now())
    }

    mutating func standInLine(
        _ ticket: AppendGate.Ticket, _ passage: Committer.Passage, probe: Credit?
    ) -> GateWait {
        let slot = Slot<GateOutcome>()
        waiting[ticket] = GateWaiter(slot: slot, probe: probe)
        return GateWait(place: .gate(ticket), slot: slot, patience: patience(passage))
    }

    mutating func closeGate(_ error: WeirError, _ chores: inout Committer.Chores) {
        for ticket in gate.close(error) {
            guard let waiter = waiting.removeValue(forKey: ticket) else { continue }
            chores.ended.append((waiter.slot, .closed(error)))
        }
        for slot in quota.takeWaiting() { chores.ended.append((slot, .closed(error))) }
    }
}

extension CommitQueue<AppendWaiter>.Batch {
    /// What calls of a level hold, or all of them.
    func permits(of level: DurabilityLevel?) -> Credit {
        calls.reduce(.zero) { sum, call in
            level == nil || call.level == level ? sum + call.permits : sum
        }
    }
}
