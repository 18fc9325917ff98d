import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// Looks at one segment: its header, its footer, and if asked every byte of its batches.
///
/// Changes nothing, and goes no further than a live writer says that its bytes reach.
struct SegmentCheck<Files: FileSystem>: ~Copyable {
    typealias Defect = BatchSequence.Defect

    private let files: Files
    private let segment: ReadableSegment<Files>
    private let stream: StreamID
    private(set) var defects: [Defect] = []
    private var batchesStart = FilePosition(UInt64(SegmentHeader.alignment))
    private var footer: SegmentFooter?
    private var unpacker = BodyUnpacker()
    /// Between two words to the meter.
    private static var stepBytes: Int { 4 << 20 }

    init(_ segment: ReadableSegment<Files>, of stream: StreamID, files: Files) {
        self.files = files
        self.segment = segment
        self.stream = stream
    }

    /// Throws what keeps the file from being read, `notFound` among it.
    mutating func run(isDeep: Bool, _ meter: VerifyMeter) throws(WeirError) {
        let file = try segment.file()
        let size = try files.size(of: file)
        try checkHeader(file)
        if let sealed = segment.sealed {
            try checkFooter(file, size, sealed)
            if !isDeep { checkEnd(size, sealed) }
        }
        if isDeep { try checkBatches(meter) }
    }

    /// Of a file that was cut, batches are lost. A look at them says which.
    private mutating func checkEnd(_ size: Int, _ sealed: SealedSegment) {
        let end = sealed.batchesEnd.value
        guard UInt64(size) < end else { return }
        defects.append(
            Defect(
                .damagedBatches, bytes: UInt64(size)..<end,
                "the file ends before its batches do; `weir verify --deep` says which records that "
                    + "took"))
    }

    private mutating func checkHeader(_ file: Files.File) throws(WeirError) {
        let bytes = try files.read(
            file, at: .zero, byteCount: SegmentHeader.byteCountMax)
        do throws(WeirError) {
            let (header, start) = try SegmentHeader.decode(bytes)
            batchesStart = start
            let found = (header.segmentID, header.streamID, header.base, header.generation)
            let listed = (segment.id, stream, segment.base, segment.generation)
            guard found != listed else { return }
            defects.append(
                Defect(
                    .damagedSegmentHeader,
                    "the header is that of segment \(header.segmentID) of stream "
                        + "\(header.streamID) from offset \(header.base) on, generation "
                        + "\(header.generation), and the manifest lists another"))
        } catch {
            guard error.code == .damaged else { throw error }
            // Where the batches begin is then known from their own headers.
            defects.append(
                Defect(
                    .damagedSegmentHeader, bytes: 0..<UInt64(SegmentHeader.alignment),
                    error.message))
        }
    }

    private mutating func checkFooter(
        _ file: Files.File, _ size: Int, _ sealed: SealedSegment
    ) throws(WeirError) {
        let start = min(sealed.batchesEnd.value, UInt64(size))
        func add(_ detail: String) {
            defects.append(Defect(.damagedFooter, bytes: start..<UInt64(size), detail))
        }
        guard UInt64(size) == sealed.fileBytes else {
            return add(
                "the file has \(size) bytes, and the manifest sealed it with \(sealed.fileBytes)")
        }
        let length = size - Int(clamping: start)
        guard length <= Limits.footerBytesMax else {
            return add("the footer has \(length) bytes, which none has")
        }
        let bytes: [UInt8]
        do throws(WeirError) {
            bytes = try files.read(file, at: sealed.batchesEnd, byteCount: length)
        } catch {
            guard error.isOfOneSegment else { throw error }
            // The batches may be read all the same.
            defects.append(
                Defect(.unreadableFile, bytes: start..<UInt64(size), error.description))
            return
        }
        do throws(WeirError) {
            let (found, checksum) = try SegmentFooter.decode(
                bytes, segment: segment.id, at: sealed.batchesEnd)
            let said = SealedSegment(
                summary: found.summary, batchesEnd: sealed.batchesEnd, fileBytes: UInt64(size),
                footerChecksum: checksum)
            guard said == sealed, found.summary.base == segment.base else {
                return add("the footer says something else than the manifest's seal")
            }
            footer = found
        } catch {
            guard error.code == .damaged else { throw error }
            add(error.message)
        }
    }

    // MARK: every byte

    private mutating func checkBatches(_ meter: VerifyMeter) throws(WeirError) {
        let isCompacted = segment.generation > 0
        var sequence = BatchSequence(base: segment.base, isCompacted: isCompacted)
        var summary = SegmentSummary(base: segment.base)
        var window = SegmentWindow(segment: segment, mode: .copied)
        var scanner = SegmentScanner(segment: segment.id, position: batchesStart)
        var told = (position: FilePosition.zero, records: 0)
        // Of a file that is not sealed, opening has told what stands behind this.
        let limit =
            segment.sealed.map { ($0.batchesEnd, $0.endOffset) } ?? (segment.readableEnd, .zero)
        while true {
            switch try window.next(&scanner, checkingBody: true) {
            case .batch(let header, let position):
                summary.add(header, at: position)
                defects += sequence.batch(header, at: position)
                check(header, at: position, window)
                told.records += header.recordCount
            case .damage(let range, let lost): defects += sequence.damage(range, lost: lost)
            case .newer(let what, let position):
                throw WeirError.newerFormat(
                    "Byte \(position) has \(what); use a newer version of Weir.",
                    path: segment.path)
            case .end(let position):
                defects += sequence.end(at: position, limit: limit)
                if segment.sealed != nil, !sequence.hasDamage { compare(summary) }
                _ = meter.add(bytes: position - told.position, records: told.records)
                return
            }
            guard scanner.position - told.position >= Self.stepBytes else { continue }
            let isWanted = meter.add(
                bytes: scanner.position - told.position, records: told.records)
            guard isWanted else { return }
            told = (scanner.position, 0)
        }
    }

    /// A batch whose checksums hold: whether it is what its header says.
    private mutating func check(
        _ header: BatchHeader, at position: FilePosition, _ window: borrowing SegmentWindow<Files>
    ) {
        guard header.kind == .records else { return }
        let sections = window.bytes(
            at: position + BatchHeader.byteCount, byteCount: header.extensionLength)
        var table = RawSpan()
        if let found = BatchExtension.offsetTable(in: sections) { table = found }
        let body = window.bytes(at: position + header.bodyStart, byteCount: header.bodyLength)
        let defect = RecordCheck.defect(of: header, table: table, body: body, &unpacker)
        guard let defect else { return }
        defects.append(
            Defect(
                .falseBatch,
                bytes: position.value..<position.value + UInt64(header.storedByteCount),
                offsets: header.firstOffset.value..<header.endOffset.value, defect))
    }

    /// All batches hold: then the footer must be what they come to.
    private mutating func compare(_ summary: SegmentSummary) {
        guard let footer, !defects.contains(where: { $0.kind == .falseBatch }) else { return }
        var said = footer.summary
        // What is missing at the end was told, or was dropped by compaction; the offsets stay.
        said.endOffset = min(said.endOffset, summary.endOffset)
        guard said != summary else { return }
        defects.append(
            Defect(
                .damagedFooter,
                "the footer's counts or its block index are not what the batches come to"))
    }
}
