import WeirBase
import WeirFormat
import WeirLog

/// The stream that an archive goes into.
///
///     batch ─▶ there already? ─▶ counted
///           ─▶ whole, fits    ─▶ as it is ──── its time has passed ──┐
///           ─▶ else           ─▶ unpacked, its records put into new batches ◀──┘
///
/// A batch's publishing id is the source's offset behind it, so that the producer's last one says
/// how far the source has come.
final class ImportLane {
    private let head: ArchiveHead
    private let stream: LogStream
    private let producer: SyncProducer
    private var batch: Batch
    private var unpacker = BodyUnpacker()
    /// Of the records in `batch`, relative to its first.
    private var offsets: [UInt32] = []
    /// Records before this offset of the source are there, or not wanted.
    private var wanted: Offset
    /// The next record of the source gets its own offset here, as far as one knows.
    private var keepsOffsets: Bool
    /// The log's append times are beyond the archive's: each batch would be refused first.
    private var needsTimes = false
    private(set) var outcome: ImportOutcome

    static func producer(_ store: StoreID, _ stream: StreamID) -> String {
        "weir.import.\(store).\(stream)"
    }

    /// Clients count offsets in 64 bits with a sign.
    private static let endMax = Offset(UInt64(Int64.max))

    init(_ head: ArchiveHead, _ store: Store, into name: String?) throws(WeirError) {
        self.head = head
        try Self.expectEnd(of: head)
        let name = name ?? head.name.description
        if store.engine.stream(try StreamName(name)) == nil {
            try store.createStream(name, head.configuration.placed(in: nil), from: head.first)
        }
        stream = try store.streamBlocking(name)
        guard store.engine.header.storeID != head.storeID || stream.open.id != head.streamID else {
            throw WeirError(
                .invalidArgument,
                "The archive is of the stream \(name) itself, which has these records; name "
                    + "another stream.", at: .init(stream: name))
        }
        producer = try stream.syncWriter().producer(Self.producer(head.storeID, head.streamID))
        let known = producer.lastPublishingID.map { Offset($0) }
        wanted = max(head.first, known ?? .zero)
        let isBegun = try producer.writer.committer.begin(at: wanted)
        let view = stream.view
        // Behind what it never had, a log without a record may keep the offsets of those to come.
        let isEmpty = view.logStart == view.flushedEnd && wanted < view.flushedEnd
        keepsOffsets = isBegun || view.flushedEnd == wanted || isEmpty
        batch = Batch(byteLimit: stream.configuration.batchBytesMax)
        outcome = ImportOutcome(stream: stream.name, source: head.name, sourceEnd: wanted)
    }

    static func expectEnd(of head: ArchiveHead) throws(WeirError) {
        guard head.end > endMax else { return }
        throw WeirError.damaged(
            "The archive goes up to offset \(head.end); expected at most \(endMax). Fetch or make "
                + "it again.")
    }

    func sync() throws(WeirError) { try producer.writer.committer.sync() }

    /// The archive is whole. Its source has given out the offsets behind the last record all the
    /// same: here they are not given out anew.
    func end() throws(WeirError) {
        let committer = producer.writer.committer
        if try committer.begin(at: head.end) {
            outcome.sourceEnd = head.end
            return
        }
        guard keepsOffsets else { return }
        let row = ProducerRow(
            name: producer.producer.id, lastPublishingID: head.end.value, offset: wanted)
        guard try committer.skip(from: wanted, to: head.end, noting: row) else { return }
        wanted = head.end
        outcome.sourceEnd = head.end
    }

    func add(_ found: ArchivedBatch) throws(WeirError) {
        let header = found.header
        guard header.endOffset > wanted else {
            outcome.repeatCount += header.recordCount
            return
        }
        guard header.firstOffset < head.end else { return }
        try check(found)
        let isWhole = header.firstOffset >= wanted && header.endOffset <= head.end
        let fits = header.rawBodyLength <= stream.configuration.batchBytesMax
        if isWhole, fits, !needsTimes {
            do throws(WeirError) {
                return try append(found)
            } catch {
                guard error.code == .appendTimePassed else { throw error }
                needsTimes = true
            }
        }
        try rebuild(found)
    }

    /// Its checksums hold: what is wrong now, somebody made so, and readers would find it later.
    private func check(_ found: ArchivedBatch) throws(WeirError) {
        var table = RawSpan()
        if let found = BatchExtension.offsetTable(in: found.sections) { table = found }
        guard
            let defect = RecordCheck.defect(
                of: found.header, table: table, body: found.body, &unpacker)
        else { return }
        throw falseBatch(found.header, defect)
    }

    /// The batch as it is.
    private func append(
        _ found: ArchivedBatch, needsTime: Bool = true
    ) throws(WeirError) {
        var packed = Batch(byteLimit: Limits.decodedBodyBytesMax)
        _ = packed.builder.adopt(found.header, body: found.body)
        var adoption = BatchAdoption(
            packed: found.header, sections: found.sections, keepsOffsets: keepsOffsets)
        adoption.needsTime = needsTime
        try send(&packed, adoption)
        outcome.batchCount += 1
    }

