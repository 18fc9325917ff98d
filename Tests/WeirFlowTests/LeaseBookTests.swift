import Testing
import WeirBase
import WeirTesting

@testable import WeirFlow

/// A book whose clock the test sets, in seconds; a lease has ten of them.
struct LeaseTrial: Hashable {
    var book: LeaseBook
    var second: Int64 = 0

    init(_ partitions: Int, _ members: [String] = []) {
        book = LeaseBook(partitionCount: partitions, leaseNanoseconds: 10_000_000_000)
        for member in members { _ = join(member) }
    }

    var now: Moment { Moment(nanoseconds: second * 1_000_000_000) }

    mutating func join(_ member: String) -> Bool { book.join(member, at: now) }
    mutating func beginCall(_ member: String) { book.beginCall(member, at: now) }
    mutating func endCall(_ member: String) { book.endCall(member, at: now) }

    mutating func pass(_ seconds: Int64) {
        second += seconds
        book.expire(at: now)
    }

    /// Of the lease that is there.
    mutating func handOut(_ partition: Int) -> LeaseBook.Ticket? {
        guard let lease = book.row(partition, at: now).lease,
            book.mayHandOut(partition, lease: lease)
        else { return nil }
        return book.handOut(partition, lease: lease, at: now)
    }

    /// Both halves of a commit.
    mutating func commit(_ ticket: LeaseBook.Ticket, _ member: String) -> LeaseBook.Answer {
        let answer = book.beginCommit(ticket, by: member, at: now)
        if answer == .accepted { book.endCommit(ticket, by: member, isDurable: true, at: now) }
        return answer
    }

    func holder(_ partition: Int) -> String? { book.row(partition, at: now).holder }
    var holders: [String] { (0..<partitionCount).map { holder($0) ?? "-" } }
    var partitionCount: Int { book.partitionCount }

    mutating func takeChanges() -> [LeaseBook.Change] {
        defer { book.changes = [] }
        return book.changes
    }
}

@Suite("A book of leases")
struct LeaseBookTests {
    @Test func `shares the partitions, and moves those at rest at once`() {
        var trial = LeaseTrial(4, ["a"])
        #expect(trial.holders == ["a", "a", "a", "a"])
        let isNew = trial.join("b")
        #expect(isNew)
        #expect(trial.holders == ["a", "a", "b", "b"])
        let isNewAgain = trial.join("b")
        #expect(!isNewAgain)
    }

    @Test func `moves a partition at work when its batch is given back`() throws {
        var trial = LeaseTrial(2, ["a"])
        let out = trial.handOut(1)
        let ticket = try #require(out)
        _ = trial.join("b")
        #expect(trial.holders == ["a", "a"])
        #expect(trial.book.row(1, at: trial.now).next == "b")
        let answer = trial.commit(ticket, "a")
        #expect(answer == .accepted)
        #expect(trial.holders == ["a", "b"])
        let answerAgain = trial.commit(ticket, "a")
        #expect(answerAgain == .refused(holder: "b"))
    }

    @Test func `lets a partition lapse alone whose batch is held too long`() throws {
        var trial = LeaseTrial(4, ["a", "b"])
        trial.beginCall("a")
        trial.beginCall("b")
        let out = trial.handOut(0)
        let ticket = try #require(out)
        trial.pass(9)
        #expect(trial.holders == ["a", "a", "b", "b"])
        _ = trial.takeChanges()
        trial.pass(1)
        #expect(trial.holders == ["b", "a", "b", "b"])
        let changes = trial.takeChanges()
        #expect(changes.first == .lapsed(partition: 0, of: "a"))
        guard case .granted(0, "b", _, .lapsed(from: "a"))? = changes.last, changes.count == 3
        else {
            Issue.record("\(changes)")
            return
        }
        // What had stalled comes back: it is refused, and the shares are even again.
        let answer = trial.commit(ticket, "a")
        #expect(answer == .refused(holder: "b"))
        #expect(trial.holders == ["b", "a", "b", "a"])
    }

    @Test func `lets everything of a member lapse that is not heard of`() throws {
        var trial = LeaseTrial(4, ["a", "b"])
        trial.beginCall("b")
        let out = trial.handOut(0)
        let ticket = try #require(out)
        trial.pass(10)
        #expect(trial.holders == ["b", "b", "b", "b"])
        #expect(trial.book.isAway("a"))
        let answer = trial.commit(ticket, "a")
        #expect(answer == .refused(holder: "b"))
        #expect(!trial.book.isAway("a"))
        #expect(trial.holders == ["b", "b", "a", "a"])
    }

