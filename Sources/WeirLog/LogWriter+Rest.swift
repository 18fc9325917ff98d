package import WeirBase
import WeirFiles
package import WeirFormat

/// Rest: who appends to nothing for a while keeps no file open, and no memory for appending. So a
/// store may have more streams than a process may have files.
///
///     awake ──rest──▶ rolls · marker · trim · sync ──▶ close ──▶ asleep
///       ▲                    └ failed: awake, or poisoned           │
///       └───── open; a regular file of one name, and of that size ◀─┘ the next append
///
/// A file that was closed with bytes on their way may never tell that they did not arrive: the
/// system says so to those who have it open, once. So all are durable before it is closed.
extension LogWriter {
    /// The segment that batches go to, while its file is not open.
    struct Asleep {
        let readable: ReadableSegment<Files>
        /// Where the next batch goes, and the file ends.
        let position: FilePosition
        let isEmpty: Bool
        /// An earlier writer began it.
        let isResumed: Bool
    }

    /// Whether the segment that batches go to has its file open.
    package var isAwake: Bool { active != nil }

    /// Where the next batch goes; `nil` where it begins a segment.
    var place: (segment: SegmentID, position: FilePosition)? {
        active.map { ($0.readable.id, $0.position) }
            ?? asleep.map { ($0.readable.id, $0.position) }
    }

    /// Goes on in a segment that an earlier writer left in good order. Throws `newerFormat` for one
    /// that may only be read.
    package func resume(_ tail: SegmentTail, in readable: ReadableSegment<Files>) throws(WeirError)
    {
        let file = try files.open(readable.path, .readWrite)
        let head = try files.read(file, at: .zero, byteCount: SegmentHeader.alignment)
        try files.close(file)
        do throws(WeirError) {
            let header = try SegmentHeader.decode(head).header
            try SegmentHeader.expectWritable(header.roCompat, path: readable.path)
        } catch {
            // A damaged header costs nothing.
            if error.code == .newerFormat { throw error }
        }
        asleep = Asleep(
            readable: readable, position: tail.position, isEmpty: tail.summary.batchCount == 0,
            isResumed: true)
    }

    /// Opens the segment before an append. If that fails nothing was appended, and the next append
    /// tries again.
    func wake() throws(WeirError) {
        guard let asleep else { return }
        let file = try files.open(asleep.readable.path, .readWrite)
        do throws(WeirError) {
            try expectUntouched(file, asleep)
        } catch {
            try files.close(file)
            throw error
        }
        active = Active(
            file: file, readable: asleep.readable, position: asleep.position,
            isEmpty: asleep.isEmpty, writeBackEnd: asleep.position,
            allocatedEnd: asleep.position, isResumed: asleep.isResumed)
        self.asleep = nil
    }

    private func expectUntouched(_ file: Files.File, _ asleep: Asleep) throws(WeirError) {
        let size = try files.size(of: file)
        guard size != Int(clamping: asleep.position.value) else { return }
        throw WeirError(
            .damaged,
            "The segment has \(size) bytes; expected \(asleep.position), where its last batch "
                + "ends. Something else has changed the file, so nothing was appended; close the "
                + "store and open it again, which looks at what is there.",
            at: .init(path: asleep.readable.path, stream: view.name.description))
    }

    /// Closes the segment's file until the next append, and lets go of memory. By the leader.
    ///
    /// Everything is durable then, and the room ahead is given back. Costs the syncs that are owed,
    /// or none. Throws what keeps it from that, and the file stays open. That of a poisoned writer
    /// is closed as it is: nothing of it is ever written or synced again.
    package func rest() throws(WeirError) {
        if active == nil { return }
        try nextFile.giveUp()
        do throws(WeirError) {
            try settleDebts()
        } catch {
            if poison == nil { throw error }
            try rolls.abandon()
        }
        guard let current = active else { return }
        asleep = Asleep(
            readable: current.readable, position: current.position, isEmpty: current.isEmpty,
            isResumed: current.isResumed)
        active = nil
        scratch = ScratchMemory()
        do throws(WeirError) {
            try files.close(current.file)
        } catch {
            throw poison ?? poisoned(by: error)
        }
    }

    /// What was appended becomes durable, and with the marker also the word that it is.
    private func settleDebts() throws(WeirError) {
        if let poison { throw poison }
        try checkTenure()
        try settle()
        // What nobody was promised needs no word: one sync is enough.
        if configuration.durability != .flushed { try sync() }
        try manifest.reserve.lending(isFull: WeirError.isNoSpace) { () throws(WeirError) in
            _ = try writeMarker()
        }
        try trim()
        try sync()
    }

    /// The room ahead goes back: others may need it, and the file ends where the batches do.
    private func trim() throws(WeirError) {
        guard var current = active else { return }
        let end = Int(clamping: current.position.value)
        let size = try files.size(of: current.file)
        guard size != end || current.allocatedEnd > current.position else { return }
        try files.truncate(current.file, to: end)
        current.allocatedEnd = current.position
        current.isDirty = true
        active = current
    }
}
