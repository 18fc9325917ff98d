import Weir

/// Memory while many consumers stall: the log goes by them, and the heap does not grow. Afterwards
/// each of them asks again, and goes on where it stopped.
struct StalledScene {
    private let arguments: Arguments
    private let consumers: Int
    private let batches: Int
    private let filler = Filler(valueBytes: 1000, recordsPerBatch: 120)
    /// The heap may differ by so much from what it was after the first tenth, at every look.
    private static let flatKiB = 8 << 10

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        consumers = try arguments.number("consumers", default: 1000)
        batches = max(100, filler.batches(for: try arguments.bytes(default: 1 << 30)))
    }

    func play() async throws -> ReportLine {
        let configuration = StreamConfiguration(
            durability: .flushed, batchBytesMax: smallBatchBytes)
        return try await Scene.with(arguments, configuration) { scene in
            let first = 32
            try await onThread { try filler.fill(scene.stream, batches: first) }
            let stalled = try await StalledConsumers(consumers, of: scene.stream)
            let records = (first + batches) * filler.recordsPerBatch
            async let followed = scene.replay(records: records)
            let start = nanoseconds()
            let memory = try await onThread { try fillAndSample(scene.stream) }
            let tally = try await followed
            let seconds = Double(nanoseconds() - start) / 1e9
            let end = try ownMemoryKiB()
            let goOn = try await stalled.goOn(batches: 2)
            stalled.end()
            let delivered = tally.isAll(records, valueBytes: filler.valueBytes) && goOn
            return report(memory, end, delivered, seconds)
        }
    }

    private struct Memory: Sendable {
        var warm = 0
        var least = Int.max
        var most = 0
    }

    /// The first tenth warms up: from then on, the heap is looked at every hundredth.
    private func fillAndSample(_ stream: LogStream) throws -> Memory {
        var memory = Memory()
        try filler.fill(stream, batches: batches) { number in
            if number == batches / 10 { memory.warm = try ownMemoryKiB() }
            guard number >= batches / 10, number % (batches / 100) == 0 else { return }
            let now = try ownMemoryKiB()
            memory.least = min(memory.least, now)
            memory.most = max(memory.most, now)
        }
        return memory
    }

    private func report(
        _ memory: Memory, _ end: Int, _ delivered: Bool, _ seconds: Double
    ) -> ReportLine {
        let budget = Limits.subscriptionBytesDefault >> 10
        let least = min(memory.least, end)
        let most = max(memory.most, end)
        let isFlat = most - memory.warm <= Self.flatKiB && memory.warm - least <= Self.flatKiB
        var line = ReportLine("stalled", isOkay: delivered && isFlat && most <= budget)
        line.add("consumers", consumers)
        line.add("bytes", batches * filler.recordsPerBatch * filler.valueBytes)
        line.add("delivered", delivered)
        line.add("warmKiB", memory.warm)
        line.add("endKiB", end)
        line.add("leastKiB", least)
        line.add("mostKiB", most)
        line.add("budgetKiB", budget)
        line.add("seconds", seconds)
        return line
    }
}
