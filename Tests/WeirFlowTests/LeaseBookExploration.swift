import Testing
import WeirBase
import WeirTesting

@testable import WeirFlow

/// Members that come, work, stall and go in every order, against what must hold whatever they do.
struct LeaseModel: Hashable {
    enum Event: Hashable {
        case join(String)
        case leave(String)
        case ask(String)
        case answer(String)
        case pass(Int64)
        case handOut(Int)
        case commit(Int)
        case release(Int)
        case beginCommit(Int)
        case endCommit(Int)
    }

    var trial: LeaseTrial
    let names: [String]
    /// Members' calls, batches that were handed out, commits under way: as the runner has them.
    var calls: [String: Int] = [:]
    var tickets: [Ticket] = []
    /// Who may work on a partition, as the changes told.
    var granted: [Int: String] = [:]
    var numbers: [Int: UInt64] = [:]
    var lastNumber: UInt64 = 0

    struct Ticket: Hashable {
        let ticket: LeaseBook.Ticket
        let member: String
        var isCommitting = false
    }

    init(partitions: Int, names: [String]) {
        trial = LeaseTrial(partitions)
        self.names = names
    }

    /// Everything that may happen next.
    var events: [Event] {
        let members = Set(trial.book.memberNames)
        var events: [Event] = [.pass(4), .pass(10)]
        for name in names {
            guard members.contains(name) else {
                events.append(.join(name))
                continue
            }
            events += [.leave(name), .ask(name)]
            if calls[name, default: 0] > 0 { events.append(.answer(name)) }
        }
        for partition in 0..<trial.partitionCount where mayHandOut(partition) {
            events.append(.handOut(partition))
        }
        for (index, held) in tickets.enumerated() {
            events +=
                held.isCommitting
                ? [.endCommit(index)] : [.commit(index), .release(index), .beginCommit(index)]
        }
        return events
    }

    private func mayHandOut(_ partition: Int) -> Bool {
        let row = trial.book.row(partition, at: trial.now)
        guard let lease = row.lease, let holder = row.holder, tickets.count < 3 else {
            return false
        }
        return calls[holder, default: 0] > 0 && trial.book.mayHandOut(partition, lease: lease)
    }

    /// What is wrong after it; `nil` if nothing is.
    mutating func perform(_ event: Event) -> String? {
        var failure: String?
        switch event {
        case .join(let name): _ = trial.join(name)
        case .leave(let name):
            trial.book.leave(name)
            calls[name] = nil
        case .ask(let name):
            trial.beginCall(name)
            calls[name, default: 0] += 1
        case .answer(let name):
            trial.endCall(name)
            calls[name, default: 0] -= 1
        case .pass(let seconds): trial.pass(seconds)
        case .handOut(let partition):
            let holder = trial.holder(partition) ?? "-"
            if let ticket = trial.handOut(partition) {
                tickets.append(Ticket(ticket: ticket, member: holder))
            }
        case .commit(let index):
            let held = tickets.remove(at: index)
            failure = check(held, trial.commit(held.ticket, held.member))
        case .release(let index):
            let held = tickets.remove(at: index)
            failure = check(
                held, trial.book.release(held.ticket, by: held.member, at: trial.now))
        case .beginCommit(let index):
            let held = tickets[index]
            let answer = trial.book.beginCommit(held.ticket, by: held.member, at: trial.now)
            failure = check(held, answer)
            if answer == .accepted { tickets[index].isCommitting = true }
        case .endCommit(let index):
            let held = tickets.remove(at: index)
            trial.book.endCommit(held.ticket, by: held.member, isDurable: true, at: trial.now)
        }
        return follow(trial.takeChanges()) ?? failure ?? checkOwners()
    }

    /// An answer says what the changes had told before.
    private func check(_ held: Ticket, _ answer: LeaseBook.Answer) -> String? {
        let mayWork = numbers[held.ticket.partition] == held.ticket.lease
        if mayWork == (answer == .accepted) { return nil }
        // It left: the lease waits for a commit, and takes no other.
        if mayWork, !trial.book.memberNames.contains(held.member) { return nil }
        if mayWork, tickets.contains(where: { $0.isCommitting }) { return nil }
        return "\(held.ticket) of \(held.member), which may\(mayWork ? "" : " not") work: \(answer)"
    }

    private mutating func follow(_ changes: [LeaseBook.Change]) -> String? {
        for change in changes {
            switch change {
            case .granted(let partition, let member, let lease, _):
                if let owner = granted[partition] {
                    return "\(partition) has two owners, \(owner) and \(member)"
                }
                if lease <= lastNumber { return "the number \(lease) came before" }
                lastNumber = lease
                granted[partition] = member
                numbers[partition] = lease
            case .lost(let partition, let member, let lease):
                if granted[partition] != member || numbers[partition] != lease {
                    return "\(member) loses \(partition), which it did not have"
                }
                let isCommitting = tickets.contains { $0.isCommitting && $0.ticket.lease == lease }
                if isCommitting { return "\(partition) goes while a commit is under way" }
                granted[partition] = nil
                numbers[partition] = nil
            case .lapsed(let partition, let member):
                if granted[partition] != member { return "\(partition) was not \(member)'s" }
            }
        }
        return nil
    }

    private func checkOwners() -> String? {
        let living = trial.book.memberNames.filter { !trial.book.isAway($0) }
        for partition in 0..<trial.partitionCount {
            let row = trial.book.row(partition, at: trial.now)
            if row.holder != granted[partition] { return "\(partition): \(row) was not told" }
            if living.isEmpty { continue }
            if row.holder == nil { return "\(partition) has no owner, and \(living) are there" }
            if row.hasLapsed { return "\(partition) has lapsed, and \(living) are there" }
        }
        return nil
    }

    /// Everybody gives back what they have: what must hold then.
    mutating func settle() -> String? {
        for name in names where trial.book.memberNames.contains(name) {
            _ = perform(.ask(name))
        }
        while let held = tickets.first {
            if let failure = perform(held.isCommitting ? .endCommit(0) : .release(0)) {
                return failure
            }
        }
        let sizes = trial.book.memberNames.map { name in
            trial.holders.count { $0 == name }
        }
        let isFair = (sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1
        return isFair ? nil : "unfair at rest: \(trial.holders)"
    }
}

@Suite("A book of leases, in every order of events")
struct LeaseBookExploration {
    @Test func `keeps its rules in all orders of few events`() {
        var states: Set = [LeaseModel(partitions: 2, names: ["a", "b"])]
        var count = 0
        for depth in 1...6 {
            var next: Set<LeaseModel> = []
            for state in states {
                for event in state.events {
                    var after = state
                    let failure = after.perform(event)
                    #expect(failure == nil, "depth \(depth): \(event) in \(state)")
                    count += 1
                    if failure == nil { next.insert(after) }
                }
            }
            states = next
        }
        #expect(count > 10_000)
    }

    @Test(arguments: 0..<200)
    func `keeps its rules in long orders drawn by lot, and is fair at rest`(_ seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var model = LeaseModel(
            partitions: 1 + random.below(6), names: ["a", "b", "c", "d"])
        for step in 0..<300 {
            let events = model.events
            let event = events[random.below(events.count)]
            let failure = model.perform(event)
            #expect(failure == nil, "seed \(seed), step \(step): \(event)")
            if failure != nil { return }
        }
        let failure = model.settle()
        #expect(failure == nil, "seed \(seed)")
    }
}
