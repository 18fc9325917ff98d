import WeirBase
import WeirFlow

/// The store's memory for reading ahead, shared by its subscriptions, and the queue of those who
/// wait for a place in it.
final class StoreBudget: Sendable {
    fileprivate struct State {
        var budget: MemoryBudget
        var waiting: [(id: UInt64, reserve: Int, admit: @Sendable (UInt64?) -> Void)] = []
        var next: UInt64 = 0
    }
    private let state: Lock<State>
    /// Calls from a place without locks: memory may come back under a subscription's.
    private let calling: @Sendable (@escaping @Sendable () -> Void) -> Void

    init(
        total: Int,
        calling: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void = { $0() }
    ) {
        state = Lock(State(budget: MemoryBudget(total: total)))
        self.calling = calling
    }

    private func call(_ ready: [(admit: @Sendable (UInt64?) -> Void, id: UInt64)]) {
        guard !ready.isEmpty else { return }
        calling { for (admit, id) in ready { admit(id) } }
    }

    /// A place for a subscription whose largest batch is `reserve`; `nil` if it does not fit now.
    func admit(reserve: Int) -> UInt64? {
        state.withLock { $0.waiting.isEmpty ? $0.budget.admit(reserve: reserve) : nil }
    }

    func couldAdmit(reserve: Int) -> Bool {
        state.withLock { $0.budget.couldAdmit(reserve: reserve) }
    }

    /// Calls `admit` with a place when there is one, in the order of these calls; with `nil` if the
    /// store is closed before. Returns a number to give up with.
    func wait(
        reserve: Int, admit: @escaping @Sendable (UInt64?) -> Void
    ) -> UInt64 {
        let (number, ready) = state.withLock { state in
            state.next += 1
            state.waiting.append((state.next, reserve, admit))
            return (state.next, state.admitWaiting())
        }
        for (admit, id) in ready { admit(id) }
        return number
    }

    /// Gives up waiting; `false` if the place was given already.
    func giveUp(_ number: UInt64) -> Bool {
        let (isFirst, left, ready) = state.withLock { state in
            let left = state.waiting.filter { $0.id == number }
            state.waiting.removeAll { $0.id == number }
            // It may have been the one that did not fit.
            return (!left.isEmpty, left, state.admitWaiting())
        }
        withExtendedLifetime(left) {}
        call(ready)
        return isFirst
    }

    func take(_ bytes: Int, for id: UInt64) -> Bool {
        state.withLock { $0.budget.take(bytes, for: id) }
    }

    func give(_ bytes: Int, from id: UInt64) {
        let ready = state.withLock { state in
            state.budget.give(bytes, from: id)
            return state.waiting.isEmpty ? [] : state.admitWaiting()
        }
        call(ready)
    }

    func share(of id: UInt64) -> Int { state.withLock { $0.budget.share(of: id) } }
    func room(of id: UInt64) -> Int { state.withLock { $0.budget.room(of: id) } }

    func remove(_ id: UInt64) {
        let ready = state.withLock { state in
            state.budget.remove(id)
            return state.admitWaiting()
        }
        call(ready)
    }

    /// Nobody waits any more.
    func end() {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for place in waiting { place.admit(nil) }
    }

    var report: FlowReport.Budget {
        state.withLock {
            FlowReport.Budget(
                totalBytes: $0.budget.total, reservedBytes: $0.budget.reserved,
                usedBytes: $0.budget.used, waiting: $0.waiting.count)
        }
    }
}

extension StoreBudget.State {
    /// The first in the queue who fit now; nobody overtakes.
    fileprivate mutating func admitWaiting() -> [(admit: @Sendable (UInt64?) -> Void, id: UInt64)] {
        var ready: [(admit: @Sendable (UInt64?) -> Void, id: UInt64)] = []
        while let first = waiting.first, let id = budget.admit(reserve: first.reserve) {
            ready.append((first.admit, id))
            waiting.removeFirst()
        }
        return ready
    }
}

/// One subscription's place in the store's budget.
struct BudgetAccount: Sendable {
    let budget: StoreBudget
    let id: UInt64

    func take(_ bytes: Int) -> Bool { budget.take(bytes, for: id) }
    func give(_ bytes: Int) { budget.give(bytes, from: id) }
    /// How much more it may take now.
    var room: Credit { Credit(bytes: budget.room(of: id), records: Credit.unlimited.records) }
    var share: Int { budget.share(of: id) }
    func close() { budget.remove(id) }
}
