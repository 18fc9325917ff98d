import Testing
import WeirLog

@Suite("A second chance")
struct SecondChanceTests {
    private static func make(_ members: String) -> SecondChance<Character> {
        var queue = SecondChance<Character>()
        for member in members { queue.add(member) }
        return queue
    }

    /// Who goes, one after the other, where those were used before the first look.
    private func order(_ members: String, used: String) -> String {
        var queue = Self.make(members)
        var marks = Set(used)
        var gone = ""
        while let member = queue.next({ marks.remove($0) != nil }) { gone.append(member) }
        return gone
    }

    @Test(arguments: [
        ("", "", ""), ("abc", "", "abc"), ("abc", "a", "bca"), ("abc", "ab", "cab"),
        ("abc", "abc", "abc"), ("abcd", "bd", "acbd"),
    ])
    func `goes to whoever was used`(_ members: String, _ used: String, _ gone: String) {
        #expect(order(members, used: used) == gone)
    }

    @Test func `is had once for one use`() {
        var queue = Self.make("ab")
        var looks = 0
        let first = queue.next { _ in
            looks += 1
            return looks == 1
        }
        #expect(first == "b")
        #expect(queue.next { _ in false } == "a")
    }

    @Test func `is not taken from others by whoever comes later`() {
        var queue = Self.make("abc")
        #expect(queue.next { _ in false } == "a")
        queue.add("d")
        #expect(queue.next { _ in false } == "b")
        #expect(queue.count == 2)
        #expect(queue.next { _ in false } == "c")
        #expect(queue.next { _ in false } == "d")
        #expect(queue.next { _ in false } == nil)
    }
}
