import Testing
import WeirBase
import WeirFlow

@testable import Weir

/// A clock that stands still until the test moves it, and what is due by it.
final class TestClock: Sendable {
    private let state = Lock(
        (now: Moment.zero, calls: [(at: Moment, body: @Sendable () -> Void)]()))

    var surroundings: GroupSurroundings {
        GroupSurroundings(
            now: { self.state.withLock { $0.now } },
            after: { nanoseconds, body in
                self.state.withLock { $0.calls.append(($0.now + nanoseconds, body)) }
            })
    }

    func pass(_ seconds: Int64) {
        let due = state.withLock { state in
            state.now = state.now + seconds * 1_000_000_000
            let now = state.now
            let due = state.calls.filter { $0.at <= now }
            state.calls.removeAll { $0.at <= now }
            return due
        }
        for call in due { call.body() }
    }
}

@Suite("A group of consumers")
struct ConsumerGroupTests {
    private let folder = TemporaryFolder()
    private let clock = TestClock()

    /// Partitions of so many records `<partition>.<number>` each, in batches of one.
    private func open(
        _ partitions: Int = 4, records: Int = 5, lease: Duration = .seconds(10)
    ) async throws -> (Store, PartitionedStream, ConsumerGroup) {
        let store = try await Store.open(at: folder.path)
        let orders = try await store.partitionedStream(
            "orders", creating: .init(partitions: partitions, .init(durability: .flushed)))
        for number in 0..<records {
            for partition in 0..<partitions {
                try await orders.append(
                    value: bytes("\(partition).\(number)"), routing: .partition(partition))
            }
        }
        let group = try orders.group(
            "billing", GroupOptions(lease: lease), around: clock.surroundings)
        return (store, orders, group)
    }

    private func values(_ batch: GroupBatch) -> [String] { batch.map { text($0.value) } }

    private func committed(_ orders: PartitionedStream) throws -> [Offset?] {
        try orders.partitions.map { try $0.savedCursor("billing").position?.offset }
    }

    /// The member's next batch of a partition. Those of others, one of each at most, are given back
    /// behind it.
    private func next(_ member: GroupMember, of partition: Int) async throws -> GroupBatch {
        var others: [GroupBatch] = []
        while true {
            let batch = try #require(try await member.nextBatch())
            if batch.partition == partition {
                for other in others { try member.release(other) }
                return batch
            }
            others.append(batch)
        }
    }

    @Test func `shares the partitions, and every record is delivered once`() async throws {
        let (store, orders, group) = try await open()
        let members = [try await group.join("a"), try await group.join("b")]
        #expect(members.map(\.partitions) == [[0, 1], [2, 3]])
        var found: [String] = []
        for member in members {
            for _ in 0..<10 {
                let batch = try #require(try await member.nextBatch())
                #expect(member.partitions.contains(batch.partition))
                found += values(batch)
                try await member.commit(batch)
            }
        }
        #expect(Set(found).count == 20 && found.count == 20)
        #expect(try committed(orders) == [5, 5, 5, 5])
        try await store.close()
    }

    @Test func `sees a lapse in time that no look was due for while a commit was under way`()
        async throws
    {
        let (store, _, group) = try await open(2)
        let member = try await group.join("a")
        let first = try await next(member, of: 0)
        clock.pass(6)
        let answer = group.act { $0.beginCommit(first.ticket, by: "a", at: $1) }
        #expect(answer == .accepted)
        clock.pass(2)
        let second = try await next(member, of: 1)
        // Of the commit's partition nothing may lapse now: the next look is due at 18 seconds.
        clock.pass(2)
        clock.pass(1)
        group.act { $0.endCommit(first.ticket, by: "a", isDurable: false, at: $1) }
        func lapses() -> Int {
            store.signalCounts.values.reduce(0) { $0 + $1[.leaseLapsed].count }
        }
        clock.pass(4)
        #expect(lapses() == 0)
        clock.pass(1)
        #expect(lapses() == 1)
        withExtendedLifetime(second) {}
        try await store.close()
    }

    @Test func `takes its events in the order of their times`() async throws {
        let ticks = Lock(Int64(0))
        let surroundings = GroupSurroundings(
            now: {
                ticks.withLock { count in
                    count += 1
                    return Moment.zero + count
                }
            }, after: { _, _ in })
        let (store, orders, _) = try await open(1, records: 0)
        let group = try orders.group("audit", GroupOptions(), around: surroundings)
        let times = Lock([Moment]())
        await withTaskGroup { tasks in
            for _ in 0..<4 {
                tasks.addTask {
                    for _ in 0..<2_000 { group.act { _, now in times.withLock { $0.append(now) } } }
                }
            }
        }
        let found = times.withLock { $0 }
        #expect(found.count == 8_000)
        #expect(zip(found, found.dropFirst()).allSatisfy { $0 < $1 })
        try await store.close()
    }

