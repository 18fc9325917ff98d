import WeirBase
import WeirFiles
import WeirFormat
import WeirIndex
import WeirLog

/// Reads the keys and indexed headers of a stream, in the order of the log, as runs for the index.
enum KeyFeed {
    /// What one reading may take: entries in memory, and batches, so that progress is seen where
    /// no record has a key.
    static let entriesMax = 256 << 10
    static let batchesMax = 64 << 10

    /// What is to be indexed from an offset on, as far as readers see and the bounds allow.
    ///
    /// Runs follow each other without a hole. What cannot be read because it is damaged becomes a
    /// run that says so: should it be readable later, nothing is missing then. Where only keys are
    /// indexed, batches without a key cost their header, sealed segments in front that have none
    /// their footer, and what this writer appended since it last saw a key nothing. `isStopped` is
    /// asked before each batch, with how many entries there are. Throws what the medium said.
    static func read<Files: FileSystem>(
        _ fields: IndexedFields, of stream: StreamID, _ view: LogView<Files>,
        from start: Offset, mode: ReadingMode = .mapped, isStopped: (Int) -> Bool
    ) throws(WeirError) -> [KeyRun] {
        let keyed = fields.areKeysOnly ? endOfKeyless(view, from: start) { isStopped(0) } : start
        var cursor = LogCursor(
            view: view, at: keyed, mode: mode, passing: fields.areKeysOnly ? .keyless : .none)
        var runs: [KeyRun] = []
        var entries: [KeyEntry] = []
        // The last batch may go beyond the bound.
        let entriesMaxBehind = entriesMax + Limits.batchEntriesMax
        entries.reserveCapacity(min(entriesMaxBehind, max(0, view.visibleEnd - keyed)))
        var first = start
        var place = keyed
        var count = 0
        /// Of the runs before a gap.
        var entriesBefore = 0
        while count < batchesMax, entriesBefore + entries.count < entriesMax,
            !isStopped(entriesBefore + entries.count)
        {
            let step = try cursor.next()
            count += 1
            switch step {
            case .batch(let header):
                if header.keyedCount > 0 || !fields.areKeysOnly {
                    collect(fields, of: cursor.records, into: &entries)
                }
                place = header.endOffset
                continue
            case .gap(let gap) where gap.reason == .retention:
                // Nobody will ever read what is missing there.
                place = gap.next
                continue
            case .gap(let gap):
                if gap.expected > first {
                    runs.append(
                        KeyRun(stream: stream, first: first, end: gap.expected, entries: entries))
                }
                runs.append(
                    KeyRun(
                        stream: stream, first: gap.expected, end: gap.next, entries: [],
                        isUnread: true))
                entriesBefore += entries.count
                entries = []
                first = gap.next
                place = gap.next
                continue
            case .end, .held: break
            }
            place = max(place, cursor.nextOffset)
            break
        }
        // What zeros were read as must not count as read.
        try cursor.expectIntact()
        if place > first {
            runs.append(
                KeyRun(stream: stream, first: first, end: place, entries: consume entries))
        }
        return runs
    }

    /// Behind the sealed segments from an offset on of which the footer says that no record has a
    /// key, and behind all if the writer says so. Where a footer cannot be read, the walk over the
    /// batches tells.
    private static func endOfKeyless<Files: FileSystem>(
        _ view: LogView<Files>, from start: Offset, _ isStopped: () -> Bool
    ) -> Offset {
        let visibleEnd = view.visibleEnd
        var end = start
        for segment in view.segments where segment.base <= end {
            guard let sealed = segment.sealed, sealed.endOffset > end else { continue }
            guard sealed.endOffset <= visibleEnd, !isStopped(), isKeyless(segment, sealed) else {
                break
            }
            end = sealed.endOffset
        }
        return end >= view.keyedEnd ? max(end, visibleEnd) : end
    }

    private static func isKeyless<Files: FileSystem>(
        _ segment: ReadableSegment<Files>, _ sealed: SealedSegment
    ) -> Bool {
        do throws(WeirError) {
            return try segment.footer(sealed)?.summary.keyedCount == 0
        } catch {
            return false
        }
    }

    private static func collect(
        _ fields: IndexedFields, of records: consuming RecordWalker, into entries: inout [KeyEntry]
    ) {
        while true {
            // Most records are of the kind that is walked over here.
            if fields.areKeysOnly {
                records.hashKeysOfValues { entries.append(KeyEntry(hash: $0, offset: $1)) }
            }
            guard let record = records.next() else { return }
            let offset = record.offset
            fields.forEachHash(of: record) { entries.append(KeyEntry(hash: $0, offset: offset)) }
        }
    }
}
