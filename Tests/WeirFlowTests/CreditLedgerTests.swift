import Testing
import WeirBase
import WeirFlow

/// A subscription in small: the ledger, one reader that parks, one consumer.
private struct SmallSubscription: Hashable {
    var ledger: CreditLedger
    /// Sizes that are read ahead, in order.
    var queue: [Int] = []
    var leased: Int?
    var kept: Int?
    var isWaiting = false
    var isReading = false

    func credit(_ size: Int) -> Credit { Credit(bytes: size, records: 1 + size % 2) }

    mutating func ask() {
        giveBack()
        guard !queue.isEmpty else {
            isWaiting = true
            return resume()
        }
        take()
        resume()
    }

    private mutating func take() {
        let size = queue.removeFirst()
        ledger.take(credit(size))
        leased = size
    }

    mutating func giveBack(toKeep: Bool = false) {
        guard let size = leased else { return }
        leased = nil
        ledger.release(credit(size), toKeep: toKeep)
        if toKeep { kept = size }
        resume()
    }

    mutating func releaseKept() {
        guard let size = kept else { return }
        kept = nil
        ledger.releaseKept(credit(size))
    }

    mutating func resume() {
        if ledger.mayResume(consumerWaits: isWaiting) { isReading = true }
    }

    /// The reader meets a batch of this size.
    mutating func meet(_ size: Int) {
        guard case .read = ledger.reserve(credit(size), consumerWaits: isWaiting) else {
            isReading = false
            return
        }
        queue.append(size)
        if isWaiting {
            isWaiting = false
            take()
        }
    }

    /// Everything that may happen next.
    func next(grants: [Int]) -> [SmallSubscription] {
        var found: [SmallSubscription] = []
        func add(_ event: (inout SmallSubscription) -> Void) {
            var copy = self
            event(&copy)
            if copy != self { found.append(copy) }
        }
        if isReading { for size in 1...3 { add { $0.meet(size) } } }
        if !isWaiting { add { $0.ask() } }
        add { $0.giveBack() }
        if kept == nil { add { $0.giveBack(toKeep: true) } }
        add { $0.releaseKept() }
        for grant in grants where ledger.available.bytes < 4 && ledger.available.records < 4 {
            add { copy in
                do throws(WeirError) {
                    try copy.ledger.grant(Credit(bytes: grant, records: grant))
                    copy.resume()
                } catch {
                    Issue.record("\(error)")
                }
            }
        }
        return found
    }
}

@Suite("A credit ledger")
struct CreditLedgerTests {
    private func explore(_ first: SmallSubscription, grants: [Int]) -> Int {
        var seen: Set<SmallSubscription> = [first]
        var open = [first]
        while let state = open.popLast() {
            check(state)
            for next in state.next(grants: grants) where seen.insert(next).inserted {
                open.append(next)
            }
        }
        return seen.count
    }

    private func check(_ state: SmallSubscription) {
        let ledger = state.ledger
        let most = Credit(bytes: 3, records: 2)
        if !ledger.isManual {
            #expect(ledger.available + ledger.outstanding == ledger.window)
            #expect((ledger.window + most).covers(ledger.outstanding))
        }
        #expect(ledger.queued.bytes == state.queue.reduce(0, +))
        #expect(ledger.leased.bytes == state.leased ?? 0)
        #expect(ledger.kept.bytes == state.kept ?? 0)
        // Locked up: it waits, has credit, and nobody reads.
        #expect(!(state.isWaiting && !state.isReading && ledger.available.isPositive))
        #expect(ledger.isManual || !state.isWaiting || state.isReading)
    }

    @Test func `locks up in no combination of window, queue and batch, and loses no credit`() {
        var count = 0
        for window in 1...6 {
            for queue in 0...window {
                for records in 1...4 {
                    count += explore(
                        SmallSubscription(
                            ledger: CreditLedger(
                                window: Credit(bytes: window, records: records),
                                maxQueue: Credit(bytes: queue, records: records))),
                        grants: [])
                }
            }
        }
        #expect(count > 1000)
    }

    @Test func `locks up in no combination of grants and batches`() {
        var count = 0
        for queue in 0...4 {
            for grants in [[1], [2], [3], [1, 2, 3]] {
                count += explore(
                    SmallSubscription(
                        ledger: CreditLedger(
                            window: .zero, maxQueue: Credit(bytes: queue, records: queue),
                            isManual: true)),
                    grants: grants)
            }
        }
        #expect(count > 1000)
    }

