/// Which of many is to go next: about the one that was used longest ago.
///
///     [ a ][ b* ][ c ][ d* ][ e ]       *: used since it was looked at last
///             ▲ hand                    b gets a second chance, c goes
///
/// Exact order would cost every use a lock that all share; so a use only leaves a mark on the
/// member itself, and whoever looks takes it away.
package struct SecondChance<Member> {
    private var members: [Member] = []
    private var hand = 0

    package init() {}

    package var count: Int { members.count }

    /// Looked at last of all.
    package mutating func add(_ member: Member) {
        members.insert(member, at: hand)
        hand += 1
    }

    /// The one that is to go, taken out; `nil` if there is none. `takeMark` says whether a member
    /// was used, and takes its mark away.
    package mutating func next(_ takeMark: (Member) -> Bool) -> Member? {
        guard !members.isEmpty else { return nil }
        // Where all were used, the first that was looked at goes.
        for _ in 0..<members.count {
            hand %= members.count
            if !takeMark(members[hand]) { break }
            hand += 1
        }
        hand %= members.count
        return members.remove(at: hand)
    }

    package mutating func removeAll() {
        members = []
        hand = 0
    }
}
