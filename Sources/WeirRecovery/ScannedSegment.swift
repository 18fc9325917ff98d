package import WeirBase
package import WeirFiles
package import WeirFormat

/// What one walk over an unsealed segment found: the facts that the plan is made from.
package struct ScannedSegment: Sendable, Hashable {
    /// What the good batches before a place come to. Kept in their stead, since a segment may hold
    /// a million of them.
    package struct Standing: Sendable, Hashable {
        /// Markers and fillers among them.
        package var batchCount = 0
        /// Behind the last batch; the segment's base before the first.
        package var endOffset: Offset
        package var end: FilePosition
        package var lastAppendTime = Timestamp.distantPast
        package var summary: SegmentSummary
        /// How many blocks of the whole segment's index are this one's.
        package var blockCount = 0

        package init(base: Offset, start: FilePosition) {
            endOffset = base
            end = start
            summary = SegmentSummary(base: base)
        }
    }
    /// Bytes that are no batch, between batches or behind the last.
    package struct Bad: Sendable, Hashable {
        package var range: Range<UInt64>
        /// The header of a batch whose body does not hold.
        package var lost: BatchHeader?
        /// Without the index, which is a part of the whole segment's.
        package var before: Standing
    }

    package var id: SegmentID
    package var base: Offset
    /// Of all good batches.
    package private(set) var standing: Standing
    package private(set) var bad: [Bad] = []
    /// The highest durable end that a batch carries.
    package private(set) var durableEnd = Offset.zero
    /// The lowest and the highest epoch of the batches.
    package private(set) var epochs: ClosedRange<Epoch>?
    private var batchRoCompat: UInt32 = 0
    /// Batches say more than their records, such as whose they are.
    package private(set) var hasExtensions = false
    package var fileBytes: Int = 0
    /// Where batches begin; the whole file if not even the header is there.
    package var batchesStart: FilePosition
    /// A footer that holds stands behind the batches: a roll was interrupted after it.
    package var footer: SegmentFooter?
    package var footerChecksum: UInt32 = 0
    package var footerStart: FilePosition?
    package var headerDefect: String?
    package var header: SegmentHeader?

    package init(id: SegmentID, base: Offset, batchesStart: FilePosition) {
        self.id = id
        self.base = base
        self.batchesStart = batchesStart
        self.standing = Standing(base: base, start: batchesStart)
    }

    /// Features of header and batches that allow reading but not writing.
    package var roCompat: UInt32 { batchRoCompat | (header?.roCompat ?? 0) }

    /// Takes a good batch in, in the order of the file.
    package mutating func add(_ header: BatchHeader, at position: FilePosition) {
        standing.summary.add(header, at: position)
        standing.blockCount = standing.summary.index.count
        standing.batchCount += 1
        standing.endOffset = header.endOffset
        standing.end = position + header.storedByteCount
        standing.lastAppendTime = max(standing.lastAppendTime, header.appendTime)
        durableEnd = max(durableEnd, header.durableEnd)
        let low = min(epochs?.lowerBound ?? header.epoch, header.epoch)
        epochs = low...max(epochs?.upperBound ?? header.epoch, header.epoch)
        batchRoCompat |= header.roCompat
        if header.extensionLength > 0 { hasExtensions = true }
    }

    /// Takes bytes in that are no batch, behind those that were added before.
    package mutating func addBad(_ range: Range<UInt64>, lost: BatchHeader? = nil) {
        var before = standing
        before.summary.index = []
        bad.append(Bad(range: range, lost: lost, before: before))
    }

    /// What is kept if everything from a bad place on is cut.
    func summary(before bad: Bad) -> SegmentSummary {
        var summary = bad.before.summary
        summary.index = Array(standing.summary.index.prefix(bad.before.blockCount))
        return summary
    }
}