    private func send(
        _ batch: inout Batch, _ adoption: BatchAdoption
    ) throws(WeirError) {
        let count = batch.recordCount
        let receipt = try producer.adopt(&batch, adoption)
        wanted = adoption.end
        outcome.sourceEnd = wanted
        guard !receipt.isDuplicate else {
            // Somebody else imports the same.
            outcome.repeatCount += count
            return
        }
        let first = receipt.offset
        outcome.recordCount += count
        keepsOffsets = keepsOffsets && first == adoption.first
        outcome.keepsOffsets = outcome.keepsOffsets && first == adoption.first
        let end = first + adoption.offsetSpan
        outcome.offsets = (outcome.offsets?.lowerBound ?? first)..<end
    }

    // MARK: what does not go in as it is

    /// The batch's records, or those of them that are wanted, in batches of this stream.
    private func rebuild(_ found: ArchivedBatch) throws(WeirError) {
        do throws(WeirError) {
            try rebuild(found, needsTimes: needsTimes)
        } catch {
            guard error.code == .appendTimePassed else { throw error }
            needsTimes = true
            // What was sent is not wanted any more.
            try rebuild(found, needsTimes: true)
        }
    }

    private func rebuild(
        _ found: ArchivedBatch, needsTimes: Bool
    ) throws(WeirError) {
        let header = found.header
        var unpacker = BodyUnpacker()
        let byteCount = try unpacker.unpack(found.body, header: header)
        var table = RawSpan()
        if let found = BatchExtension.offsetTable(in: found.sections) { table = found }
        var records = RecordWalker(
            body: unpacker.bytes(byteCount), table: table, firstOffset: header.firstOffset,
            wanted: wanted)
        batch.removeAll()
        offsets.removeAll(keepingCapacity: true)
        var first = max(wanted, header.firstOffset)
        var next = first
        while let record = records.next(), record.offset < head.end {
            guard record.offset >= next, record.offset < header.endOffset else {
                throw falseBatch(header, "the offsets in it do not rise")
            }
            next = record.offset + 1
            guard record.shape != .opaque else { return try appendWhole(found) }
            if try !put(record, of: header, needsTimes: needsTimes) {
                try flush(header, first..<record.offset, needsTimes: needsTimes)
                first = record.offset
                guard try put(record, of: header, needsTimes: needsTimes) else {
                    throw tooLarge(record.offset)
                }
            }
            offsets.append(UInt32(clamping: record.offset - first))
        }
        guard records.isComplete || records.isBeyond(head.end) else {
            throw falseBatch(header, "its entries do not fill its body")
        }
        let end = min(header.endOffset, head.end)
        try flush(header, first..<end, needsTimes: needsTimes)
        wanted = end
        outcome.rebuiltCount += 1
    }

    /// `false` if the batch is full. A message with another body than a value stays as it is: it
    /// has nowhere to put a time without becoming another message.
    private func put(
        _ record: borrowing RecordView, of header: BatchHeader, needsTimes: Bool
    ) throws(WeirError) -> Bool {
        guard needsTimes, record.recordTime == nil, record.shape != .other else {
            return batch.append(entry: record.entry)
        }
        var headers = Headers()
        record.forEachHeader { headers.append($0, $1) }
        return try batch.append(
            key: record.key, time: header.appendTime,
            value: record.isTombstone ? nil : record.value
        ) { headers.write(to: &$0) }
    }

    private func flush(
        _ header: BatchHeader, _ range: Range<Offset>, needsTimes: Bool
    ) throws(WeirError) {
        guard !batch.isEmpty else { return }
        var adoption = BatchAdoption(
            of: header, range: range, recordCount: batch.recordCount, keepsOffsets: keepsOffsets,
            needsTime: !needsTimes)
        // Without a hole none need be told.
        if offsets.count < adoption.offsetSpan { adoption.offsets = offsets }
        var full = Batch(byteLimit: 0)
        swap(&full, &batch)
        defer { swap(&full, &batch) }
        try send(&full, adoption)
        offsets.removeAll(keepingCapacity: true)
    }

    /// Records in a codec that is not built in: the batch stays whole, with another append time if
    /// it must be.
    private func appendWhole(_ found: ArchivedBatch) throws(WeirError) {
        let header = found.header
        let isWhole = header.firstOffset >= wanted && header.endOffset <= head.end
        guard isWhole, header.rawBodyLength <= stream.configuration.batchBytesMax else {
            throw tooLarge(header.firstOffset)
        }
        try append(found, needsTime: false)
    }

    private func falseBatch(_ header: BatchHeader, _ defect: String) -> WeirError {
        WeirError.damaged(
            "The batch with the offsets \(header.firstOffset) to before \(header.endOffset) of the "
                + "archive holds other records than its header says: \(defect). Make the archive "
                + "again from its stream.")
    }

    private func tooLarge(_ offset: Offset) -> WeirError {
        WeirError(
            .tooLarge,
            "The record with offset \(offset) of the archive fits into no batch of the stream "
                + "\(stream.name), which takes at most \(stream.configuration.batchBytesMax) bytes "
                + "a batch, or is packed with others of which not all fit; import into a new "
                + "stream, which gets the archive's own limit.")
    }
}
