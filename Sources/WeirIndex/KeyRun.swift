package import WeirBase

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

    /// Takes entries in any order, one that comes twice as one. `first` must not lie behind `end`.
    package init(
        stream: StreamID, first: Offset, end: Offset, entries: [KeyEntry], isUnread: Bool = false
    ) {
        precondition(first <= end, "a run of keys ends before it begins")
        self.stream = stream
        self.first = first
        self.end = end
        var sorted = entries
        sorted.putInOrder()
        // Leaves end between two entries that differ.
        let isTwice = zip(sorted, sorted.dropFirst()).contains { $0 == $1 }
        self.entries = isTwice ? Set(sorted).sorted() : sorted
        self.isUnread = isUnread
    }

    /// The run as the index knows it under a number.
    func row(number: UInt64) -> RunRow {
        RunRow(
            number: number, stream: stream, first: first, end: end, entryCount: entries.count,
            isUnread: isUnread)
    }
}

/// What is known of a run without its entries.
package struct RunRow: Sendable, Hashable {
    /// Never given to two runs of a file: leaves name theirs by it.
    package let number: UInt64
    package let stream: StreamID
    package let first: Offset
    package let end: Offset
    package let entryCount: Int
    package let isUnread: Bool

    var checksum: UInt64 {
        var sum = IndexChecksum()
        sum.add(number)
        sum.add(stream.value)
        sum.add(first.value)
        sum.add(end.value)
        sum.add(UInt64(entryCount))
        sum.add(isUnread ? 1 : 0)
        return sum.value
    }

    /// What is said where its leaves do not tile it.
    var incomplete: WeirError {
        WeirError.damaged(
            "Keys of offsets from \(first) to before \(end) are missing from the index.")
    }
}

/// Bounds of the index, in one place.
package enum IndexLimits {
    /// More than a file of SQLite can hold, and few enough to be added up.
    static let entriesMax = 1 << 40
    /// Entries that one transaction of a merge writes.
    static let pieceEntriesMax = 64 << 10
    /// Runs that are merged at once, and how many it takes: while the index is behind, while
    /// something comes, and in quiet moments.
    static let mergeRunsMax = 1024
    static let mergeRunsMinBehind = 64
    static let mergeRunsMinBusy = 8
    static let mergeRunsMinIdle = 2
    /// Entries of a merge that goes on before one that is under way.
    static let besideEntriesMax = 1 << 20
    /// Runs of so many entries together are merged in every quiet moment.
    static let smallEntriesMax = 16 << 10
    /// What is left of the write-ahead log between transactions, in bytes.
    static let journalBytesMax = 64 << 20
    /// With so many pages in it, the log is moved into the file: half of its bytes, as readers may
    /// keep some of it from being moved.
    static let journalPagesMax = journalBytesMax / 2 / pageBytes
    /// Pages that a connection keeps in memory, in KiB.
    static let cacheKibibytesMax = 4 << 10
    /// In bytes.
    static let pageBytes = 8 << 10
}
