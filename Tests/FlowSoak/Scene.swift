import Foundation
import Weir

/// A store for one scene, in a folder that goes with it.
struct Scene: Sendable {
    let store: Store
    let stream: LogStream

    /// Opens it, plays, and removes it whatever happened.
    static func with(
        _ arguments: Arguments, _ configuration: StreamConfiguration,
        _ play: (Scene) async throws -> ReportLine
    ) async throws -> ReportLine {
        let parent = arguments.folder.map { URL(filePath: $0) }
        let folder = (parent ?? FileManager.default.temporaryDirectory)
            .appending(path: "weir-flow-soak-\(arguments.command)-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let result: Result<ReportLine, any Error>
        do {
            let store = try await Store.open(at: folder.path)
            let stream = try await store.stream("soak", creating: configuration)
            result = .success(try await play(Scene(store: store, stream: stream)))
            try await store.close()
        } catch {
            try FileManager.default.removeItem(at: folder)
            throw error
        }
        try FileManager.default.removeItem(at: folder)
        return try result.get()
    }

    /// Reads from the start until `records` were there, and looks at each. Not on the main actor,
    /// and only as long as its task is not cancelled.
    func replay(records: Int) async throws -> Tally {
        var tally = Tally()
        for try await batch in try stream.subscribe(from: .first) {
            tally.add(batch)
            if tally.records >= records { break }
        }
        return tally
    }
}

/// Small enough that a thousand subscriptions, of which each sets one batch aside, fit into the
/// store's budget, and enough for a thousand records of 100 bytes.
let smallBatchBytes = 128 << 10

/// Batches of values that all look alike.
struct Filler: Sendable {
    let valueBytes: Int
    let recordsPerBatch: Int

    /// How many batches come to so many bytes of values.
    func batches(for bytes: Int) -> Int {
        max(1, bytes / (valueBytes * recordsPerBatch))
    }

    /// Appends batches, flushed, and tells each one's number. Blocks the thread.
    func fill(
        _ stream: LogStream, batches: Int, each: (Int) throws -> Void = { _ in }
    ) throws {
        let writer = try stream.syncWriter()
        var batch = Batch(byteLimit: writer.batchBytesMax)
        let value = (0..<valueBytes).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        for number in 0..<batches {
            for _ in 0..<recordsPerBatch {
                guard batch.append(value: value) else {
                    throw Usage("\(recordsPerBatch) records do not fit into one batch.")
                }
            }
            try writer.append(&batch, level: .flushed)
            try each(number)
        }
    }
}

/// What a consumer got.
struct Tally: Sendable {
    private(set) var records = 0
    private(set) var valueBytes = 0
    private(set) var isInOrder = true
    /// An empty value came: a producer's last word, and no record that counts.
    private(set) var hasLast = false
    private var next: Offset?

    mutating func add(_ batch: RecordBatch) {
        if let next, batch.firstOffset != next { isInOrder = false }
        next = batch.endOffset
        // Into locals: what is walked is looked at, and nothing else is done.
        var count = 0
        var empty = 0
        var sum = 0
        var walker = batch.records
        while let record = walker.next() {
            let byteCount = record.value.byteCount
            count += 1
            if byteCount == 0 { empty += 1 }
            sum += byteCount
        }
        records += count - empty
        hasLast = empty > 0
        valueBytes += sum
    }

    /// Whether it is all of so many records of one size, in their order.
    func isAll(_ records: Int, valueBytes: Int) -> Bool {
        isInOrder && self.records == records && self.valueBytes == records * valueBytes
    }
}

/// Consumers that took one batch, hold it, and never ask again.
struct StalledConsumers: Sendable {
    private var subscriptions: [Subscription] = []
    private var held: [RecordBatch] = []

    /// Half of them read through maps and half by copying, whose bytes are the process's own.
    init(_ count: Int, of stream: LogStream) async throws {
        for number in 0..<count {
            let subscription = try stream.subscribe(
                from: .first, .init(reading: number % 2 == 0 ? .mapped : .copied))
            guard let batch = try await subscription.nextBatch(timeout: .seconds(60)) else {
                throw Usage("The subscription of a stalled consumer ended by itself.")
            }
            subscriptions.append(subscription)
            held.append(batch)
        }
    }

    /// Asks for each again, which gives back what it held: whether the records go on where they
    /// stopped, for so many batches.
    func goOn(batches: Int) async throws -> Bool {
        for (subscription, first) in zip(subscriptions, held) {
            var tally = Tally()
            tally.add(first)
            for _ in 0..<batches {
                guard let batch = try await subscription.nextBatch(timeout: .seconds(60)) else {
                    return false
                }
                tally.add(batch)
            }
            guard tally.isInOrder else { return false }
        }
        return true
    }

    func end() { for subscription in subscriptions { subscription.cancel() } }
}
