import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// Copies what is kept of neighbouring segments into a new one.
struct SegmentRewrite<Files: FileSystem>: ~Copyable {
    private(set) var output: SegmentOutput<Files>
    /// Of this rewrite, tombstones among them.
    private(set) var removedCount: UInt64 = 0
    private(set) var removedTombstones: UInt64 = 0
    private let compression: Compression
    private var builder = BatchBuilder(byteLimit: Limits.decodedBodyBytesMax)
    private var offsets: [UInt32] = []
    private var scratch = ScratchMemory()

    init(_ output: consuming SegmentOutput<Files>, compression: Compression) {
        self.output = output
        self.compression = compression
    }

    /// Takes a segment without the records that are marked. Throws `damaged` if it is not as it
    /// was, or cannot be read any more.
    mutating func take(
        _ segment: ReadableSegment<Files>, _ sealed: SealedSegment, of view: LogView<Files>,
        without gone: RecordMarks, _ pace: any CompactionPace
    ) throws(WeirError) {
        var walk = SegmentWalk(segment, sealed, of: view, keyedOnly: false)
        while true {
            switch try walk.next() {
            case .end: return
            case .damage(let why):
                throw WeirError.damaged(
                    "The segment was whole when its keys were read and is not now: \(why)",
                    path: segment.path)
            case .batch(let header, let first):
                try pace.step(byteCount: header.storedByteCount)
                try take(header, &walk, without: gone, from: first)
            }
        }
    }

    var header: SegmentHeader { output.header }

    mutating func finish(
        end: Offset, producers: [ProducerRow]
    ) throws(WeirError) -> SealedSegment {
        try output.finish(end: end, producers: producers)
    }

    func abandon() { output.abandon() }

    private mutating func take(
        _ header: BatchHeader, _ walk: inout SegmentWalk<Files>, without gone: RecordMarks,
        from first: Int
    ) throws(WeirError) {
        let goneCount = gone.count(in: first..<first + header.recordCount)
        if goneCount == header.recordCount {
            removedCount += UInt64(goneCount)
            removedTombstones += UInt64(header.tombstoneCount)
            return
        }
        let isPacked = header.compat & BatchHeader.compatHasSubBatches != 0
        let isThinned = goneCount > 0 || compression != .off && !isPacked
        if isThinned, thin(walk.cursor.records, of: header, without: gone, from: first) {
            // Before anything of it is kept: were pages lost, zeros were read.
            try walk.expectIntact()
            try put(header, extension: walk.cursor.storedBytes)
            removedCount += UInt64(goneCount)
            removedTombstones += UInt64(header.tombstoneCount - builder.tombstoneCount)
            return
        }
        try copy(header, walk.cursor.storedBytes)
        try walk.expectIntact()
    }

    /// Puts what is kept of a batch into the builder. `false` for a batch that has to stay whole:
    /// one with sub-batches in a codec that is not built in, or with more than a body may hold.
    private mutating func thin(
        _ records: consuming RecordWalker, of header: BatchHeader, without gone: RecordMarks,
        from first: Int
    ) -> Bool {
        builder.removeAll()
        offsets.removeAll(keepingCapacity: true)
        // Keyless records are never marked, so no sub-batch is stepped over.
        for place in first..<first + header.recordCount {
            if gone[place], records.skip() { continue }
            guard let record = records.next() else { break }
            guard record.shape != .opaque else { return false }
            guard builder.append(record) else { return false }
            offsets.append(UInt32(record.offset - header.firstOffset))
        }
        return records.isComplete
    }

    private mutating func put(
        _ header: BatchHeader, extension stored: RawSpan
    ) throws(WeirError) {
        var seal = BatchSeal(
            place: output.place, firstOffset: header.firstOffset, epoch: header.epoch,
            durableEnd: header.durableEnd, appendTime: header.appendTime)
        seal.offsetSpan = header.offsetSpan
        let rest = stored.extracting(
            BatchHeader.byteCount..<BatchHeader.byteCount + header.extensionLength)
        let isWhole = offsets.count == header.offsetSpan
        let sections =
            isWhole && rest.byteCount == 0
            ? [] : BatchExtension.encode(offsets: isWhole ? [] : offsets, keeping: rest)
        let batch = builder.seal(
            seal, compression: compression, extension: sections, scratch: &scratch)
        unsafe try output.append(batch.header, batch.bytes)
    }

    /// The batch as it is, with a header that proves its new place.
    private mutating func copy(_ header: BatchHeader, _ stored: RawSpan) throws(WeirError) {
        scratch.reserve(stored.byteCount)
        let target = unsafe scratch.bytes(0..<stored.byteCount)
        unsafe stored.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
        // The header's bytes lie at the start of `target`, which holds a whole batch.
        if let base = target.baseAddress { unsafe header.encode(to: base, at: output.place) }
        unsafe try output.append(header, UnsafeRawBufferPointer(target))
    }
}
