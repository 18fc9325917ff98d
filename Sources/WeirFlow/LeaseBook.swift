import WeirBase

/// Who may work on which partition of a group, until when. Decides; it knows no stream, task or
/// clock.
///
///     free ──grant──▶ held ──nothing heard for its time──▶ lapsed ──heard──▶ held
///                      │                                      │
///                      │ moves or left: at once, or when      │ somebody else is there
///                      ▼ its batch is given back              ▼
///                     granted to the next, under a new number ◀
///
/// A lease has a number that never comes again. Whoever shows an older one is refused: that is the
/// fence. A member lives as long as a call of its is under way, or the last one is less than the
/// lease's time ago; one that does not is *away*: its partitions lapse, and it gets none before it
/// is heard again. Of a member that lives, only a partition lapses whose batch it has held for so
/// long. While a commit is under way its partition goes to nobody, so that whoever takes it over
/// finds every commit that was taken.
package struct LeaseBook: Sendable, Hashable {
    /// A batch in a member's hands: which partition, under which lease, and which hand-out it was.
    package struct Ticket: Sendable, Hashable {
        package let partition: Int
        package let lease: UInt64
        package let handOut: UInt64
    }

    package enum Reason: Sendable, Hashable {
        /// Nobody had it.
        case free
        /// The member before is there, or left in good order.
        case moved(from: String)
        /// The lease of the member before lapsed.
        case lapsed(from: String)
    }

    /// What the last events came to, in their order.
    package enum Change: Sendable, Hashable {
        case granted(partition: Int, to: String, lease: UInt64, Reason)
        /// It must not be worked on any more. Comes before the next grant.
        case lost(partition: Int, by: String, lease: UInt64)
        case lapsed(partition: Int, of: String)
    }

    /// Whether a ticket still counts.
    package enum Answer: Sendable, Hashable {
        case accepted
        /// It belongs to another lease by now; `nil` if that is nobody's.
        case refused(holder: String?)
    }

    private enum Standing: Hashable {
        case held
        /// Its member may come back to it, if nobody took it over.
        case lapsed
        /// Given up, and kept only for a commit that is under way.
        case lost
    }

    private struct Member: Hashable {
        /// Its leases have higher numbers; lower ones are of an earlier member of its name.
        let joined: UInt64
        var heard: Moment
        /// Calls under way.
        var calls = 0
        var isAway = false
    }

    private struct Lease: Hashable {
        let holder: String
        let number: UInt64
        var standing = Standing.held
        /// The batch in the member's hands.
        var work: Work?
        var commits = 0
    }

    private struct Work: Hashable {
        let handOut: UInt64
        /// When it was handed out, or heard of last.
        var since: Moment
    }

    package let leaseNanoseconds: Int64
    private var members: [String: Member] = [:]
    private var leases: [Lease?]
    private var assignment: GroupAssignment
    private var lastNumber: UInt64 = 0
    /// Taken by whoever performs them.
    package var changes: [Change] = []

    package var partitionCount: Int { leases.count }

    package init(partitionCount: Int, leaseNanoseconds: Int64) {
        precondition(leaseNanoseconds > 0, "a lease without a time")
        self.leaseNanoseconds = leaseNanoseconds
        leases = Array(repeating: nil, count: partitionCount)
        assignment = GroupAssignment(partitionCount: partitionCount)
    }

    // MARK: coming and going

    /// By their names, those among them that are away.
    package var memberNames: [String] { members.keys.sorted() }

    package func isAway(_ member: String) -> Bool { members[member]?.isAway ?? true }

    /// `false` for a name that is there already.
    package mutating func join(_ member: String, at now: Moment) -> Bool {
        guard members[member] == nil else { return false }
        members[member] = Member(joined: newNumber(), heard: now)
        _ = assignment.join(member)
        settleAll()
        return true
    }

    /// What it had goes on at once, whatever it was doing.
    package mutating func leave(_ member: String) {
        guard members.removeValue(forKey: member) != nil else { return }
        for partition in leases.indices where leases[partition]?.holder == member {
            leases[partition]?.standing = .lost
        }
        _ = assignment.leave(member)
        settleAll()
    }

    /// A call of the member's begins, and ends: it lives as long.
    package mutating func beginCall(_ member: String, at now: Moment) {
        hear(member, at: now)
        members[member]?.calls += 1
    }

    package mutating func endCall(_ member: String, at now: Moment) {
        guard let calls = members[member]?.calls, calls > 0 else { return }
        members[member]?.calls = calls - 1
        hear(member, at: now)
    }

    private mutating func hear(_ member: String, at now: Moment) {
        guard let known = members[member] else { return }
        members[member]?.heard = max(known.heard, now)
        guard known.isAway else { return }
        members[member]?.isAway = false
        _ = assignment.join(member)
        settleAll()
    }

    /// Not what an earlier member of the name shows.
    private mutating func hear(_ member: String, showing ticket: Ticket, at now: Moment) {
        if isOwn(ticket, member) { hear(member, at: now) }
    }

    private func isOwn(_ ticket: Ticket, _ member: String) -> Bool {
        members[member].map { ticket.lease > $0.joined } ?? false
    }

    private mutating func newNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    // MARK: work

    /// The member gets a batch of a partition whose lease it has, and of which it has none; no
    /// other is handed out before that one is given back.
    package mutating func handOut(_ partition: Int, lease: UInt64, at now: Moment) -> Ticket {
        precondition(mayHandOut(partition, lease: lease), "a batch without a lease, or a second")
        let handOut = newNumber()
        leases[partition]?.work = Work(handOut: handOut, since: now)
        return Ticket(partition: partition, lease: lease, handOut: handOut)
    }

    package func mayHandOut(_ partition: Int, lease number: UInt64) -> Bool {
        guard let lease = leases[partition], lease.number == number else { return false }
        return lease.work == nil && lease.standing == .held
    }

    /// The batch is worked on still: its lease begins anew.
    package mutating func renew(
        _ ticket: Ticket, by member: String, at now: Moment
    ) -> Answer {
        hear(member, showing: ticket, at: now)
        guard isCurrent(ticket) else { return refuse(ticket, to: member) }
        if leases[ticket.partition]?.work?.handOut == ticket.handOut {
            leases[ticket.partition]?.work?.since = now
        }
        return .accepted
    }

    /// The batch is given back, committed or not.
    package mutating func release(
        _ ticket: Ticket, by member: String, at now: Moment
    ) -> Answer {
        hear(member, showing: ticket, at: now)
        guard isCurrent(ticket) else { return refuse(ticket, to: member) }
        giveBack(ticket)
        return .accepted
    }

    /// From here to `endCommit` the partition goes to nobody.
    package mutating func beginCommit(
        _ ticket: Ticket, by member: String, at now: Moment
    ) -> Answer {
        let answer = renew(ticket, by: member, at: now)
        guard answer == .accepted else { return answer }
        leases[ticket.partition]?.commits += 1
        members[member]?.calls += 1
        return .accepted
    }

    /// With `isDurable`, the batch is given back as well.
    package mutating func endCommit(
        _ ticket: Ticket, by member: String, isDurable: Bool, at now: Moment
    ) {
        if let lease = leases[ticket.partition], lease.number == ticket.lease {
            leases[ticket.partition]?.commits = max(0, lease.commits - 1)
            if isDurable { giveBack(ticket) }
            settle(ticket.partition)
        }
        if isOwn(ticket, member) { endCall(member, at: now) }
    }

    private mutating func giveBack(_ ticket: Ticket) {
        guard leases[ticket.partition]?.work?.handOut == ticket.handOut else { return }
        leases[ticket.partition]?.work = nil
        settle(ticket.partition)
    }

    private func isCurrent(_ ticket: Ticket) -> Bool {
        guard leases.indices.contains(ticket.partition), let lease = leases[ticket.partition] else {
            return false
        }
        return lease.number == ticket.lease && lease.standing != .lost
    }

    /// A member that shows an old ticket is done with what had stalled: it gets its share again.
    private mutating func refuse(_ ticket: Ticket, to member: String) -> Answer {
        if assignment.members.contains(member) {
            _ = assignment.level()
            settleAll()
        }
        let lease = leases[ticket.partition]
        return .refused(holder: lease?.standing == .lost ? nil : lease?.holder)
    }

    // MARK: time

    /// What was not heard of for too long lapses.
    package mutating func expire(at now: Moment) {
        for (name, member) in members.sorted(by: { $0.key < $1.key })
        where !member.isAway && member.calls == 0 && now - member.heard >= leaseNanoseconds {
            members[name]?.isAway = true
            for partition in leases.indices where leases[partition]?.holder == name {
                lapse(partition)
            }
            _ = assignment.leave(name)
            settleAll()
        }
        for partition in leases.indices {
            guard let lease = leases[partition], lease.standing == .held, lease.commits == 0,
                let work = lease.work, now - work.since >= leaseNanoseconds
            else { continue }
            lapse(partition)
            if assignment.member(of: partition) == lease.holder {
                _ = assignment.lapse(partition)
            }
            // Where nobody else is there, the member that asks for more gets it again.
            settle(partition, anew: assignment.member(of: partition) == lease.holder)
        }
    }

    private mutating func lapse(_ partition: Int) {
        guard let lease = leases[partition], lease.standing == .held else { return }
        leases[partition]?.standing = .lapsed
        changes.append(.lapsed(partition: partition, of: lease.holder))
    }

    /// When `expire` has something to do, if nothing happens before; `nil` for never.
    package var deadline: Moment? {
        let lives = members.values.filter { !$0.isAway && $0.calls == 0 }.map(\.heard)
        let works = leases.compactMap { lease -> Moment? in
            guard let lease, lease.standing == .held, lease.commits == 0 else { return nil }
            return lease.work?.since
        }
        return (lives + works).min().map { $0 + leaseNanoseconds }
    }

    // MARK: who has it

    /// After the assignment changed. All of them: one that was to move already, and lapsed, is not
    /// among its moves.
    private mutating func settleAll() {
        for partition in leases.indices { settle(partition) }
    }

    /// Gives a partition to whom it is assigned, if it may go there now; `anew`, also to the one
    /// who has it, under another number.
    private mutating func settle(_ partition: Int, anew: Bool = false) {
        let target = assignment.member(of: partition)
        var reason = Reason.free
        if let lease = leases[partition] {
            if lease.standing != .lost, lease.holder == target, !anew {
                leases[partition]?.standing = .held
                return
            }
            let isGone = lease.standing == .lost
            guard lease.commits == 0, isGone || target != nil else { return }
            guard lease.standing != .held || lease.work == nil else { return }
            reason =
                lease.standing == .lapsed
                ? .lapsed(from: lease.holder) : .moved(from: lease.holder)
            leases[partition] = nil
            changes.append(.lost(partition: partition, by: lease.holder, lease: lease.number))
        }
        guard let target else { return }
        let number = newNumber()
        leases[partition] = Lease(holder: target, number: number)
        changes.append(.granted(partition: partition, to: target, lease: number, reason))
    }

    /// What is known of a partition at a moment.
    package struct Row: Sendable, Hashable {
        package let holder: String?
        package let lease: UInt64?
        /// Until it lapses if nothing is heard; `nil` while there is no end to it.
        package let remainingNanoseconds: Int64?
        package let isAtWork: Bool
        package let hasLapsed: Bool
        /// Who gets it when its batch is given back.
        package let next: String?
    }

    package func row(_ partition: Int, at now: Moment) -> Row {
        let target = assignment.member(of: partition)
        guard let lease = leases[partition] else {
            return Row(
                holder: nil, lease: nil, remainingNanoseconds: nil, isAtWork: false,
                hasLapsed: false, next: target)
        }
        return Row(
            holder: lease.holder, lease: lease.number,
            remainingNanoseconds: since(lease).map { max(0, $0 + leaseNanoseconds - now) },
            isAtWork: lease.work != nil, hasLapsed: lease.standing == .lapsed,
            next: target == lease.holder ? nil : target)
    }

    /// From when on its time counts.
    private func since(_ lease: Lease) -> Moment? {
        if lease.commits > 0 { return nil }
        let heard = members[lease.holder].flatMap { $0.calls == 0 ? $0.heard : nil }
        return [heard, lease.work?.since].compactMap { $0 }.min()
    }
}
