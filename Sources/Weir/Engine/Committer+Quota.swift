import Synchronization
import WeirBase
import WeirFormat
import WeirLog

/// What a stream knows of its quota, and who waits for room under it or under the store's.
struct QuotaState: Sendable {
    /// As it was counted last.
    fileprivate(set) var usedBytes: UInt64 = 0
    fileprivate(set) var quota: Quota?
    /// Those who wait for room.
    private var waiting: [UInt64: Slot<GateOutcome>] = [:]
    private var nextNumber: UInt64 = 0

    fileprivate var isOver: Bool { quota?.isReached(by: usedBytes) ?? false }

    fileprivate func answer(mayWait: Bool) -> QuotaAnswer {
        quota?.answer(usedBytes: usedBytes, mayWait: mayWait) ?? .room
    }

    fileprivate mutating func stand(_ slot: Slot<GateOutcome>) -> GateWait.Place {
        nextNumber += 1
        waiting[nextNumber] = slot
        return .quota(nextNumber)
    }

    fileprivate mutating func take(_ number: UInt64) -> Slot<GateOutcome>? {
        waiting.removeValue(forKey: number)
    }

    mutating func takeWaiting() -> [Slot<GateOutcome>] {
        defer { waiting = [:] }
        return Array(waiting.values)
    }
}

/// A stream's quota: whether appends find room, and who waits for it.
///
///     leader, after each group ─────────────────────────┐
///     retention, trim, compaction, change of settings ──┼─▶ count ─▶ over: appends are refused, or
///     the store's look, every 15 seconds ───────────────┘             wait; room: they come again
///
/// Asked before an append takes its permits, so a stream may go beyond its quota by what is under
/// way. The store's quota (`StoreQuota`) is asked behind it, and has its waiting appends in the
/// same line. Weir's own streams have none.
extension Committer {
    /// Looks how many bytes there are. Does nothing for a stream without a quota.
    func countQuota() {
        guard hasQuota.load(ordering: .relaxed), !name.isSystem else { return }
        let (again, isReached) = queue.withLock { shared in
            let (wasOver, before) = (shared.quota.isOver, shared.quota.quota)
            // Under the lock, so that of two counts the later one holds.
            shared.quota.quota = writer.manifest.state.configuration.quota
            shared.quota.usedBytes = writer.view.byteCount
            let isOver = shared.quota.isOver
            isOverQuota.store(isOver, ordering: .relaxed)
            // Another quota may refuse where this one has them wait: they ask again. Those who wait
            // for room in the store are not of this quota's making.
            let isOther = before != shared.quota.quota
            let asksAgain = isOther || wasOver && !isOver
            return (asksAgain ? shared.quota.takeWaiting() : [], isOver && !wasOver)
        }
        for slot in again { slot.finish(.admitted) }
        if isReached {
            flow.signals.note(
                .quotaReached, SignalSource(stream: name.description, partition: partition),
                detail: overQuota().message)
        }
    }

    /// A place to wait in; `nil` if there is room by now. Throws `noSpace` for an append that does
    /// not wait.
    func waitForRoom(_ passage: Passage) throws(WeirError) -> GateWait? {
        // It waited before the gate, and is under way.
        if passage == .holds || name.isSystem { return nil }
        let refusal = overQuota()
        return try queue.withLock { shared throws(WeirError) in
            if let closed = shared.queue.refusal { throw closed }
            let mayWait = shared.mayWait(passage)
            var answer = shared.quota.answer(mayWait: mayWait)
            if answer == .room {
                // Under the lock, which whoever is told has to take: it finds the place in line.
                answer = flow.quota.ask(writer.streamID, mayWait: mayWait) { [weak self] in
                    self?.free()
                }
            }
            switch answer {
            case .room: return nil
            case .refused: throw refusal
            case .waits:
                let slot = Slot<GateOutcome>()
                return GateWait(
                    place: shared.quota.stand(slot), slot: slot,
                    patience: shared.patience(passage))
            }
        }
    }

    /// There is room in the store, or another quota: who waits comes again.
    private func free() {
        for slot in queue.withLock({ $0.quota.takeWaiting() }) { slot.finish(.admitted) }
    }

    func overQuota() -> WeirError {
        let (found, advice) = fullness()
        return WeirError(
            .noSpace, "\(found); nothing was appended. \(advice)",
            at: .init(stream: name.description))
    }

    /// Which quota is reached, and what makes room.
    func fullness() -> (found: String, advice: String) {
        let state = queue.withLock { $0.quota }
        guard state.isOver else { return flow.quota.fullness ?? roomByNow }
        return (
            "The stream \(name) has \(state.usedBytes) bytes, and its quota is "
                + "\(state.quota.map { "\($0.bytesMax)" } ?? "none")",
            "Let retention, `weir trim` or compaction make room, or raise it: `weir config "
                + "\(name) set quota.bytes=SIZE`."
        )
    }

    /// Room came after an append was refused, and before anybody said why.
    private var roomByNow: (found: String, advice: String) {
        (
            "A quota, of the stream \(name) or of the store, was reached, and there is room by now",
            "What was refused can be appended again."
        )
    }
}

extension Committer.Shared {
    mutating func leaveQuota(
        _ place: GateWait.Place, _ outcome: GateOutcome, _ chores: inout Committer.Chores
    ) {
        guard case .quota(let number) = place, let slot = quota.take(number) else { return }
        chores.ended.append((slot, outcome))
    }
}
