import Testing
import WeirBase

@testable import WeirIndex

@Suite("A run of keys")
struct KeyRunTests {
    private func run(_ entries: [KeyEntry], end: UInt64 = 1000) -> KeyRun {
        KeyRun(stream: StreamID(7), first: 0, end: Offset(end), entries: entries)
    }

    @Test(arguments: [0, 1, 95, 96, 97, 192, 1000])
    func `is cut into leaves that tile the order of keys`(_ count: Int) {
        let entries = (0..<count).map {
            KeyEntry(hash: UInt64($0 / 200), offset: Offset(UInt64($0)))
        }
        let leaves = run(entries).leaves
        #expect(leaves.flatMap(\.entries) == entries)
        #expect(leaves.first?.low == .least)
        #expect(leaves.last?.high == .beyond)
        #expect(zip(leaves, leaves.dropFirst()).allSatisfy { $0.high == $1.low })
        #expect(leaves.allSatisfy { $0.entries.count <= KeyLeaf.entriesMax })
    }

    @Test func `sorts by hash and then by offset`() {
        let entries = [(3, 1), (1, 9), (3, 0), (1, 2)].map { (hash, offset) in
            KeyEntry(hash: hash, offset: Offset(offset))
        }
        #expect(run(entries).entries.map(\.offset) == [2, 9, 0, 1])
    }

    @Test func `orders its bytes as its entries`() throws {
        let entries = [
            KeyEntry(hash: 0, offset: 0), KeyEntry(hash: 0, offset: 256),
            KeyEntry(hash: 1, offset: 0), KeyEntry(hash: 1 << 63, offset: 5), .beyond,
        ]
        for (a, b) in zip(entries, entries.dropFirst()) {
            #expect(a.orderBytes.lexicographicallyPrecedes(b.orderBytes))
            #expect(KeyEntry(orderBytes: a.orderBytes) == a)
        }
    }

    @Test func `does not take a leaf of another run for its own`() throws {
        let entries = [KeyEntry(hash: 5, offset: 3)]
        let leaf = try #require(run(entries).leaves.first)
        let checksum = KeyLeaf.checksum(
            run: run(entries).row, low: leaf.low, high: leaf.high, words: leaf.words)
        let other = run(entries, end: 1001).row
        #expect(
            KeyLeaf(
                run: run(entries).row, low: leaf.low, high: leaf.high, words: leaf.words,
                checksum: checksum) == leaf)
        #expect(
            KeyLeaf(
                run: other, low: leaf.low, high: leaf.high, words: leaf.words, checksum: checksum)
                == nil)
    }

    @Test func `is merged with those before it that have no more entries`() {
        func row(_ count: Int, isUnread: Bool = false) -> RunRow {
            RunRow(
                stream: StreamID(1), first: 0, end: 1, entryCount: count, isUnread: isUnread)
        }
        #expect(RunRow.mergeCount([row(8), row(4), row(1)], with: row(1)) == 1)
        #expect(RunRow.mergeCount([row(8), row(4), row(2), row(1)], with: row(1)) == 4)
        #expect(RunRow.mergeCount([row(0)], with: row(0)) == 1)
        #expect(RunRow.mergeCount([row(3), row(0, isUnread: true)], with: row(5)) == 0)
        #expect(RunRow.mergeCount([row(3)], with: row(5, isUnread: true)) == 0)
        #expect(RunRow.mergeCount([row(6), row(5)], with: row(5), entriesMax: 10) == 1)
    }
}
