import WeirBase
import WeirFiles
import WeirFormat

/// The new segment of a compaction, being written under a name that says that it is not one yet.
///
///     compacting:  header, batches …  ─▶ footer, sync ─▶ its own name, directory synced
///
/// A crash before the edit that lists it leaves a file that the next opening removes: everything in
/// it still stands where it stood.
struct SegmentOutput<Files: FileSystem> {
    let header: SegmentHeader
    private let files: Files
    private let file: Files.File
    private var path: String
    private(set) var summary: SegmentSummary
    /// Where the next batch goes, and what of the file is on the medium.
    private(set) var position: FilePosition
    private var syncedEnd = FilePosition.zero
    /// Bytes that are not written yet: small batches go together.
    private var pending: [UInt8] = []
    private static var pendingBytesMax: Int { 256 << 10 }

    init(_ header: SegmentHeader, files: Files) throws(WeirError) {
        self.header = header
        self.files = files
        self.path = StoreLayout.compacting(header.streamID)
        do throws(WeirError) {
            // What an earlier try left.
            try files.removeFile(path)
        } catch {
            if error.code != .notFound { throw error }
        }
        self.file = try files.open(path, .createExclusive)
        self.summary = SegmentSummary(base: header.base)
        let bytes = header.encode()
        self.pending = bytes
        self.position = FilePosition(UInt64(bytes.count))
    }

    /// Where the next batch will stand, which its header proves.
    var place: BatchPlace { BatchPlace(segment: header.segmentID, position: position) }

    /// Takes a batch that was made for `place`.
    mutating func append(_ header: BatchHeader, _ bytes: UnsafeRawBufferPointer) throws(WeirError) {
        summary.add(header, at: position)
        unsafe pending.append(contentsOf: bytes)
        position = position + bytes.count
        if pending.count >= Self.pendingBytesMax { try flush() }
    }

    private mutating func flush() throws(WeirError) {
        guard !pending.isEmpty else { return }
        let start = FilePosition(position.value - UInt64(pending.count))
        try files.writeAll(file, pending, at: start)
        pending.removeAll(keepingCapacity: true)
        // At once, or the sync below would send megabytes in one burst, and appends wait for it.
        files.startWriting(file, from: start, to: position)
        // In pieces: a whole segment at once would hold up the syncs of appends for as long.
        if position - syncedEnd >= Limits.compactionSyncBytes {
            try files.sync(file)
            syncedEnd = position
        }
    }

    /// Writes the footer, makes all of it durable and gives the file the segment's name.
    ///
    /// `end` is where the replaced segments ended: the last records may be gone, their offsets are
    /// not given again.
    mutating func finish(
        end: Offset, producers: [ProducerRow]
    ) throws(WeirError) -> SealedSegment {
        summary.endOffset = max(summary.endOffset, end)
        var footer = SegmentFooter(
            segmentID: header.segmentID, summary: summary, logStart: header.logStart,
            configuration: header.configuration)
        footer.producers = producers
        let (bytes, checksum) = footer.encode(at: position)
        let batchesEnd = position
        pending += bytes
        position = position + bytes.count
        try flush()
        try files.sync(file)
        try files.close(file)
        let name = StoreLayout.segment(header.streamID, header.segmentID, base: header.base)
        try files.rename(path, to: name)
        path = name
        try files.syncDirectory(StoreLayout.stream(header.streamID))
        return SealedSegment(
            summary: summary, batchesEnd: batchesEnd, fileBytes: position.value,
            footerChecksum: checksum)
    }

    /// Gives up: the file goes, and its room with it. Also when it is finished, as long as no edit
    /// can have listed it.
    func abandon() {
        do throws(WeirError) {
            try files.removeFile(path)
            try files.close(file)
        } catch {
            // The reason for giving up is what is told; the next opening, or the next try, removes
            // what is left.
            return
        }
    }
}
