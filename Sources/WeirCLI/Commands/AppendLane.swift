import Weir

/// A stream that is appended to, and the batch that waits for it.
final class AppendLane {
    let stream: LogStream
    let writer: SyncWriter
    private let producer: SyncProducer?
    /// Records of the input up to this number were there before, so far as they come here.
    let knownNumber: UInt64
    private var batch: Batch
    /// Of the last record in the batch.
    private var batchNumber: UInt64 = 0
    /// The batch was refused, and whoever appends was told so: it is not sent again.
    private(set) var hasFailed = false

    init(_ stream: LogStream, producer: String?) throws(WeirError) {
        self.stream = stream
        let writer = try stream.syncWriter()
        self.writer = writer
        self.producer = if let producer { try writer.producer(producer) } else { nil }
        self.knownNumber = self.producer?.lastPublishingID ?? 0
        batch = Batch(byteLimit: stream.configuration.batchBytesMax)
    }

    var recordCount: Int { batch.recordCount }
    var byteCount: Int { batch.byteCount }

    /// Whether the record of this number was appended before. Every batch has its last record's
    /// number: what is below the last one known is there, in whatever batches it was sent.
    func has(_ number: UInt64) -> Bool { number <= knownNumber }

    /// `false` if the batch is full.
    func add(_ record: TextRecord, number: UInt64, line: Int) throws(WeirError) -> Bool {
        do throws(WeirError) {
            let fits = try batch.append(
                key: record.key, headers: record.headers, time: record.time, value: record.value)
            if fits { batchNumber = number }
            return fits
        } catch {
            throw malformed(line, error.message)
        }
    }

    func flush(_ level: DurabilityLevel?) throws(WeirError) -> Receipt {
        do throws(WeirError) {
            guard let producer else { return try writer.append(&batch, level: level) }
            return try producer.append(&batch, level: level, id: batchNumber)
        } catch {
            hasFailed = true
            throw error
        }
    }
}
