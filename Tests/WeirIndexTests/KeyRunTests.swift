import Testing
import WeirBase
import WeirTesting

@testable import WeirIndex

@Suite("A run of keys")
struct KeyRunTests {
    private func row(_ count: Int, isUnread: Bool = false, end: UInt64 = 1) -> RunRow {
        RunRow(
            number: 1, stream: StreamID(1), first: 0, end: Offset(end), entryCount: count,
            isUnread: isUnread)
    }

    @Test func `sorts by hash and then by offset`() {
        let entries = [(3, 1), (1, 9), (3, 0), (1, 2)].map { (hash, offset) in
            KeyEntry(hash: hash, offset: offset)
        }
        let run = KeyRun(stream: StreamID(7), first: 0, end: 1000, entries: entries)
        #expect(run.entries.map(\.offset) == [2, 9, 0, 1])
    }

    @Test(arguments: [1, 1023, 1024, 5000], [true, false])
    func `sorts many as it does few`(_ count: Int, isByOffset: Bool) {
        var random = SeededRandom(seed: UInt64(count))
        var entries = (0..<count).map { number in
            // Some come again, some have only a few digits, and some stand where another did.
            let hash = random.oneIn(3) ? random.next() : UInt64(random.below(40)) << 30
            let offset = isByOffset ? number / 2 : random.below(count)
            return KeyEntry(hash: hash, offset: Offset(UInt64(offset)))
        }
        let expected = entries.sorted()
        entries.putInOrder()
        #expect(entries == expected)
    }

    @Test func `sorts the few whose hashes begin alike`() {
        var random = SeededRandom(seed: 3)
        var entries = (0..<2000).map { number in
            KeyEntry(hash: random.next() | 1, offset: Offset(UInt64(number)))
        }
        for number in 0..<5 { entries[1000 + number].hash = entries[number].hash - 1 }
        let expected = entries.sorted()
        entries.putInOrder()
        #expect(entries == expected)
    }

    @Test func `does not take a leaf of another run for its own`() {
        let leaf = KeyLeaf(low: .least, high: .beyond, words: [5, 3])
        #expect(leaf.checksum(run: row(1)) != leaf.checksum(run: row(1, end: 2)))
    }

    /// Entries of the rows, how quiet it is, and which rows become one; -1 could not be read.
    @Test(
        arguments: [
            ([8, 1, 1], .busy, nil),
            ([8] + Array(repeating: 1, count: 7), .busy, nil),
            ([9] + Array(repeating: 1, count: 8), .busy, 1..<9),
            ([8] + Array(repeating: 1, count: 8), .busy, 0..<9),
            ([1 << 20, 1 << 19] + Array(repeating: 1 << 17, count: 8), .busy, 0..<10),
            (Array(repeating: 5, count: 63), .catchingUp, nil),
            (Array(repeating: 5, count: 64), .catchingUp, 0..<64),
            (Array(repeating: 5, count: 1_100), .busy, 0..<1_024),
            ([900, 4, 1], .idle, 0..<3),
            ([1 << 20, 4, 1], .idle, 1..<3),
            ([1 << 20, 1 << 18], .idle, 0..<2),
            ([1 << 20, 1 << 17], .idle, nil),
            ([3, -1, 5], .idle, nil),
            ([3, 2, -1, 5], .idle, 0..<2),
            ([3, 2, -1, 5, 0], .idle, 3..<5),
            ([-1, -1], .idle, nil),
            ([], .idle, nil),
        ] as [([Int], IndexCalm, Range<Int>?)])
    func `is merged as`(_ counts: [Int], _ calm: IndexCalm, _ expected: Range<Int>?) {
        let rows = counts.map { row(max(0, $0), isUnread: $0 < 0) }
        #expect(MergePlan.rows(rows, calm) == expected)
    }
}
