import WeirBase
import WeirFiles
import WeirFormat
import WeirIndex
import WeirLog

/// Holds the index against the log.
///
///     every key    of each segment, the entries of the index and those that the log gives come to
///                  a number; where the two differ, each record is looked up
///     a sample     records here and there are looked up
struct IndexCheck {
    private let engine: SystemEngine
    private let reader: IndexReader
    private let path: String
    private(set) var findings: [DamageReport] = []
    private(set) var keyCount = 0
    /// Why a part of it was not looked at: neither the index's damage nor found in it.
    private(set) var trouble: String?
    /// Records of a stream that a sample looks up.
    private static let sampleCount: UInt64 = 1000

    enum Opening {
        case check(IndexCheck)
        /// There is none that could be looked at.
        case none(because: String)
        case damaged(DamageReport)
    }

    /// Opens the newest index of a store. `leavingFiles`: not where SQLite would have to make a
    /// file beside it for that.
    static func open(
        _ engine: SystemEngine, leavingFiles: Bool
    ) throws(WeirError) -> Opening {
        let indexFiles = IndexFiles(files: engine.files)
        guard let generation = try indexFiles.generations().last else {
            return .none(because: "there is no index")
        }
        guard engine.header.storeID != StoreID(0) else {
            return .none(because: "the file WEIR does not tell whose store it is")
        }
        let path = StoreLayout.index(generation: generation)
        let hasJournal = try indexFiles.hasJournal(generation)
        if leavingFiles, hasJournal, !engine.hasLiveWriter {
            return .none(
                because: "a writer that died, or ended without room, left the index's journal, "
                    + "which the next opening takes up")
        }
        do throws(WeirError) {
            guard let opening = try EpochFile<RealFileSystem>.lastOpening(files: engine.files)
            else { return .none(because: "EPOCHS does not tell of the last opening") }
            let reader = try IndexReader(
                path: indexFiles.path(generation), store: engine.header.storeID,
                isFrozen: !engine.hasLiveWriter && !hasJournal)
            guard reader.owner == IndexIdentity(store: engine.header.storeID, opening) else {
                try reader.close()
                return .none(
                    because: "the index is of epoch \(reader.owner.epoch), and the last opening is "
                        + "epoch \(opening.epoch): the next one makes it anew")
            }
            return .check(IndexCheck(engine: engine, reader: reader, path: path))
        } catch {
            guard error.code == .damaged else { return .none(because: error.description) }
            return .damaged(Self.report(error.description, path))
        }
    }

    private init(engine: SystemEngine, reader: IndexReader, path: String) {
        self.engine = engine
        self.reader = reader
        self.path = path
    }

    private static func report(
        _ detail: String, _ path: String, stream: String = "", at offset: Offset? = nil
    ) -> DamageReport {
        DamageReport(
            kind: .damagedIndex, stream: stream, path: path,
            offsets: offset.map { $0.value..<($0 + 1).value }, detail: detail)
    }

    enum Extent: Sendable { case tables, sample, everyKey }

    /// Looks, and closes the index. `isWanted` is asked between pieces of work.
    mutating func run(
        _ extent: Extent, isWanted: (_ keyCount: Int) -> Bool
    ) throws(WeirError) {
        do throws(WeirError) {
            try reader.expectWhole()
            if extent != .tables {
                for stream in engine.streams where IndexFeeder.isIndexed(stream) {
                    try check(stream, extent, isWanted)
                }
            }
        } catch {
            if error.code == .damaged {
                findings.append(Self.report(error.description, path))
            } else {
                trouble = error.description
            }
        }
        try reader.close()
    }

    private mutating func check(
        _ stream: SystemStream, _ extent: Extent, _ isWanted: (Int) -> Bool
    ) throws(WeirError) {
        let logStart = stream.view.logStart
        if extent == .sample {
            guard let covered = try reader.coverage(of: stream.id) else { return }
            try engine.refresh(stream)
            return try sample(stream, max(covered.lowerBound, logStart)..<covered.upperBound)
        }
        // By segments: what compaction took from one must not have the others looked up again.
        var bounds = [logStart]
        for segment in stream.view.segments where segment.base > bounds[bounds.count - 1] {
            bounds.append(segment.base)
        }
        guard let content = try reader.content(of: stream.id, in: bounds) else { return }
        try engine.refresh(stream)
        let start = max(content.covered.lowerBound, logStart)
        guard start < content.covered.upperBound else { return }
        let range = start..<content.covered.upperBound
        var parts = PartDigests(bounds: bounds)
        let before = keyCount
        var count = 0
        let isAll = try walk(stream, range) { entry in
            if !content.unread.contains(where: { $0.contains(entry.offset) }) { parts.add(entry) }
            count += 1
            return count % 4096 != 0 || isWanted(before + count)
        }
        keyCount += parts.count
        guard isAll else { return }
        for (index, digest) in parts.digests.enumerated() {
            let known = content.parts.digests[index]
            let end = index + 1 < bounds.count ? bounds[index + 1] : range.upperBound
            let part = max(start, bounds[index])..<max(start, bounds[index], end)
            guard digest != known, isWanted(keyCount) else { continue }
            try explain(
                stream, part.clamped(to: range), known.count, digest.count, isWanted)
        }
    }

