import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// Finds out which records of a stream's sealed segments are of no more use.
///
///     newest segment ─▶ … ─▶ oldest:  key met already?  ─ yes ▶ this record is superseded
///                                      └ no ▶ it is the key's latest; the map remembers it
///
/// In as many passes as the map needs; marks are facts, and those of an earlier pass stay.
struct Survey<Files: FileSystem>: ~Copyable {
    /// By segment, oldest first.
    private(set) var segments: [SurveyedSegment]
    /// Records that are superseded, and tombstones that are past their delay; of these, the ones
    /// whose key an earlier segment has, too.
    private(set) var dead: [RecordMarks]
    private(set) var expired: [RecordMarks]
    private(set) var hiding: [RecordMarks]
    private(set) var passCount = 0
    private(set) var keyCount = 0
    /// Keys that the map is too small for: their records stay.
    private(set) var keysTooLong = 0
    private(set) var readBytes: UInt64 = 0

    private let marked: Range<Int>
    private let view: LogView<Files>
    private let tombstonesBefore: Timestamp
    private var map: KeyMap
    /// Of the next keys of a batch, so many at a time that what they lead to stays in the
    /// processor's caches.
    private var hashes: [UInt64] = []
    private static var hashCount: Int { 256 }

    /// `entries` are sealed, oldest first. Only those of `marked` get marks; the ones behind them
    /// tell what supersedes, and the ones before them are not looked at.
    init(
        _ entries: [SegmentEntry], of view: LogView<Files>, marked: Range<Int>, mapBytes: Int,
        seed: UInt64, tombstonesBefore: Timestamp
    ) {
        self.marked = marked
        self.view = view
        self.tombstonesBefore = tombstonesBefore
        let records = entries.reduce(0) { $0 + Int(clamping: $1.sealed?.recordCount ?? 0) }
        self.map = KeyMap(byteCount: mapBytes, recordsMax: records) { keyHash($0, seed: seed) }
        self.segments = []
        self.dead = []
        self.expired = []
        self.hiding = []
        for (index, entry) in entries.enumerated() {
            guard let sealed = entry.sealed else { continue }
            segments.append(SurveyedSegment(entry: entry, sealed: sealed))
            let count = marked.contains(index) ? Int(clamping: sealed.recordCount) : 0
            dead.append(RecordMarks(count: count))
            expired.append(RecordMarks(count: count))
            hiding.append(RecordMarks(count: count))
        }
    }

    /// `readable` are the entries as readers see them.
    mutating func run(
        _ readable: [ReadableSegment<Files>], _ pace: any CompactionPace
    ) throws(WeirError) {
        for index in marked { try readEnds(of: readable[index], at: index) }
        repeat {
            passCount += 1
            pace.begin(
                .looking,
                byteCount: segments[marked.lowerBound...].reduce(0) { $0 + $1.sealed.fileBytes })
            for index in (marked.lowerBound..<segments.count).reversed() {
                try look(at: index, in: readable[index], pace)
            }
            keyCount += map.count
        } while map.beginNextPass()
    }

    /// The header alone tells what was merged: without it the segment stays as it is. Nothing else
    /// of it or of the footer is needed, and it is told what of them does not hold.
    private mutating func readEnds(
        of readable: ReadableSegment<Files>, at index: Int
    ) throws(WeirError) {
        do throws(WeirError) {
            segments[index].epochStarts = try readable.epochStarts()
            segments[index].flaw = try readable.flaw(segments[index].sealed)
        } catch {
            guard error.isOfOneSegment else { throw error }
            segments[index].damage = error.reason
        }
    }

