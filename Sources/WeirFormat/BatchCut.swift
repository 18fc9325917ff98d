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
    /// Records before the end are left out, since they could not be taken.
    private var isShort = false

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
        var endOffset = cut.first + cut.builder.recordCount
        // Where compaction left a hole before the end, its offsets were given all the same.
        if header.offsetSpan > header.recordCount, !cut.isShort {
            endOffset = max(endOffset, min(end, header.endOffset))
        }
        cut.finishBatch(
            with: kept.isEmpty ? [] : BatchExtension.encode(producers: kept), upTo: endOffset)
        return (cut.bytes, cut.bytes.isEmpty ? header.firstOffset : endOffset)
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
        while let record = records.next(), record.offset < end {
            if record.shape == .opaque {
                isShort = true
                return
            }
            let follows = record.offset == first + builder.recordCount
            if follows, builder.append(entry: record.entry) { continue }
            finishBatch(with: [], upTo: first + builder.recordCount)
            first = record.offset
            // An empty builder takes all that a writer of Weir may write.
            guard builder.append(entry: record.entry) else {
                isShort = true
                return
            }
        }
    }

    private mutating func finishBatch(with sections: [UInt8], upTo endOffset: Offset) {
        guard !builder.isEmpty else { return }
        let isPacked = header.compat & BatchHeader.compatHasSubBatches != 0
        var seal = BatchSeal(
            place: place, firstOffset: first, epoch: header.epoch,
            durableEnd: header.durableEnd, appendTime: header.appendTime)
        seal.offsetSpan = endOffset - first
        let sealed = builder.seal(
            seal,
            compression: isPacked ? .automatic : .off, extension: sections, scratch: &scratch)
        // Copied before builder and scratch are used again.
        unsafe bytes.append(contentsOf: sealed.bytes)
        place = BatchPlace(
            segment: place.segment, position: place.position + sealed.header.storedByteCount)
        builder.removeAll()
    }
}
