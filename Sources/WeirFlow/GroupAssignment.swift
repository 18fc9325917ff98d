/// Which member of a group works on which partitions: fair, and sticky.
///
/// - *Fair*: the numbers of partitions that any two members have differ by one at most, but where
///   one lapsed alone.
/// - *Sticky*: a partition moves only if its member left, or has more than its share; no other
///   assignment that is fair moves fewer. A partition's consumer has state, and a move costs it.
/// - With more members than partitions, some are idle, and take over when others leave.
///
/// A pure function of the events and their order: members in several processes that see the same
/// events agree.
package struct GroupAssignment: Sendable, Hashable {
    /// A partition that changes hands.
    package struct Move: Sendable, Hashable {
        package let partition: Int
        /// `nil` where nobody had it, or gets it.
        package let from: String?
        package let to: String?
    }

    package let partitionCount: Int
    /// Each member's partitions, in rising order.
    private var held: [String: [Int]] = [:]

    package init(partitionCount: Int) {
        precondition(partitionCount > 0, "a group without partitions")
        self.partitionCount = partitionCount
    }

    /// By their names.
    package var members: [String] { held.keys.sorted() }

    /// What a member works on; empty for one that is idle, or no member.
    package func partitions(of member: String) -> [Int] { held[member] ?? [] }

    package func member(of partition: Int) -> String? {
        held.first { $0.value.contains(partition) }?.key
    }

    /// A member comes. Nothing happens if it is there already.
    package mutating func join(_ member: String) -> [Move] {
        guard held[member] == nil else { return [] }
        return change { $0[member] = [] }
    }

    /// A member goes, or its lease lapsed. Nothing happens if it is not there.
    package mutating func leave(_ member: String) -> [Move] {
        guard held[member] != nil else { return [] }
        return change { $0[member] = nil }
    }

    /// One partition goes to another member, to whoever has the fewest; nothing happens where there
    /// is none. Sizes may differ by more than one then, until `level`: whoever stalls in one
    /// partition does not get a second one for it.
    package mutating func lapse(_ partition: Int) -> [Move] {
        guard let holder = member(of: partition) else { return [] }
        let others = held.filter { $0.key != holder }
        let taker = others.min { ($0.value.count, $0.key) < ($1.value.count, $1.key) }
        guard let taker else { return [] }
        return change(levels: false) { held in
            held[holder]?.removeAll { $0 == partition }
            held[taker.key] = (taker.value + [partition]).sorted()
        }
    }

    /// Makes it fair again after partitions lapsed.
    package mutating func level() -> [Move] { change { _ in } }

    private mutating func change(
        levels: Bool = true, _ event: (inout [String: [Int]]) -> Void
    ) -> [Move] {
        let before = owners
        event(&held)
        if levels { rebalance() }
        let after = owners
        return (0..<partitionCount).compactMap { partition in
            let (from, to) = (before[partition], after[partition])
            return from == to ? nil : Move(partition: partition, from: from, to: to)
        }
    }

    private var owners: [Int: String] {
        var owners: [Int: String] = [:]
        for (member, partitions) in held {
            for partition in partitions { owners[partition] = member }
        }
        return owners
    }

    /// Everybody keeps what fits into the own share, and what is free goes to those who have less.
    private mutating func rebalance() {
        guard !held.isEmpty else { return }
        let shares = shares()
        var free = Set(0..<partitionCount)
        for (member, partitions) in held {
            let kept = Array(partitions.prefix(shares[member] ?? 0))
            held[member] = kept
            free.subtract(kept)
        }
        var left = free.sorted()[...]
        for member in members {
            let kept = held[member] ?? []
            let missing = (shares[member] ?? 0) - kept.count
            held[member] = (kept + left.prefix(missing)).sorted()
            left = left.dropFirst(missing)
        }
        precondition(left.isEmpty, "a partition was given to nobody")
    }

    /// How many each member gets. The larger shares go to those who hold the most, which then keep
    /// more; of equals, to the first by name.
    private func shares() -> [String: Int] {
        let (share, larger) = partitionCount.quotientAndRemainder(dividingBy: held.count)
        let ranked = held.sorted {
            $0.value.count == $1.value.count
                ? $0.key < $1.key : $0.value.count > $1.value.count
        }
        var shares: [String: Int] = [:]
        for (place, entry) in ranked.enumerated() {
            shares[entry.key] = place < larger ? share + 1 : share
        }
        return shares
    }
}
