package import WeirBase

/// The records of a batch that stand before an offset, as batches of their own.
///
/// A batch is proven whole or not at all, so a log that is to end inside one needs it written anew.
/// Records keep their offsets, epoch and append time; where compaction left a hole, another batch
/// begins. Of the extension those producers stay whose last append in the batch begins before the
/// offset.
package struct BatchCut: ~Copyable {
    private let header: BatchHeader
    private let end: Offset
    private var place: BatchPlace
    private var builder = BatchBuilder(byteLimit: Limits.decodedBodyBytesMax)
    private var scratch = ScratchMemory()
    private var first: Offset
    private var bytes: [UInt8] = []

    private init(_ header: BatchHeader, before end: Offset, at place: BatchPlace) {
        self.header = header
        self.end = end
        self.place = place
        self.first = header.firstOffset
    }

    /// `stored` is the whole batch, proven; the new ones are to stand at `place`, one by one.
    /// `endOffset` is behind the last record that is kept.
    ///
    /// Throws `damaged` for a body that does not unpack. A sub-batch in a codec that is not built
    /// in cannot be cut, nor does an entry above the limits of a body fit: the cut is before them.
    package static func head(
        of header: BatchHeader, in stored: RawSpan, before end: Offset, at place: BatchPlace
    ) throws(WeirError) -> (bytes: [UInt8], endOffset: Offset) {
        let sections = stored.extracting(BatchHeader.byteCount..<header.bodyStart)
        let body = stored.extracting(header.bodyStart..<header.bodyStart + header.bodyLength)
        var cut = BatchCut(header, before: end, at: place)
        if header.compat & BatchHeader.compatHasSubBatches != 0 {
            var unpacker = BodyUnpacker()
            let count = try unpacker.unpack(body, header: header)
            cut.take(unpacker.bytes(count), sections)
        } else {
            cut.take(body, sections)
        }
        let kept = BatchExtension.producers(in: sections).filter { $0.offset < end }
        let endOffset = cut.first + cut.builder.recordCount
        cut.finishBatch(with: kept.isEmpty ? [] : BatchExtension.encode(producers: kept))
        return (cut.bytes, endOffset)
    }

    private mutating func take(_ body: RawSpan, _ sections: RawSpan) {
        guard let table = BatchExtension.offsetTable(in: sections) else {
            return take(
                RecordWalker(body: body, table: RawSpan(), firstOffset: header.firstOffset))
        }
        take(RecordWalker(body: body, table: table, firstOffset: header.firstOffset))
    }

    private mutating func take(_ walker: consuming RecordWalker) {
        var records = walker
        while let record = records.next(), record.offset < end, record.shape != .opaque {
            let follows = record.offset == first + builder.recordCount
            if follows, builder.append(entry: record.entry) { continue }
            finishBatch(with: [])
            first = record.offset
            // An empty builder takes all that a writer of Weir may write.
            guard builder.append(entry: record.entry) else { return }
        }
    }

    private mutating func finishBatch(with sections: [UInt8]) {
        guard !builder.isEmpty else { return }
        let isPacked = header.compat & BatchHeader.compatHasSubBatches != 0
        let sealed = builder.seal(
            BatchSeal(
                place: place, firstOffset: first, epoch: header.epoch,
                durableEnd: header.durableEnd, appendTime: header.appendTime),
            compression: isPacked ? .automatic : .off, extension: sections, scratch: &scratch)
        // Copied before builder and scratch are used again.
        unsafe bytes.append(contentsOf: sealed.bytes)
        place = BatchPlace(
            segment: place.segment, position: place.position + sealed.header.storedByteCount)
        builder.removeAll()
    }
}