    /// The first pass proves every batch of what may be rewritten, those without keys too: damage
    /// has to be known before it is planned what goes.
    private mutating func look(
        at index: Int, in readable: ReadableSegment<Files>, _ pace: any CompactionPace
    ) throws(WeirError) {
        let provesAll = passCount == 1 && marked.contains(index)
        var walk = SegmentWalk(
            readable, segments[index].sealed, of: view, keyedOnly: !provesAll)
        while true {
            switch try walk.next() {
            case .end: return
            case .damage(let why): segments[index].damage = segments[index].damage ?? why
            case .batch(let header, let firstRecord):
                try pace.step(byteCount: header.storedByteCount)
                readBytes += UInt64(header.storedByteCount)
                guard header.keyedCount > 0 else { continue }
                note(walk.cursor.records, of: header, from: firstRecord, in: index)
            }
        }
    }

    private mutating func note(
        _ records: consuming RecordWalker, of header: BatchHeader, from first: Int, in index: Int
    ) {
        var place = first
        var ahead = copy records
        var hashed = 0
        hashes.removeAll(keepingCapacity: true)
        let mayExpire = header.appendTime < tombstonesBefore
        // What no builder of ours has made may not fit into one.
        if header.recordCount > Limits.batchEntriesMax
            || header.rawBodyLength > Limits.decodedBodyBytesMax
        {
            segments[index].hasFixedBatches = true
        }
        while let record = records.next() {
            defer { place += 1 }
            guard let key = record.key else {
                if record.shape == .opaque { segments[index].hasFixedBatches = true }
                continue
            }
            if hashed == hashes.count {
                look(&ahead)
                hashed = 0
            }
            let hash = hashes[hashed]
            hashed += 1
            let byteCount = record.storedByteCount
            let finding = map.note(
                key, hash: hash, segment: index, record: place, byteCount: byteCount,
                isTombstone: record.isTombstone)
            switch finding {
            case .superseded(let later, let laterRecord):
                mark(place, byteCount, isTombstone: record.isTombstone, in: index)
                noteHidden(byTombstone: laterRecord, in: later)
                continue
            case .supersedes(let earlier, let bytes, let isTombstone):
                mark(earlier, bytes, isTombstone: isTombstone, in: index)
            case .first: break
            case .notNow: continue
            case .tooLong:
                keysTooLong += 1
                continue
            }
            if mayExpire, record.isTombstone, marked.contains(index), !expired[index][place] {
                expired[index][place] = true
                segments[index].expiredBytes += UInt64(byteCount)
                segments[index].expiredCount += 1
            }
        }
    }

    /// Goes on with the walk that is ahead, up to so many keys, and has the map fetch them.
    private mutating func look(_ ahead: inout RecordWalker) {
        hashes.removeAll(keepingCapacity: true)
        while hashes.count < Self.hashCount, let record = ahead.next() {
            if let key = record.key { hashes.append(map.hash(of: key)) }
        }
        map.fetch(hashes)
    }

    /// A record may be met again in a later pass, when its key was forgotten in this one.
    private mutating func mark(
        _ place: Int, _ byteCount: Int, isTombstone: Bool, in index: Int
    ) {
        guard marked.contains(index), !dead[index][place] else { return }
        dead[index][place] = true
        segments[index].deadBytes += UInt64(byteCount)
        segments[index].deadCount += 1
        if isTombstone { segments[index].deadTombstoneCount += 1 }
        guard expired[index][place] else { return }
        expired[index][place] = false
        segments[index].expiredBytes -= UInt64(byteCount)
        segments[index].expiredCount -= 1
        guard hiding[index][place] else { return }
        hiding[index][place] = false
        segments[index].hidingCount -= 1
    }

    /// An earlier segment has the key of a record, which may be a tombstone past its delay.
    private mutating func noteHidden(byTombstone record: Int, in index: Int) {
        guard segments[index].expiredCount > 0, expired[index][record], !hiding[index][record]
        else { return }
        hiding[index][record] = true
        segments[index].hidingCount += 1
    }

    /// What a rewrite leaves out of a segment.
    func gone(in index: Int, tombstones: CompactionPlan.Tombstones) -> RecordMarks {
        var marks = dead[index]
        switch tombstones {
        case .none: break
        case .hidingNothing:
            var free = expired[index]
            free.subtract(hiding[index])
            marks.formUnion(free)
        case .all: marks.formUnion(expired[index])
        }
        return marks
    }
}
