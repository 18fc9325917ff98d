import Testing
import WeirBase
import WeirTesting

@testable import WeirFlow

@Suite("The assignment of partitions to members")
struct GroupAssignmentTests {
    private func group(_ partitions: Int, _ members: [String]) -> GroupAssignment {
        var group = GroupAssignment(partitionCount: partitions)
        for member in members { _ = group.join(member) }
        return group
    }

    @Test func `gives everything to the only member`() {
        var group = GroupAssignment(partitionCount: 3)
        let moves = group.join("a")
        #expect(group.partitions(of: "a") == [0, 1, 2])
        #expect(moves.map(\.partition) == [0, 1, 2])
        #expect(moves.allSatisfy { $0.from == nil && $0.to == "a" })
    }

    @Test func `moves no more to a new member than its share`() {
        var group = group(8, ["a", "b", "c"])
        let moves = group.join("d")
        #expect(moves.count == 2)
        #expect(moves.allSatisfy { $0.to == "d" && $0.from != nil })
        #expect(["a", "b", "c", "d"].map { group.partitions(of: $0).count } == [2, 2, 2, 2])
    }

    @Test func `moves what a leaving member had, and nothing else`() {
        var group = group(8, ["a", "b", "c", "d"])
        let had = group.partitions(of: "b")
        let moves = group.leave("b")
        #expect(moves.map(\.partition) == had)
        #expect(moves.allSatisfy { $0.from == "b" && $0.to != nil })
        #expect(group.partitions(of: "b").isEmpty)
    }

    @Test func `leaves members idle where there are more of them than partitions`() {
        var group = group(2, ["a", "b", "c"])
        #expect(["a", "b", "c"].map { group.partitions(of: $0).count } == [1, 1, 0])
        _ = group.leave("a")
        #expect(["b", "c"].map { group.partitions(of: $0).count } == [1, 1])
        #expect(group.partitions(of: "b") == [1])
    }

    @Test func `gives nothing to anybody when the last one left`() {
        var group = group(2, ["a"])
        let moves = group.leave("a")
        #expect(moves.allSatisfy { $0.from == "a" && $0.to == nil })
        #expect(group.member(of: 0) == nil)
        #expect(group.members.isEmpty)
    }

    @Test func `does not change for who joins twice or was never there`() {
        var group = group(5, ["a", "b"])
        let before = group
        #expect(group.join("a").isEmpty)
        #expect(group.leave("c").isEmpty)
        #expect(group == before)
    }

    /// What holds after every event; `stays` are the members that were there before it as well.
    private func check(
        _ group: GroupAssignment, after before: GroupAssignment, _ moves: [GroupAssignment.Move]
    ) -> String? {
        let members = group.members
        let sizes = members.map { group.partitions(of: $0).count }
        let all = members.flatMap { group.partitions(of: $0) }.sorted()
        if !members.isEmpty, all != Array(0..<group.partitionCount) {
            return "not all once: \(all)"
        }
        if let most = sizes.max(), let least = sizes.min(), most - least > 1 {
            return "unfair: \(sizes)"
        }
        for move in moves {
            guard before.member(of: move.partition) == move.from,
                group.member(of: move.partition) == move.to, move.from != move.to
            else { return "a move that is none: \(move)" }
        }
        let kept = (0..<group.partitionCount).count {
            before.member(of: $0) != nil && before.member(of: $0) == group.member(of: $0)
        }
        let most = keptAtMost(group, after: before)
        return kept == most ? nil : "\(kept) stay where \(most) could"
    }

    /// The most that any fair assignment keeps where it is.
    private func keptAtMost(_ group: GroupAssignment, after before: GroupAssignment) -> Int {
        guard !group.members.isEmpty else { return 0 }
        let share = group.partitionCount / group.members.count
        var larger = group.partitionCount % group.members.count
        var kept = 0
        for held in group.members.map({ before.partitions(of: $0).count }) {
            kept += min(held, share)
            if held > share, larger > 0 {
                larger -= 1
                kept += 1
            }
        }
        return kept
    }

    @Test(arguments: 0..<40)
    func `is fair and moves as little as any, whoever comes and goes`(_ seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var group = GroupAssignment(partitionCount: 1 + random.below(40))
        for step in 0..<100 {
            let before = group
            let member = "m\(random.below(12))"
            let moves = random.oneIn(2) ? group.join(member) : group.leave(member)
            let failure = check(group, after: before, moves)
            #expect(failure == nil, "seed \(seed), step \(step)")
        }
    }
}