    @Test func `has another member take a stalled partition over from the cursor`() async throws {
        let (store, orders, group) = try await open()
        let (a, b) = (try await group.join("a"), try await group.join("b"))
        let first = try await next(a, of: 0)
        try await a.commit(first)
        let stalled = try await next(a, of: 0)
        #expect(values(stalled) == ["0.1"])
        clock.pass(5)
        // Both are heard of, and the first goes on to ask: only one batch is held too long.
        _ = try await next(a, of: 1)
        try b.release(try #require(try await b.nextBatch()))
        let asking = Task { try await a.nextBatch() }
        while !group.isWaiting("a") { await Task.yield() }
        clock.pass(5)
        #expect(group.memberPartitions == [[1], [0, 2, 3]])
        let error = await #expect(throws: WeirError.self) { try await a.commit(stalled) }
        #expect(error?.code == .leaseLost)
        #expect(error?.message.contains("the member b has it now") == true)
        #expect(error?.place?.stream == "orders-0")
        let again = try await next(b, of: 0)
        #expect(values(again) == ["0.1"])
        try await b.commit(again)
        #expect(try committed(orders)[0] == 2)
        let counts = store.signalCounts.filter { $0.key.partition == 0 }.values
        #expect(counts.contains { $0[.leaseLapsed].count == 1 && $0[.takenOver].count == 1 })
        #expect(counts.contains { $0[.commitRefused].count == 1 })
        let labels = store.signalCounts.filter { $0.value[.takenOver].count > 0 }.map(\.key.variant)
        #expect(labels == ["adaptive+lag+prefetch"])
        asking.cancel()
        _ = try await asking.value
        try await store.close()
    }

    @Test func `loses nothing of a member that is not heard of any more`() async throws {
        let (store, orders, group) = try await open()
        let (a, b) = (try await group.join("a"), try await group.join("b"))
        var seen: Set<String> = []
        let first = try #require(try await a.nextBatch())
        seen.formUnion(values(first))
        try await a.commit(first)
        let stalled = try #require(try await a.nextBatch())
        let asking = Task { try await next(b, of: 2) }
        _ = try await asking.value
        clock.pass(9)
        // Heard of in time.
        let later = try #require(try await b.nextBatch())
        try b.release(later)
        clock.pass(1)
        #expect(a.partitions.isEmpty && b.partitions == [0, 1, 2, 3])
        await #expect(throws: WeirError.self) { try await a.commit(stalled) }
        #expect(a.partitions.count == 2)
        b.leave()
        for _ in 0..<19 {
            let batch = try #require(try await a.nextBatch())
            seen.formUnion(values(batch))
            try await a.commit(batch)
        }
        #expect(seen.count == 20)
        #expect(try committed(orders) == [5, 5, 5, 5])
        try await store.close()
    }

    @Test func `leaves the other partitions alone when the work on one stands still`()
        async throws
    {
        let (store, orders, group) = try await open(4, records: 50)
        let a = try await group.join("a")
        let stalled = try await next(a, of: 2)
        var counts = [0, 0, 0, 0]
        // With what was given back to find it, the others are read to their ends.
        while try committed(orders).filter({ $0 == 50 }).count < 3 {
            let batch = try #require(try await a.nextBatch())
            counts[batch.partition] += 1
            try await a.commit(batch)
        }
        #expect(counts[2] == 0)
        #expect(try committed(orders)[2] == nil)
        try await a.commit(stalled)
        let following = try #require(try await a.nextBatch())
        #expect(following.partition == 2 && values(following) == ["2.1"])
        try await store.close()
    }

    @Test func `has spare members wait, and take over`() async throws {
        let (store, _, group) = try await open(2)
        var members: [GroupMember] = []
        for name in ["a", "b", "c", "d", "e"] { members.append(try await group.join(name)) }
        #expect(members.map(\.partitions) == [[0], [1], [], [], []])
        let spare = members[3]
        let waiting = Task { try await spare.nextBatch() }
        while !group.isWaiting("d") { await Task.yield() }
        members[0].leave()
        members[2].leave()
        let batch = try #require(try await waiting.value)
        #expect(values(batch) == ["0.0"])
        #expect(try await members[0].nextBatch() == nil)
        try await store.close()
    }

    @Test func `loses a member whose task is cancelled, and nothing of its work`() async throws {
        let (store, _, group) = try await open(1)
        let (a, b) = (try await group.join("a"), try await group.join("b"))
        let working = Task {
            for try await _ in a where Task.isCancelled { Issue.record("a batch after the end") }
        }
        while !group.isWaiting("a") { await Task.yield() }
        working.cancel()
        try await working.value
        #expect(group.memberNames == ["b"])
        let batch = try #require(try await b.nextBatch())
        #expect(values(batch) == ["0.0"])
        try await store.close()
    }

    @Test func `hands a batch's partition on when the batch is given back`() async throws {
        let (store, _, group) = try await open(2)
        let a = try await group.join("a")
        let held = try await next(a, of: 1)
        let b = try await group.join("b")
        #expect(a.partitions == [0, 1] && b.partitions.isEmpty)
        try a.renew(held)
        try await a.commit(held)
        #expect(a.partitions == [0] && b.partitions == [1])
        #expect(values(try await next(b, of: 1)) == ["1.1"])
        let error = #expect(throws: WeirError.self) { try b.release(held) }
        #expect(error?.code == .invalidArgument)
        try await store.close()
    }

    @Test func `takes the place that a start means when its first member joins`() async throws {
        let (store, orders, _) = try await open(1)
        let late = try orders.group("late", GroupOptions(start: .next))
        let a = try await late.join("a")
        try await orders.append(value: bytes("new"))
        let batch = try #require(try await a.nextBatch())
        #expect(values(batch) == ["new"])
        a.leave()
        // Never committed: whoever follows begins where the one before did.
        let b = try await late.join("b")
        let again = try #require(try await b.nextBatch())
        #expect(values(again) == ["new"])
        try await store.close()
    }

    @Test func `is refused where its name, options or members do not fit`() async throws {
        let (store, orders, group) = try await open(1)
        func code(_ body: () async throws -> Void) async -> WeirError.Code? {
            do {
                try await body()
                return nil
            } catch {
                return (error as? WeirError)?.code
            }
        }
        #expect(await code { _ = try orders.group("a b") } == .invalidArgument)
        #expect(
            await code { _ = try orders.group("x", .init(lease: .zero)) } == .invalidArgument)
        let manual = GroupOptions(subscription: .init(mode: .manual))
        #expect(await code { _ = try orders.group("x", manual) } == .invalidArgument)
        #expect(await code { _ = try orders.group("billing", manual) } == .invalidArgument)
        #expect(try orders.group("billing") === group)
        #expect(
            await code { _ = try orders.group("billing", GroupOptions()) } == .invalidArgument)
        let a = try await group.join("a")
        #expect(await code { _ = try await group.join("a") } == .alreadyExists)
        #expect(await code { _ = try await group.join("a b") } == .invalidArgument)
        #expect(await code { _ = try await a.nextBatch(timeout: .zero) } == .invalidArgument)
        let reader = try await Store.open(at: folder.path, .read)
        let seen = try await reader.partitionedStream("orders")
        #expect(await code { _ = try seen.group("billing") } == .invalidArgument)
        try await reader.close()
        let waiting = Task { try await a.nextBatch() }
        _ = try await waiting.value
        try await store.close()
        #expect(await code { _ = try await a.nextBatch() } == .closed)
        #expect(await code { _ = try await group.join("b") } == .closed)
    }

    @Test func `names the partition whose subscription does not fit, and goes on with the others`()
        async throws
    {
        let store = try await Store.open(at: folder.path, subscriptionBytes: 1 << 20)
        let orders = try await store.partitionedStream("orders", creating: .init(partitions: 2))
        for partition in 0..<2 {
            try await orders.append(value: bytes("x"), routing: .partition(partition))
        }
        let group = try orders.group(
            "billing", GroupOptions(subscription: .init(whenFull: .fail)))
        let member = try await group.join("a")
        var found: GroupBatch?
        var failure: WeirError?
        // Whichever comes first.
        while found == nil || failure == nil {
            do {
                found = try await member.nextBatch()
            } catch let error as WeirError {
                failure = error
                await Task.yield()
            }
        }
        #expect(failure?.code == .exhausted)
        #expect(failure?.place?.stream == "orders-1")
        #expect(found?.partition == 0)
        try await store.close()
    }

    @Test func `keeps nothing of members that came and went, 1,000 times`() async throws {
        let (store, orders, group) = try await open(2)
        for number in 0..<1000 {
            let member = try await group.join("m\(number % 3)")
            if number % 2 == 0 { _ = try await member.nextBatch() }
            if number % 5 == 0 { member.leave() }
        }
        #expect(group.memberNames.isEmpty)
        let feeds = { orders.partitions.reduce(0) { $0 + $1.feeds.all.count } }
        while feeds() > 0 { await Task.yield() }
        #expect(store.flow.budget.report.reservedBytes == 0)
        #expect(store.flow.budget.report.usedBytes == 0)
        try await store.close()
    }

    @Test func `is gone with the last who holds it`() async throws {
        let (store, orders, _) = try await open(1)
        do {
            let other = try orders.group("other")
            #expect(try orders.group("other") === other)
        }
        #expect(orders.groups.withLock { $0.keys.sorted() }.contains("other") == false)
        try await store.close()
    }
}

extension ConsumerGroup {
    fileprivate func isWaiting(_ member: String) -> Bool {
        act { state, _ in state.isWaiting(member) }
    }

    fileprivate var memberPartitions: [[Int]] {
        act { state, now in
            state.memberNames.map { name in
                (0..<stream.partitions.count).filter { state.book.row($0, at: now).holder == name }
            }
        }
    }
}