extension ScannedSegment {
    /// Walks a segment file. Costs a read of it all, up to its last byte that is not a hole.
    ///
    /// Throws `newerFormat` and what the medium said; damage is a finding.
    package static func scan<Files: FileSystem>(
        _ file: Files.File, id: SegmentID, base: Offset, path: String, files: Files
    ) throws(WeirError) -> ScannedSegment {
        let size = try files.size(of: file)
        var found = ScannedSegment(
            id: id, base: base, batchesStart: FilePosition(UInt64(SegmentHeader.alignment)))
        found.fileBytes = size
        let head = try files.read(
            file, at: .zero, byteCount: min(size, SegmentHeader.byteCountMax))
        do throws(WeirError) {
            let (header, batchesStart) = try SegmentHeader.decode(head)
            found = ScannedSegment(id: id, base: base, batchesStart: batchesStart)
            found.fileBytes = size
            found.header = header
        } catch {
            if error.code == .newerFormat { throw error.located(.init(path: path)) }
            found.headerDefect = error.message
        }
        // A hole at the end may be much larger than memory. A batch may end in it, since some file
        // systems keep zeros as holes; none begins in it.
        let dataEnd = try files.dataEnd(of: file)
        guard dataEnd > Int(clamping: found.batchesStart.value) else { return found }
        try withBytes(of: file, byteCount: size, dataEnd: dataEnd, path, files) {
            (bytes: RawSpan) throws(WeirError) in
            try found.walk(bytes, dataEnd: dataEnd, path: path)
        }
        return found
    }

    /// A file's bytes, brought into memory up to where its data end.
    package static func withBytes<Files: FileSystem>(
        of file: Files.File, byteCount: Int, dataEnd: Int, _ path: String, _ files: Files,
        _ body: (RawSpan) throws(WeirError) -> Void
    ) throws(WeirError) {
        let mapping = try files.map(file, byteCount: byteCount)
        do throws(WeirError) {
            try mapping.populate(0..<dataEnd)
        } catch {
            // A full file system in memory has no page to lay over a hole; reading needs none.
            let bytes = try files.read(file, at: .zero, byteCount: byteCount)
            return unsafe try body(bytes.span.bytes)
        }
        try body(mapping.bytes)
        if mapping.lostPages {
            throw WeirError.damaged("Pages of a segment vanished while it was checked", path: path)
        }
    }

    private mutating func walk(
        _ bytes: RawSpan, dataEnd: Int, path: String
    ) throws(WeirError) {
        try readFooter(bytes)
        var scanner = SegmentScanner(segment: id, position: batchesStart)
        while true {
            switch scanner.next(in: bytes, dataEnd: dataEnd) {
            case .batch(let header, let position):
                add(header, at: position)
            case .damage(let range, let lost): addBad(range, lost: lost)
            case .newer(let what, let position):
                throw WeirError.newerFormat(
                    "Byte \(position) of \(path) has \(what); use a newer version of Weir.")
            case .end(let position):
                noteRest(bytes, from: Int(clamping: position.value), dataEnd: dataEnd)
                return
            }
        }
    }

    /// Zeros behind the batches are room that was written ahead; a footer is a footer; all else is
    /// the rest of a batch that was not written to its end.
    private mutating func noteRest(_ bytes: RawSpan, from start: Int, dataEnd: Int) {
        var last = dataEnd
        while last > start, unsafe bytes.unsafeLoad(fromByteOffset: last - 1, as: UInt8.self) == 0 {
            last -= 1
        }
        guard last > start, footer == nil else { return }
        addBad(UInt64(start)..<UInt64(bytes.byteCount))
    }

    private mutating func readFooter(_ bytes: RawSpan) throws(WeirError) {
        func array(_ range: Range<Int>) -> [UInt8] {
            unsafe bytes.extracting(range).withUnsafeBytes { unsafe Array($0) }
        }
        let size = bytes.byteCount
        guard size >= SegmentFooter.Trailer.end,
            let length = try SegmentFooter.byteCount(
                trailer: array(size - SegmentFooter.Trailer.end..<size), segment: id),
            length <= size
        else { return }
        do throws(WeirError) {
            let place = FilePosition(UInt64(size - length))
            let (footer, checksum) = try SegmentFooter.decode(
                array(size - length..<size), segment: id, at: place)
            self.footer = footer
            self.footerChecksum = checksum
            self.footerStart = place
        } catch {
            if error.code == .newerFormat { throw error }
        }
    }
}