    /// Calls `body` with each entry that the log gives for a range; `false` if that ended it.
    private func walk(
        _ stream: SystemStream, _ range: Range<Offset>,
        _ body: (KeyEntry) throws(WeirError) -> Bool
    ) throws(WeirError) -> Bool {
        let fields = IndexedFields(stream)
        var start = range.lowerBound
        while start < range.upperBound {
            let runs = try KeyFeed.read(
                fields, of: stream.id, stream.view, from: start, mode: .copied
            ) { _ in false }
            guard let last = runs.last else { break }
            for run in runs {
                for entry in run.entries where entry.offset < range.upperBound {
                    guard try body(entry) else { return false }
                }
            }
            start = last.end
        }
        return true
    }

    /// The two do not come to the same: which records the index does not know.
    private mutating func explain(
        _ stream: SystemStream, _ range: Range<Offset>, _ indexCount: Int, _ logCount: Int,
        _ isWanted: (Int) -> Bool
    ) throws(WeirError) {
        var missing: [Offset] = []
        var missingCount = 0
        let isAll = try walk(stream, range) { (entry) throws(WeirError) in
            if try !knows(entry, of: stream) {
                missingCount += 1
                if missing.isEmpty { missing.append(entry.offset) }
            }
            return isWanted(keyCount)
        }
        if let first = missing.first {
            findings.append(
                Self.report(
                    "keys of records are not in the index: \(missingCount), the first that of "
                        + "offset \(first)", path, stream: stream.name.description, at: first))
        }
        // Of what compaction or damage took, the index may know more than there is: whoever asks
        // looks at the record in any case.
        let isWhole = stream.view.segment(for: range.lowerBound)?.generation == 0
        let surplus = indexCount - (logCount - missingCount)
        if isAll, isWhole, surplus > 0, try !hasGaps(stream, range) {
            findings.append(
                Self.report(
                    "the index has entries that are of no record: \(surplus)", path,
                    stream: stream.name.description))
        }
    }

    private func hasGaps(
        _ stream: SystemStream, _ range: Range<Offset>
    ) throws(WeirError) -> Bool {
        var cursor = LogCursor(view: stream.view, at: range.lowerBound, mode: .copied)
        while cursor.nextOffset < range.upperBound {
            switch try cursor.next() {
            case .batch: continue
            case .gap: return true
            case .end, .held: return false
            }
        }
        return false
    }

    /// Whether an answer about the key names the record; one that does not know may say so.
    private func knows(_ entry: KeyEntry, of stream: SystemStream) throws(WeirError) -> Bool {
        let answer = try reader.offsets(
            of: entry.hash, in: stream.id, from: entry.offset, limit: 1,
            writtenBy: reader.owner)
        switch answer {
        case .offsets(let offsets, let upTo):
            return offsets.first == entry.offset || upTo <= entry.offset
        case .unknown: return true
        }
    }

    private mutating func sample(
        _ stream: SystemStream, _ range: Range<Offset>
    ) throws(WeirError) {
        guard !range.isEmpty else { return }
        let fields = IndexedFields(stream)
        let span = range.upperBound.value - range.lowerBound.value
        let step = max(1, span / Self.sampleCount)
        var cursor = LogCursor(view: stream.view, at: range.lowerBound, mode: .copied)
        for place in stride(from: range.lowerBound.value, to: range.upperBound.value, by: Int(step))
        {
            cursor.move(to: Offset(place))
            guard case .batch = try cursor.next() else { continue }
            var hashes: [UInt64] = []
            var found = Offset(place)
            var records = cursor.records
            if let record = records.next() {
                found = record.offset
                fields.forEachHash(of: record) { hashes.append($0) }
            }
            guard found < range.upperBound else { break }
            for hash in hashes {
                keyCount += 1
                guard try !knows(KeyEntry(hash: hash, offset: found), of: stream) else { continue }
                findings.append(
                    Self.report(
                        "the key of the record at offset \(found) is not in the index", path,
                        stream: stream.name.description, at: found))
                return
            }
        }
    }
}
