import Weir

/// Gathers records into batches and appends them.
final class Appender {
    private let writer: SyncWriter
    private let producer: SyncProducer?
    /// Records up to this number were there before.
    private let knownNumber: UInt64
    /// Of the record that is looked at, in the whole input; and of the last one in the batch.
    private var number: UInt64 = 0
    private var batchNumber: UInt64 = 0
    private var repeats = 0
    private var batch: Batch
    private let batchRecords: Int
    private let level: DurabilityLevel?
    private var output: StandardOutput?
    private(set) var count = 0
    private var offsets: (first: Offset, last: Offset)?

    /// What was appended so far, for a person who has to go on from there.
    var standing: String {
        guard let offsets else { return "no record was appended" }
        let were = count == 1 ? "was" : "were"
        return "\(Numbers.records(count)) \(were) appended before, offsets \(offsets.first) to "
            + "\(offsets.last)"
    }

    init(
        writer: SyncWriter, producer: SyncProducer?, batch: consuming Batch, batchRecords: Int,
        level: DurabilityLevel?, printsAcks: Bool
    ) {
        self.writer = writer
        self.producer = producer
        self.knownNumber = producer?.lastPublishingID ?? 0
        self.batch = batch
        self.batchRecords = batchRecords
        self.level = level
        self.output = printsAcks ? StandardOutput() : nil
    }

    /// Counts a record of the input, before it is known whether it is well-formed: its number does
    /// not depend on what others hold.
    func beginRecord() { number += 1 }

    /// Throws `malformedInput` with its line for a record that no batch of the stream can hold.
    func append(_ record: TextRecord, line: Int) throws {
        // Every batch has its last record's number: what is below the last one known is there, in
        // whatever batches it was sent.
        if number <= knownNumber {
            repeats += 1
            return
        }
        var fits = try add(record, line)
        if !fits {
            try flush()
            fits = try add(record, line)
        }
        guard fits else {
            throw malformed(
                line,
                "the record does not fit into a batch of this stream "
                    + "(\(writer.batchBytesMax) bytes, see --max-batch-bytes of create).")
        }
        batchNumber = number
        if batch.recordCount >= batchRecords { try flush() }
    }

    private func add(_ record: TextRecord, _ line: Int) throws(WeirError) -> Bool {
        do throws(WeirError) {
            return try batch.append(
                key: record.key, headers: record.headers, time: record.time, value: record.value)
        } catch {
            throw malformed(line, error.message)
        }
    }

    func flush() throws {
        guard !batch.isEmpty else { return }
        let receipt =
            if let producer {
                try producer.append(&batch, level: level, id: batchNumber)
            } else {
                try writer.append(&batch, level: level)
            }
        count += receipt.recordCount
        offsets = (offsets?.first ?? receipt.offset, receipt.last)
        if let output {
            do {
                try output.write {
                    $0 += Array(
                        ("{\"first\":\(receipt.offset),\"last\":\(receipt.last),"
                            + "\"level\":\"\(receipt.level.rawValue)\"}\n").utf8)
                }
                try output.flush()
            } catch is ExitRequest {
                // Nobody reads the acknowledgements any more; the records are appended still.
                self.output = nil
            }
        }
    }

    /// Says how much of the input was there before, and what looks wrong about it.
    func tellRepeats() {
        guard let producer else { return }
        let total = Int(clamping: number - 1)
        let were = repeats == 1 ? "was" : "were"
        Words.say(
            "weir: of \(Numbers.records(total)), \(Numbers.grouped(repeats)) \(were) there "
                + "already, by producer \(producer.name)")
        if knownNumber > number - 1 {
            Words.say(
                "weir: note: that producer had sent \(Numbers.grouped(Int(clamping: knownNumber))) "
                    + "records before, more than this input has; a name belongs to one input")
        }
    }
}
