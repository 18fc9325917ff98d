import Weir

/// Gathers records into batches and appends them: to one stream, or to the partitions of one.
final class Appender {
    private let name: String
    private let lanes: [AppendLane]
    /// `nil` for a stream that stands alone.
    private let router: PartitionedStream?
    private let producer: String?
    private let batchRecords: Int
    private let level: DurabilityLevel?
    private var output: StandardOutput?
    /// Of the record that is looked at, in the whole input.
    private var number: UInt64 = 0
    private var repeats = 0
    private(set) var count = 0
    private var offsets: (first: Offset, last: Offset)?
    /// In all batches that are not full.
    private var heldBytes = 0
    /// However many partitions there are, the batches that wait have no more than this.
    private static let heldBytesMax = 32 << 20

    /// What was appended so far, for a person who has to go on from there.
    var standing: String {
        guard let offsets else { return "no record was appended" }
        let were = count == 1 ? "was" : "were"
        let text = "\(Numbers.records(count)) \(were) appended before"
        guard router == nil else { return text }
        return text + ", offsets \(offsets.first) to \(offsets.last)"
    }

    /// What the stream was made with; of a partitioned one, each of its partitions.
    var configuration: StreamConfiguration { lanes[0].stream.configuration }

    /// Appends to a stream, or to the partitions of one; made if `creating` says how.
    init(
        _ name: String, in store: Store, creating configuration: StreamConfiguration?,
        producer: String?, batchRecords: Int, level: DurabilityLevel? = nil,
        printsAcks: Bool = false
    ) throws {
        self.name = name
        router = try store.partitionedEntry(name).map { _ in
            try store.partitionedStreamBlocking(name)
        }
        let isNew = configuration != nil && router == nil && !store.has(name)
        let streams =
            try router?.partitions ?? [store.streamBlocking(name, creating: configuration)]
        if isNew { Words.say("weir: made the stream \(name)") }
        self.lanes = try streams.map { try AppendLane($0, producer: producer) }
        self.producer = producer
        self.batchRecords = batchRecords
        self.level = level
        self.output = printsAcks ? StandardOutput() : nil
    }

    /// Counts a record of the input, before it is known whether it is well-formed: its number does
    /// not depend on what others hold.
    func beginRecord() { number += 1 }

    /// Throws `malformedInput` with its line for a record that no batch of the stream can hold.
    func append(_ record: TextRecord, line: Int) throws {
        let lane = try lane(of: record)
        if lane.has(number) {
            repeats += 1
            return
        }
        let before = lane.byteCount
        var fits = try lane.add(record, number: number, line: line)
        if fits {
            heldBytes += lane.byteCount - before
        } else {
            try flush(lane)
            fits = try lane.add(record, number: number, line: line)
            heldBytes += lane.byteCount
        }
        guard fits else {
            throw malformed(
                line,
                "the record does not fit into a batch of this stream "
                    + "(\(lane.writer.batchBytesMax) bytes, see --max-batch-bytes of create).")
        }
        if lane.recordCount >= batchRecords { try flush(lane) }
        if heldBytes > Self.heldBytesMax { try flush() }
    }

    private func lane(of record: TextRecord) throws -> AppendLane {
        guard let router else { return lanes[0] }
        guard producer != nil, record.key == nil else { return lanes[try router.route(record.key)] }
        // What is sent again has to come where it was: by its number, and not in turn.
        return lanes[router.partition(for: "\(number)")]
    }

    /// Sends what all lanes hold, and throws the first error that there was.
    func flush() throws {
        var first: (any Error)?
        for lane in lanes where !lane.hasFailed {
            do {
                try flush(lane)
            } catch {
                first = first ?? error
                // Behind Ctrl-C not each of them waits.
                if Interrupt.isRequested { break }
            }
        }
        if let first { throw first }
    }

    private func flush(_ lane: AppendLane) throws {
        guard lane.recordCount > 0 else { return }
        let byteCount = lane.byteCount
        let receipt = try lane.flush(level)
        heldBytes -= byteCount
        count += receipt.recordCount
        offsets = (offsets?.first ?? receipt.offset, receipt.last)
        guard let output else { return }
        let stream = router == nil ? "" : "\"stream\":\"\(lane.stream.name)\","
        do {
            try output.write {
                $0 += Array(
                    ("{\(stream)\"first\":\(receipt.offset),\"last\":\(receipt.last),"
                        + "\"level\":\"\(receipt.level.rawValue)\"}\n").utf8)
            }
            try output.flush()
        } catch is ExitRequest {
            // Nobody reads the acknowledgements any more; the records are appended still.
            self.output = nil
        }
    }

    /// Says how much of the input was there before, and what looks wrong about it.
    func tellRepeats() {
        guard let producer else { return }
        let total = Int(clamping: number - 1)
        let were = repeats == 1 ? "was" : "were"
        Words.say(
            "weir: of \(Numbers.records(total)), \(Numbers.grouped(repeats)) \(were) there "
                + "already, by producer \(producer)")
        tellShortness()
    }

    /// Says what came of an import, as that of an archive does.
    func tellImport() {
        var text = "weir: imported \(Numbers.records(count)) into \(name)"
        if router != nil {
            text += ", in \(lanes.count) partitions"
        } else if let offsets {
            text += ", offsets \(offsets.first) to before \(offsets.last + 1), which are new"
        }
        if repeats > 0 {
            let were = repeats == 1 ? "was" : "were"
            text += "; \(Numbers.grouped(repeats)) \(were) there already"
        }
        Words.say(text)
        if producer != nil { tellShortness() }
    }

    private func tellShortness() {
        let known = lanes.map(\.knownNumber).max() ?? 0
        if known > number - 1 {
            Words.say(
                "weir: note: that producer had sent \(Numbers.grouped(Int(clamping: known))) "
                    + "records before, more than this input has; a name belongs to one input")
        }
    }
}