    @Test func `keeps a lapsed partition for its member where nobody else is there`() throws {
        var trial = LeaseTrial(1, ["a"])
        let out = trial.handOut(0)
        let ticket = try #require(out)
        trial.pass(10)
        #expect(trial.book.row(0, at: trial.now).hasLapsed)
        #expect(trial.book.deadline == nil)
        let answer = trial.commit(ticket, "a")
        #expect(answer == .accepted)
        #expect(!trial.book.row(0, at: trial.now).hasLapsed)
    }

    @Test func `gives a lapsed partition to the next who comes`() throws {
        var trial = LeaseTrial(1, ["a"])
        let out = trial.handOut(0)
        let ticket = try #require(out)
        trial.pass(10)
        _ = trial.join("b")
        #expect(trial.holders == ["b"])
        let answer = trial.book.renew(ticket, by: "a", at: trial.now)
        #expect(answer == .refused(holder: "b"))
    }

    @Test func `gives it to the same member anew that asks for more and is the only one`() throws {
        var trial = LeaseTrial(1, ["a"])
        trial.beginCall("a")
        let out = trial.handOut(0)
        let ticket = try #require(out)
        trial.pass(10)
        #expect(trial.holders == ["a"])
        let answer = trial.commit(ticket, "a")
        #expect(answer == .refused(holder: "a"))
        let ticketAgain = trial.handOut(0)
        #expect(ticketAgain != nil)
    }

    @Test func `counts a lease's time anew from each sign of its work`() throws {
        var trial = LeaseTrial(1, ["a", "b"])
        trial.beginCall("b")
        let out = trial.handOut(0)
        let ticket = try #require(out)
        for _ in 0..<3 {
            trial.pass(9)
            let answer = trial.book.renew(ticket, by: "a", at: trial.now)
            #expect(answer == .accepted)
        }
        #expect(trial.book.row(0, at: trial.now).remainingNanoseconds == 10_000_000_000)
        trial.pass(10)
        #expect(trial.holders == ["b"])
    }

    @Test func `gives nothing away while a commit is under way`() throws {
        var trial = LeaseTrial(1, ["a", "b"])
        trial.beginCall("b")
        let out = trial.handOut(0)
        let ticket = try #require(out)
        let answer = trial.book.beginCommit(ticket, by: "a", at: trial.now)
        #expect(answer == .accepted)
        trial.pass(100)
        #expect(trial.holders == ["a"])
        trial.book.leave("a")
        #expect(trial.holders == ["a"])
        trial.book.endCommit(ticket, by: "a", isDurable: true, at: trial.now)
        #expect(trial.holders == ["b"])
    }

    @Test func `does not take an earlier member for a later one of its name`() throws {
        var trial = LeaseTrial(1, ["a"])
        let out = trial.handOut(0)
        let ticket = try #require(out)
        let answer = trial.book.beginCommit(ticket, by: "a", at: trial.now)
        #expect(answer == .accepted)
        trial.book.leave("a")
        _ = trial.join("a")
        trial.beginCall("a")
        trial.book.endCommit(ticket, by: "a", isDurable: true, at: trial.now)
        trial.pass(100)
        // Its call is still under way.
        #expect(!trial.book.isAway("a"))
        let answerAgain = trial.commit(ticket, "a")
        #expect(answerAgain == .refused(holder: "a"))
    }

    @Test func `has spare members wait, and take over`() {
        var trial = LeaseTrial(2, ["a", "b", "c", "d"])
        #expect(trial.holders == ["a", "b"])
        for member in ["b", "c", "d"] { trial.beginCall(member) }
        trial.pass(10)
        #expect(trial.holders == ["c", "b"])
        trial.book.leave("b")
        #expect(trial.holders == ["c", "d"])
        trial.book.leave("c")
        trial.book.leave("d")
        // Who was away is nobody to give to.
        #expect(trial.holders == ["-", "-"])
        trial.beginCall("a")
        #expect(trial.holders == ["a", "a"])
    }

    @Test func `knows when it has to look again`() throws {
        var trial = LeaseTrial(2, ["a"])
        #expect(trial.book.deadline == Moment(nanoseconds: 10_000_000_000))
        trial.second = 3
        trial.beginCall("a")
        #expect(trial.book.deadline == nil)
        let out = trial.handOut(0)
        let ticket = try #require(out)
        #expect(trial.book.deadline == Moment(nanoseconds: 13_000_000_000))
        _ = trial.commit(ticket, "a")
        trial.endCall("a")
        #expect(trial.book.deadline == Moment(nanoseconds: 13_000_000_000))
    }
}
