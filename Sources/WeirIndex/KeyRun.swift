package import WeirBase

/// A key's hash and the offset of a record that has the key; ordered by hash, then by offset.
package struct KeyEntry: Sendable, Hashable, Comparable {
    package var hash: UInt64
    package var offset: Offset

    package init(hash: UInt64, offset: Offset) {
        self.hash = hash
        self.offset = offset
    }

    package static func < (a: KeyEntry, b: KeyEntry) -> Bool {
        a.hash != b.hash ? a.hash < b.hash : a.offset < b.offset
    }

    static let least = KeyEntry(hash: 0, offset: .zero)
    /// Behind every entry: no record has the last of all offsets.
    static let beyond = KeyEntry(hash: .max, offset: Offset(.max))

    /// Sixteen bytes whose order is that of the entries: hash and offset, big-endian.
    var orderBytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        for word in [hash, offset.value] {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
            }
        }
        return bytes
    }

    /// `nil` unless there are sixteen bytes.
    init?(orderBytes bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        let word = { (range: Range<Int>) in bytes[range].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        self.init(hash: word(0..<8), offset: Offset(word(8..<16)))
    }
}

/// The keys of a row of records without a hole: every keyed record from `first` up to `end`.
///
/// What a run says is complete: a key that is not in it has no record in its range. Where records
/// could not be read when it was made, it says so (`isUnread`), and holds none.
package struct KeyRun: Sendable, Hashable {
    package var stream: StreamID
    package var first: Offset
    package var end: Offset
    /// Sorted.
    package var entries: [KeyEntry]
    package var isUnread: Bool

    /// Takes entries in any order. `first` must not lie behind `end`.
    package init(
        stream: StreamID, first: Offset, end: Offset, entries: [KeyEntry], isUnread: Bool = false
    ) {
        precondition(first <= end, "a run of keys ends before it begins")
        self.stream = stream
        self.first = first
        self.end = end
        self.entries = entries.sorted()
        self.isUnread = isUnread
    }

    var row: RunRow {
        RunRow(
            stream: stream, first: first, end: end, entryCount: entries.count, isUnread: isUnread)
    }

    /// The run cut into leaves that tile the whole order of keys; at least one.
    var leaves: [KeyLeaf] {
        var leaves: [KeyLeaf] = []
        var low = KeyEntry.least
        var start = 0
        repeat {
            let next = min(start + KeyLeaf.entriesMax, entries.count)
            let high = next < entries.count ? entries[next] : KeyEntry.beyond
            leaves.append(KeyLeaf(low: low, high: high, entries: Array(entries[start..<next])))
            low = high
            start = next
        } while start < entries.count
        return leaves
    }
}

/// What is known of a run without its entries.
package struct RunRow: Sendable, Hashable {
    package let stream: StreamID
    package let first: Offset
    package let end: Offset
    package let entryCount: Int
    package let isUnread: Bool

    var checksum: UInt64 {
        var sum = IndexChecksum()
        sum.add(stream.value)
        sum.add(first.value)
        sum.add(end.value)
        sum.add(UInt64(entryCount))
        sum.add(isUnread ? 1 : 0)
        return sum.value
    }

    /// How many of the last rows a new run is to be merged with, so that lookups find few.
    ///
    /// A row is merged with what follows it once that has as many entries, up to a limit. So sizes
    /// halve from row to row, and an entry is written once for each doubling.
    static func mergeCount(
        _ rows: [RunRow], with new: RunRow, entriesMax: Int = IndexLimits.runEntriesMax
    ) -> Int {
        guard !new.isUnread else { return 0 }
        var sum = new.entryCount
        var count = 0
        for row in rows.reversed() {
            guard !row.isUnread, row.entryCount <= sum, row.entryCount + sum <= entriesMax else {
                break
            }
            sum += row.entryCount
            count += 1
        }
        return count
    }
}

/// A piece of a run: all its entries from `low` up to, and without, `high`.
///
/// The bounds belong to what the checksum covers, so a leaf that was found proves that it is the
/// one that an entry would stand in, and one that is missing shows.
struct KeyLeaf: Sendable, Hashable {
    /// So that five leaves fill a page of 8 KiB.
    static let entriesMax = 96

    let low: KeyEntry
    let high: KeyEntry
    let entries: [KeyEntry]

    init(low: KeyEntry, high: KeyEntry, entries: [KeyEntry]) {
        self.low = low
        self.high = high
        self.entries = entries
    }

    /// Hash and offset in turn.
    var words: [UInt64] {
        var words: [UInt64] = []
        words.reserveCapacity(2 * entries.count)
        for entry in entries {
            words.append(entry.hash)
            words.append(entry.offset.value)
        }
        return words
    }

    /// Covers the run that the leaf belongs to: one that is left of an older run does not pass.
    static func checksum(
        run: RunRow, low: KeyEntry, high: KeyEntry, words: [UInt64]
    ) -> UInt64 {
        var sum = IndexChecksum()
        sum.add(run.checksum)
        for entry in [low, high] {
            sum.add(entry.hash)
            sum.add(entry.offset.value)
        }
        for word in words { sum.add(word) }
        return sum.value
    }

    /// `nil` where the checksum does not hold.
    init?(run: RunRow, low: KeyEntry, high: KeyEntry, words: [UInt64], checksum: UInt64) {
        guard words.count % 2 == 0,
            Self.checksum(run: run, low: low, high: high, words: words) == checksum
        else { return nil }
        var entries: [KeyEntry] = []
        entries.reserveCapacity(words.count / 2)
        for index in stride(from: 0, to: words.count, by: 2) {
            entries.append(KeyEntry(hash: words[index], offset: Offset(words[index + 1])))
        }
        self.init(low: low, high: high, entries: entries)
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

/// Bounds of the index, in one place.
package enum IndexLimits {
    /// Entries of one run: what one transaction writes at most.
    package static let runEntriesMax = 1 << 20
    /// What is left of the write-ahead log between transactions, in bytes.
    static let journalBytesMax = 64 << 20
    /// In bytes.
    static let pageBytes = 8 << 10
}
