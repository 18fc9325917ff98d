import WeirBase
import WeirFormat

/// What of a store's segments is missing in a backup's directory, and what in there nobody needs:
/// decided over what the snapshots say and which files there are.
struct BackupPlan: Sendable {
    enum Action: Sendable, Hashable {
        /// It is there as it is here.
        case keep(StoredSegment)
        /// Its first bytes are there; the rest is added, and earlier snapshots notice nothing.
        case extend(StoredSegment)
        /// The same of a file that was sealed and has been repaired, or was cut when it was copied,
        /// or has more than a snapshot says. What is there may be the store's own file, by a hard
        /// link, so nothing is written in it.
        case renew(StoredSegment)
        /// A whole file that no snapshot names, as an interrupted backup leaves it: proven, not
        /// copied.
        case adopt
        case copy
    }

    /// What snapshots say of a segment: the one that says most.
    private struct Known: Sendable {
        var stored: StoredSegment
        var sealed: SealedSegment?
    }
    private var known: [SegmentID: Known] = [:]
    /// Bytes of the files that are there, whatever they hold.
    private var present: [SegmentID: Int]

    init(snapshots: [SnapshotFile], present: [SegmentID: Int]) {
        self.present = present
        for snapshot in snapshots {
            for stream in snapshot.streams { note(stream) }
        }
    }

    private mutating func note(_ stream: SnapshotFile.Stream) {
        for entry in stream.manifest.segments {
            guard let stored = stream.files[entry.id] else { continue }
            note(entry, stored)
        }
    }

    /// The file is there now, so long; one that was cut or sealed anew may have become shorter.
    mutating func note(_ entry: SegmentEntry, _ stored: StoredSegment) {
        if let last = known[entry.id], last.stored.byteCount > stored.byteCount {
            guard let now = entry.sealed, last.sealed != now, now.fileBytes == stored.byteCount
            else { return }
        }
        known[entry.id] = Known(stored: stored, sealed: entry.sealed)
    }

    /// The file is whole up to here.
    mutating func notePresent(_ id: SegmentID, byteCount: Int) { present[id] = byteCount }

    func action(for entry: SegmentEntry) -> Action {
        let present = present[entry.id]
        guard let known = known[entry.id] else {
            let isWhole = present.map { UInt64($0) } == entry.sealed?.fileBytes
            return present != nil && isWhole ? .adopt : .copy
        }
        // Shorter than a snapshot says: somebody cut it. A new copy mends the snapshot too.
        guard UInt64(present ?? 0) >= known.stored.byteCount else { return .copy }
        guard let sealed = known.sealed else {
            let isAsKnown = present.map { UInt64($0) } == known.stored.byteCount
            return isAsKnown ? .extend(known.stored) : .renew(known.stored)
        }
        let isSame = sealed == entry.sealed && sealed.fileBytes == known.stored.byteCount
        return isSame ? .keep(known.stored) : .renew(known.stored)
    }
}
