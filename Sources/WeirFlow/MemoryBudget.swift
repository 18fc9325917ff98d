/// The memory that all subscriptions of a store share, in bytes of records: a fair share for each,
/// never more than the total for all.
///
///     total = reserves (a largest batch each) + spare
///     spare: half for whoever asks first, half for those below their fair share of it
///
/// Each can always go on within its reserve, so a refusal here locks nobody up; what goes beyond is
/// given while there is some. Every operation is O(1).
package struct MemoryBudget: Sendable {
    package struct Member: Sendable {
        package let reserve: Int
        package fileprivate(set) var used = 0
        fileprivate var beyond: Int { max(0, used - reserve) }
    }

    package let total: Int
    private var members: [UInt64: Member] = [:]
    private var next: UInt64 = 0
    package private(set) var reserved = 0
    package private(set) var used = 0
    /// Of `used`, what goes beyond its holder's reserve.
    private var beyond = 0

    package init(total: Int) { self.total = total }

    package var count: Int { members.count }
    private var spare: Int { total - reserved }

    /// Sets a largest batch aside for a new member; `nil` if it does not fit now. Whoever is beyond
    /// its reserve counts with all that it holds.
    package mutating func admit(reserve: Int) -> UInt64? {
        guard reserve <= total - reserved - beyond else { return nil }
        next += 1
        members[next] = Member(reserve: reserve)
        reserved += reserve
        return next
    }

    /// Whether it would fit if nobody else were there.
    package func couldAdmit(reserve: Int) -> Bool { reserve <= total }

    /// Takes bytes for a member. A member that holds nothing gets one batch of any size.
    package mutating func take(_ bytes: Int, for id: UInt64) -> Bool {
        guard var member = members[id] else { return false }
        let before = member.beyond
        let isFirst = member.used == 0
        member.used += bytes
        let growth = member.beyond - before
        if growth > 0, !isFirst {
            let free = spare - beyond
            guard growth <= free else { return false }
            let isFair = member.beyond <= spare / members.count
            guard isFair || free - growth >= spare / 2 else { return false }
        }
        members[id] = member
        used += bytes
        beyond += growth
        return true
    }

    /// What a member may take at this moment.
    package func room(of id: UInt64) -> Int {
        guard let member = members[id] else { return 0 }
        let free = spare - beyond
        let fair = spare / members.count - member.beyond
        return max(0, member.reserve - member.used) + max(0, min(free, max(fair, free - spare / 2)))
    }

    package mutating func give(_ bytes: Int, from id: UInt64) {
        guard var member = members[id] else { return }
        precondition(bytes <= member.used, "more was given back than was taken")
        let before = member.beyond
        member.used -= bytes
        members[id] = member
        used -= bytes
        beyond -= before - member.beyond
    }

    /// What a member may hold if all want as much as they can get.
    package func share(of id: UInt64) -> Int {
        guard let member = members[id] else { return 0 }
        return member.reserve + max(0, spare) / max(1, members.count)
    }

    /// A member leaves, with all that it holds.
    package mutating func remove(_ id: UInt64) {
        guard let member = members.removeValue(forKey: id) else { return }
        reserved -= member.reserve
        used -= member.used
        beyond -= member.beyond
    }
}
