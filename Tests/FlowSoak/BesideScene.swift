import Weir

/// A consumer's speed alone, and beside others that stall.
struct BesideScene {
    private let arguments: Arguments
    private let consumers: Int
    private let rounds: Int
    private let batches: Int
    private let filler = Filler(valueBytes: 100, recordsPerBatch: 1000)
    private static let shareMin = 0.9

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        consumers = try arguments.number("consumers", default: 1000, minimum: 2)
        rounds = try arguments.number("rounds", default: 5)
        batches = filler.batches(for: try arguments.bytes(default: 1 << 30))
    }

    private var records: Int { batches * filler.recordsPerBatch }

    func play() async throws -> ReportLine {
        let configuration = StreamConfiguration(
            durability: .flushed, batchBytesMax: smallBatchBytes)
        return try await Scene.with(arguments, configuration) { scene in
            try await onThread { try filler.fill(scene.stream, batches: batches) }
            var alone: [Double] = []
            var beside: [Double] = []
            var delivered = true
            // The first round warms up.
            for round in 0...rounds {
                let first = try await speed(scene, &delivered)
                let stalled = try await StalledConsumers(consumers - 1, of: scene.stream)
                let second = try await speed(scene, &delivered)
                stalled.end()
                guard round > 0 else { continue }
                alone.append(first)
                beside.append(second)
            }
            return report(median(alone), median(beside), delivered)
        }
    }

    /// Records a second.
    private func speed(_ scene: Scene, _ delivered: inout Bool) async throws -> Double {
        let start = nanoseconds()
        let tally = try await scene.replay(records: records)
        let end = nanoseconds()
        if !tally.isAll(records, valueBytes: filler.valueBytes) { delivered = false }
        return Double(records) / (Double(end - start) / 1e9)
    }

    private func report(_ alone: Double, _ beside: Double, _ delivered: Bool) -> ReportLine {
        let share = beside / alone
        let isFast = arguments.isUntimed || share >= Self.shareMin
        var line = ReportLine("beside", isOkay: delivered && isFast)
        line.add("consumers", consumers)
        line.add("records", records)
        line.add("delivered", delivered)
        line.add("aloneRecordsPerSecond", Int(alone))
        line.add("besideRecordsPerSecond", Int(beside))
        line.add("share", share)
        return line
    }
}
