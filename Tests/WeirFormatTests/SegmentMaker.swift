import Testing
import WeirBase
import WeirFormat

/// Makes a segment file in memory: header, batches one behind the other, footer.
struct SegmentMaker {
    let header: SegmentHeader
    private(set) var bytes: [UInt8]
    private(set) var summary: SegmentSummary
    /// Where each batch begins.
    private(set) var positions: [FilePosition] = []
    /// Of the next batch; the header's at first.
    var epoch: Epoch
    var appendTime: Timestamp
    var durableEnd: Offset
    private var scratch = ScratchBox()

    init(_ header: SegmentHeader, appendTime: Timestamp) {
        self.header = header
        self.epoch = header.epoch
        self.bytes = header.encode()
        self.summary = SegmentSummary(base: header.base)
        self.appendTime = appendTime
        self.durableEnd = header.base
    }

    init(id: UInt64 = 0xABCD, base: UInt64 = 0, configuration: StreamConfiguration = .init()) {
        let name: StreamName
        do { name = try StreamName("golden") } catch { fatalError("\(error)") }
        self.init(
            SegmentHeader(
                segmentID: SegmentID(id), streamID: StreamID(0x5EED), epoch: Epoch(1),
                base: Offset(base), creationTime: Timestamp(microseconds: 1_000_000),
                logStart: .zero, name: name, configuration: configuration),
            appendTime: Timestamp(microseconds: 1_000_000))
    }

    var position: FilePosition { FilePosition(UInt64(bytes.count)) }
    private var seal: BatchSeal {
        BatchSeal(
            place: BatchPlace(segment: header.segmentID, position: position),
            firstOffset: summary.endOffset, epoch: epoch, durableEnd: durableEnd,
            appendTime: appendTime)
    }

    mutating func add(
        _ builder: inout BatchBuilder, compression: Compression = .off,
        extension sections: [UInt8] = [], span: Int? = nil
    ) {
        var seal = seal
        seal.offsetSpan = span
        let sealed = builder.seal(
            seal, compression: compression, extension: sections, scratch: &scratch.memory)
        take(sealed.header, Array(sealed.bytes))
    }

    mutating func add(values: [[UInt8]]) {
        var batch = builder(values)
        add(&batch)
    }

    mutating func addEmpty(_ kind: BatchHeader.Kind, byteCount: Int = BatchHeader.byteCount) {
        let sealed = BatchBuilder.sealEmpty(
            kind, seal, byteCount: byteCount, scratch: &scratch.memory)
        take(sealed.header, Array(sealed.bytes))
    }

    /// A batch that the builder does not make: with an extension, or with a body of any kind.
    mutating func add(
        body: [UInt8], extension: [UInt8] = [], _ set: (inout BatchHeader) -> Void
    ) {
        var made = BatchHeader(
            kind: .records, firstOffset: summary.endOffset, epoch: epoch,
            durableEnd: durableEnd, appendTime: appendTime)
        made.bodyLength = body.count
        made.rawBodyLength = body.count
        made.extensionLength = `extension`.count
        made.extensionChecksum = `extension`.isEmpty ? 0 : crc32c(`extension`)
        made.bodyChecksum = body.withUnsafeBytes { crc32($0) }
        set(&made)
        var batch = [UInt8](repeating: 0, count: made.storedByteCount)
        batch.withUnsafeMutableBytes { memory in
            guard let base = memory.baseAddress else { return }
            made.encode(
                to: base,
                at: BatchPlace(segment: header.segmentID, position: position))
        }
        batch.replaceSubrange(BatchHeader.byteCount..<made.bodyStart, with: `extension`)
        batch.replaceSubrange(made.bodyStart..<made.bodyStart + body.count, with: body)
        take(made, batch)
    }

    private mutating func take(_ made: BatchHeader, _ batch: [UInt8]) {
        summary.add(made, at: position)
        positions.append(position)
        bytes += batch
    }

    func footer() -> SegmentFooter {
        SegmentFooter(
            segmentID: header.segmentID, summary: summary, logStart: header.logStart,
            configuration: header.configuration)
    }

    func sealed(_ footer: SegmentFooter) -> (bytes: [UInt8], manifest: SealedSegment) {
        let (encoded, checksum) = footer.encode(at: position)
        return (
            bytes + encoded,
            SealedSegment(
                summary: summary, batchesEnd: position,
                fileBytes: UInt64(bytes.count + encoded.count), footerChecksum: checksum)
        )
    }
}

/// A non-copyable scratch inside a copyable maker.
private final class ScratchBox {
    var memory = ScratchMemory()
}

/// Everything that a walk over a segment says.
func steps(
    _ bytes: [UInt8], _ segment: SegmentID, from start: FilePosition, to end: Int? = nil
) -> [SegmentScanner.Step] {
    var scanner = SegmentScanner(segment: segment, position: start)
    let span = bytes.span.bytes.extracting(first: end ?? bytes.count)
    var found: [SegmentScanner.Step] = []
    while found.count < 10_000 {
        let step = scanner.next(in: span)
        found.append(step)
        switch step {
        case .end, .newer: return found
        case .batch, .damage: break
        }
    }
    Issue.record("a walk without an end")
    return found
}

extension [UInt8] {
    /// Hexadecimal digits, with any white space between.
    init(hexadecimal text: String) {
        let digits = text.filter { !$0.isWhitespace }
        var bytes: [UInt8] = []
        var rest = digits[...]
        while let byte = UInt8(rest.prefix(2), radix: 16), rest.count >= 2 {
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        precondition(rest.isEmpty, "odd hexadecimal text")
        self = bytes
    }
}
