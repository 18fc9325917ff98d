import Weir

/// The asynchronous way of reading a log beside the synchronous one.
struct ReplayScene {
    private let arguments: Arguments
    private let rounds: Int
    private let batches: Int
    private let filler = Filler(valueBytes: 100, recordsPerBatch: 1000)
    private static let shareMin = 0.8

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        rounds = try arguments.number("rounds", default: 5)
        batches = filler.batches(for: try arguments.bytes(default: 1 << 30))
    }

    private var records: Int { batches * filler.recordsPerBatch }

    func play() async throws -> ReportLine {
        try await Scene.with(arguments, .init(durability: .flushed)) { scene in
            try await onThread { try filler.fill(scene.stream, batches: batches) }
            var cursor: [Double] = []
            var subscription: [Double] = []
            var delivered = true
            // The first round warms up.
            for round in 0...rounds {
                var start = nanoseconds()
                let sum = try await onThread { try walk(scene.stream) }
                let first = Double(records) / (Double(nanoseconds() - start) / 1e9)
                if sum != records * filler.valueBytes { delivered = false }
                start = nanoseconds()
                let tally = try await scene.replay(records: records)
                let second = Double(records) / (Double(nanoseconds() - start) / 1e9)
                if !tally.isAll(records, valueBytes: filler.valueBytes) { delivered = false }
                guard round > 0 else { continue }
                cursor.append(first)
                subscription.append(second)
            }
            return report(median(cursor), median(subscription), delivered)
        }
    }

    /// The bytes of all values, through the cursor. Blocks the thread.
    private func walk(_ stream: LogStream) throws -> Int {
        var cursor = try stream.cursor(from: .first)
        var sum = 0
        while case .batch = try cursor.next() {
            var records = cursor.records
            while let record = records.next() { sum += record.value.byteCount }
        }
        return sum
    }

    private func report(
        _ cursor: Double, _ subscription: Double, _ delivered: Bool
    ) -> ReportLine {
        let share = subscription / cursor
        let isFast = arguments.isUntimed || share >= Self.shareMin
        var line = ReportLine("replay", isOkay: delivered && isFast)
        line.add("records", records)
        line.add("delivered", delivered)
        line.add("cursorRecordsPerSecond", Int(cursor))
        line.add("subscriptionRecordsPerSecond", Int(subscription))
        line.add("share", share)
        return line
    }
}
