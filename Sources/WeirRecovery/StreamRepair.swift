package import WeirBase
package import WeirFiles
package import WeirFormat

/// Changes to a stream that nobody has open, by whoever holds the store's lock.
///
/// Each begins with the recovery that an opening does, so a torn tail is cut and a lost manifest
/// written; then one thing is written and synced before the edit that tells of it. A crash in the
/// middle leaves what was there to be repaired, and the repair can be done again.
package struct StreamRepair<Files: FileSystem> {
    private let files: Files
    private let directory: StreamDirectory
    private let recovered: RecoveredStream
    package private(set) var state: ManifestState

    /// `nil` where there is no stream. Throws as recovery does.
    package init?(
        _ id: StreamID, files: Files, tail: TailSlot?, isSameBoot: (Epoch?) -> Bool
    ) throws(WeirError) {
        let outcome = try StreamRecovery.recover(
            id, files: files, tail: tail, isSameBoot: isSameBoot, isReadOnly: false)
        guard let outcome, let manifest = outcome.manifest else { return nil }
        self.files = files
        self.state = manifest
        self.recovered = outcome.stream
        self.directory = try StreamDirectory.list(id, files: files)
    }

    /// Notes that a segment's file is gone for good. Its offsets are given to nobody else.
    package mutating func acknowledgeLoss(of id: SegmentID) throws(WeirError) {
        guard state.segments.contains(where: { $0.id == id }), directory.segments[id] == nil
        else { return }
        var edits: [ManifestEdit] = [.retired([id])]
        if recovered.tail == nil {
            // The entry itself was what told where the log ended.
            edits.append(
                .closed(
                    CleanClose(
                        epoch: state.lastOpening ?? Epoch(0), segment: nil, position: .zero,
                        end: recovered.nextOffset, durableEnd: recovered.durableEnd,
                        lastAppendTime: recovered.lastAppendTime)))
        }
        try commit([.several(edits)])
    }

    /// Makes the footer of a sealed segment anew from its batches. None of their bytes is touched.
    ///
    /// The bytes behind the batches are written over and cut; the caller has copied them. The
    /// segment keeps its end, even where its last batches are damaged.
    package mutating func writeFooter(of id: SegmentID) throws(WeirError) {
        guard let entry = state.segments.first(where: { $0.id == id }), let old = entry.sealed,
            let found = directory.segments[id]
        else { return }
        let path = directory.path(found.name)
        let file = try files.open(path, .readWrite)
        let scan = try ScannedSegment.scan(
            file, id: id, base: entry.base, path: path, files: files)
        try SegmentHeader.expectWritable(scan.roCompat, path: path)
        // A repair that was interrupted before its edit has left its footer there.
        let wholeEnd = scan.footerStart ?? FilePosition(UInt64(roundedUp(scan.fileBytes, to: 8)))
        let start = FilePosition(UInt64(SegmentHeader.alignment))
        // Of a file that was cut, what is left of the last batch stays in front of the footer; what
        // is left of the header does, too.
        let position = max(min(old.batchesEnd, wholeEnd), start)
        var summary = scan.standing.summary
        // Behind the last batch of a compacted segment nobody misses an offset up to its end: where
        // batches are cut off, it ends before them, and what follows it tells the gap.
        let hidesLoss = entry.generation > 0 && position < old.batchesEnd
        if !hidesLoss || entry == state.segments.last {
            summary.endOffset = max(summary.endOffset, old.endOffset)
        }
        var footer = SegmentFooter(
            segmentID: id, summary: summary, logStart: state.logStart,
            configuration: state.configuration)
        let recovery = StreamRecovery(
            files: files, directory: directory,
            evidence: .init(durableEnd: .zero, isSameBoot: false), isReadOnly: false, state: state)
        let told = try recovery.producers(of: scan, keptTo: position, file, path)
        footer.producers = try rows(told, for: entry)
        let (bytes, checksum) = footer.encode(at: position)
        let sealed = SealedSegment(
            summary: summary, batchesEnd: position,
            fileBytes: position.value + UInt64(bytes.count), footerChecksum: checksum)
        try files.writeAll(file, bytes, at: position)
        try files.truncate(file, to: Int(clamping: sealed.fileBytes))
        try files.sync(file)
        try files.close(file)
        try commit([.segmentSealed(id, sealed)])
    }

    /// What the new footer says of producers. Nothing, where a later one tells, or what cannot be
    /// read now may tell later; else what is known counts as all there is, so that the stream takes
    /// appends of named producers again. Throws what cannot be read now, where it and this footer
    /// are all that may tell: the footer waits.
    private func rows(
        _ told: ToldProducers, for entry: SegmentEntry
    ) throws(WeirError) -> [ProducerRow]? {
        let hasBeginning = entry.base == .zero || state.segments.first?.id != entry.id
        if let doubt = told.doubt, doubt.code != .damaged {
            guard entry.generation == 0 else { throw doubt }
            return nil
        }
        if told.doubt == nil, entry.generation == 0, hasBeginning { return told.table.rows }
        for later in state.segments where later.base > entry.base && later.sealed != nil {
            guard let found = directory.segments[later.id] else { continue }
            let file = try files.open(directory.path(found.name), .read)
            let footer = try ManifestLoader.readFooter(file, files.size(of: file), later.id, files)
            try files.close(file)
            if footer?.0.producers != nil { return nil }
        }
        return told.table.rows
    }

    /// Whether a segment's header can be made anew: nothing is in it that the manifest lacks, and
    /// the batches begin where they would with that header, if there are any.
    package func canWriteHeader(of id: SegmentID) throws(WeirError) -> Bool {
        try Self.canWriteHeader(of: id, in: state, directory, files)
    }

    package static func canWriteHeader(
        of id: SegmentID, in state: ManifestState, _ directory: StreamDirectory, _ files: Files
    ) throws(WeirError) -> Bool {
        // Of a compacted segment the header alone tells what it replaced.
        guard let entry = state.segments.first(where: { $0.id == id }), entry.generation == 0,
            let found = directory.segments[id]
        else { return false }
        let file = try files.open(directory.path(found.name), .read)
        let start = FilePosition(UInt64(SegmentHeader.alignment))
        let bytes = try files.read(file, at: start, byteCount: BatchHeader.byteCount)
        try files.close(file)
        if bytes.isEmpty { return true }
        let scanner = SegmentScanner(segment: id, position: start)
        return scanner.header(at: bytes) != nil
    }

    /// Makes a segment's header anew from what the manifest says; the caller has copied the old.
    package func writeHeader(of id: SegmentID) throws(WeirError) {
        guard try canWriteHeader(of: id), let found = directory.segments[id],
            let entry = state.segments.first(where: { $0.id == id })
        else { return }
        let header = SegmentHeader(
            segmentID: id, streamID: directory.id, epoch: entry.epoch, base: entry.base,
            creationTime: entry.sealed?.firstAppendTime ?? .distantPast, logStart: state.logStart,
            name: state.name, configuration: state.configuration)
        let bytes = header.encode()
        guard bytes.count == SegmentHeader.alignment else {
            throw WeirError.damaged(
                "A header of \(bytes.count) bytes does not fit before the batches",
                path: directory.path(found.name))
        }
        let file = try files.open(directory.path(found.name), .readWrite)
        try files.writeAll(file, bytes, at: .zero)
        try files.sync(file)
        try files.close(file)
    }

    private mutating func commit(_ edits: [ManifestEdit]) throws(WeirError) {
        var next = state
        let bytes = try next.encode(edits)
        let file = try files.open(StoreLayout.manifest(directory.id), .readWrite)
        try files.writeAll(file, bytes, at: FilePosition(UInt64(state.byteCount)))
        try files.sync(file)
        try files.close(file)
        state = next
    }
}
