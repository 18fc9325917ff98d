import GRDB
import WeirBase

/// A piece of a run: all its entries from `low` up to, and without, `high`.
///
/// The bounds belong to what the checksum covers, so a leaf that was found proves that it is the
/// one that an entry would stand in, and one that is missing shows.
struct KeyLeaf: Sendable, Hashable {
    /// So that five leaves fill a page of 8 KiB.
    static let entriesMax = 96

    let low: KeyEntry
    let high: KeyEntry
    /// Hash and offset in turn, sorted.
    let words: [UInt64]

    var count: Int { words.count / 2 }

    subscript(index: Int) -> KeyEntry {
        KeyEntry(hash: words[2 * index], offset: Offset(words[2 * index + 1]))
    }

    /// The index of the first entry that does not stand before another.
    func firstIndex(notBefore wanted: KeyEntry) -> Int {
        (0..<count).partitionIndex { self[$0] >= wanted }
    }

    /// Covers the run that the leaf belongs to: one that is left of an older run does not pass.
    func checksum(run: RunRow) -> UInt64 {
        var sum = IndexChecksum()
        sum.add(run.checksum)
        for entry in [low, high] {
            sum.add(entry.hash)
            sum.add(entry.offset.value)
        }
        for word in words { sum.add(word) }
        return sum.value
    }
}

/// Finds the leaves of runs, and believes none without its checksum.
struct LeafFinder {
    private let statement: SQLStatement

    init(_ database: Database) throws {
        statement = try SQLStatement(
            database,
            """
            SELECT low, high, entries, checksum FROM leaves INDEXED BY leaf_order
            WHERE run = ? AND low <= ? ORDER BY low DESC LIMIT 1
            """)
    }

    /// The leaf that an entry of a run would stand in. Throws `damaged` if it is not there.
    func leaf(of run: RunRow, holding wanted: KeyEntry) throws -> KeyLeaf {
        var found: KeyLeaf?
        try statement.rows(.number(run.number), .entry(wanted)) { row in
            guard let low = row.entry(0), let high = row.entry(1) else { return false }
            let leaf = KeyLeaf(low: low, high: high, words: row.words(2))
            if leaf.words.count % 2 == 0, leaf.checksum(run: run) == row.number(3) { found = leaf }
            return false
        }
        guard let found, found.low <= wanted, wanted < found.high else { throw run.incomplete }
        return found
    }
}

/// Writes the leaves of a run, one after the other.
struct LeafWriter {
    private let run: RunRow
    private let statement: SQLStatement
    /// All entries before it are written.
    private(set) var low: KeyEntry
    private(set) var writtenCount = 0
    /// Of the next leaf.
    private var words: [UInt64] = []

    init(_ database: Database, run: RunRow, low: KeyEntry = .least) throws {
        self.run = run
        self.low = low
        self.statement = try SQLStatement(
            database,
            "INSERT INTO leaves (run, low, high, entries, checksum) VALUES (?, ?, ?, ?, ?)")
        words.reserveCapacity(2 * KeyLeaf.entriesMax)
    }

    /// Entries come in their order. One that does not fit writes those before it.
    mutating func add(_ entry: KeyEntry) throws {
        if words.count == 2 * KeyLeaf.entriesMax { try write(upTo: entry) }
        words.append(entry.hash)
        words.append(entry.offset.value)
    }

    /// Writes what is left: the run has no more.
    mutating func finish() throws { try write(upTo: .beyond) }

    private mutating func write(upTo high: KeyEntry) throws {
        let leaf = KeyLeaf(low: low, high: high, words: words)
        try statement.run(
            .number(run.number), .entry(low), .entry(high), .words(words),
            .number(leaf.checksum(run: run)))
        writtenCount += leaf.count
        words.removeAll(keepingCapacity: true)
        low = high
    }
}

/// Sixty-four bits over a row of words; any change of one word changes it, whatever the word.
///
/// Finds accidents, as all checksums of Weir do; it is no protection against somebody who writes.
struct IndexChecksum {
    private(set) var value: UInt64 = 0x57_65_69_72_49_64_78_31

    mutating func add(_ word: UInt64) {
        // Each step can be undone for a given word, so two states never become one.
        value = (value ^ word) &* 0x9E37_79B9_7F4A_7C15
        value ^= value >> 32
    }
}

extension RandomAccessCollection where Index == Int {
    /// The first index whose element satisfies a condition that no element before it does.
    func partitionIndex(where holds: (Element) -> Bool) -> Int {
        var low = startIndex
        var high = endIndex
        while low < high {
            let middle = (low + high) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