    @Test func `resumes when a good part of the window is free, not at every crumb`() {
        var ledger = CreditLedger(
            window: Credit(bytes: 100, records: 100), maxQueue: Credit(bytes: 100, records: 100))
        let crumb = Credit(bytes: 5, records: 1)
        for _ in 0..<20 { _ = ledger.reserve(crumb, consumerWaits: false) }
        let verdict = ledger.reserve(crumb, consumerWaits: false)
        #expect(verdict == .hold)
        #expect(ledger.isExhausted)
        var released = 0
        while !ledger.mayResume(consumerWaits: false) {
            ledger.take(crumb)
            ledger.release(crumb)
            released += 1
        }
        #expect(released == 5)
    }

    @Test func `brings in no more ahead than credit and queue allow`() {
        var ledger = CreditLedger(
            window: Credit(bytes: 100, records: 10), maxQueue: Credit(bytes: 50, records: 10))
        let verdict = ledger.reserve(Credit(bytes: 30, records: 1), consumerWaits: false)
        #expect(verdict == .read(ahead: Credit(bytes: 20, records: 9), isOverdraft: false))
    }

    @Test func `takes a smaller window when what is out comes back`() {
        var ledger = CreditLedger(
            window: Credit(bytes: 100, records: 10), maxQueue: Credit(bytes: 100, records: 10))
        let size = Credit(bytes: 80, records: 1)
        _ = ledger.reserve(size, consumerWaits: false)
        ledger.resize(to: Credit(bytes: 10, records: 1))
        #expect(ledger.available == Credit(bytes: -70, records: 0))
        ledger.take(size)
        ledger.release(size)
        #expect(ledger.available == Credit(bytes: 10, records: 1))
    }

    @Test func `refuses grants that would overflow, and keeps its credit`() throws {
        var ledger = CreditLedger(window: .zero, maxQueue: .unlimited, isManual: true)
        try ledger.grant(.unlimited)
        #expect(throws: WeirError.self) { try ledger.grant(Credit(bytes: 1, records: 0)) }
        #expect(throws: WeirError.self) { try ledger.grant(Credit(bytes: .max, records: 1)) }
        #expect(ledger.available == .unlimited)
    }
}

@Suite("The memory of all subscriptions")
struct MemoryBudgetTests {
    @Test func `is never more than the total, and each can go on within its reserve`() {
        var budget = MemoryBudget(total: 1000)
        let members = (0..<5).compactMap { _ in budget.admit(reserve: 100) }
        #expect(members.count == 5)
        for _ in 0..<100 { for member in members { _ = budget.take(30, for: member) } }
        #expect(budget.used <= 1000)
        for member in members {
            while budget.used > 0, budget.take(1, for: member) {}
            budget.give(100, from: member)
            // What was set aside for it is there.
            let isThere = budget.take(90, for: member)
            #expect(isThere)
        }
    }

    @Test func `lends half of what is spare to whoever asks first, the rest by fair shares`() {
        var budget = MemoryBudget(total: 1000)
        let members = (0..<4).compactMap { _ in budget.admit(reserve: 50) }
        var taken = 0
        while budget.take(10, for: members[0]) { taken += 10 }
        // Its reserve of 50, and half of the 800 that are spare.
        #expect(taken == 450)
        var other = 0
        while budget.take(10, for: members[1]) { other += 10 }
        #expect(other == 50 + 200)
        #expect(budget.share(of: members[1]) == 250)
    }

    @Test func `admits nobody whose reserve is lent out, until it comes back`() {
        var budget = MemoryBudget(total: 100)
        let first = budget.admit(reserve: 10)
        guard let first else {
            Issue.record("not admitted")
            return
        }
        let isLent = budget.take(55, for: first)
        #expect(isLent)
        let early = budget.admit(reserve: 60)
        #expect(early == nil)
        budget.give(55, from: first)
        let late = budget.admit(reserve: 60)
        #expect(late != nil)
        budget.remove(first)
        #expect(budget.count == 1)
        #expect(budget.used == 0)
    }
}

@Suite("Occupancy over time")
struct OccupancyRingTests {
    private func at(_ milliseconds: Int64) -> Moment {
        Moment(nanoseconds: milliseconds * 1_000_000)
    }

    @Test func `counts the time at each tenth of the window, a row for each second`() {
        var ring = OccupancyRing(start: at(0))
        ring.note(50, of: 100, at: at(400))
        ring.note(150, of: 100, at: at(1300))
        let rows = ring.rows(at: at(2000))
        #expect(rows.count == 2)
        #expect(rows[0][0] == 400)
        #expect(rows[0][6] == 600)
        #expect(rows[1][6] == 300)
        #expect(rows[1][11] == 700)
    }

    @Test func `keeps so many rows, whatever the pause`() {
        var ring = OccupancyRing(start: at(0), rowCountMax: 5)
        ring.note(1, of: 1, at: at(100))
        ring.note(0, of: 1, at: at(1_000_000_000))
        let rows = ring.rows(at: at(1_000_000_500))
        #expect(rows.count <= 6)
        #expect(rows.allSatisfy { $0.reduce(0, +) <= 1000 })
    }
}
