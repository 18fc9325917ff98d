import WeirBase

/// Watches a run.
struct SimulationRecorder {
    static let sliceCount = 120
    /// After so many steps of the controller a disturbance counts as settled.
    static let settledSteps = 30
    /// A consumer starves that waits for more than this part of a step while the log has more.
    private static let stallShare = 0.1
    /// A consumer is flooded that has more late records than this in a step, of two batches or
    /// more: one late batch is no flood. Batches that it worked on for longer than the budget do
    /// not count, as no window can help.
    private static let floodShare = 0.01
    private static let floodBatches = 2

    private enum State { case calm, flooded, starved }

    /// What is watched of one consumer.
    private struct Watch {
        var window: Int
        var advanced: Int64 = 0
        var disturbance = 0
        var stepsSince = 0
        var stepStart: Int64 = 0
        var records = 0
        var lateRecords = 0
        var lateBatches = 0
        var starvedNanoseconds: Int64 = 0
        var state = State.calm
        var swings = 0
    }

    private let disturbances: [Int64]
    private let duration: Int64
    private let sliceNanoseconds: Int64
    private let budgetNanoseconds: Int64
    private var watches: [Watch] = []
    private var slices = [SimulationResult.Slice](
        repeating: .init(), count: SimulationRecorder.sliceCount)
    private var latencies = [LatencyBuckets](
        repeating: LatencyBuckets(), count: SimulationRecorder.sliceCount)
    private var counts = [Int](repeating: 0, count: SignalKind.allCases.count)
    private var settledRecords = 0
    private var settledInTime = 0
    private var records = 0
    private var idleNanoseconds: Int64 = 0
    private var steps = 0

    init(pattern: LoadPattern, knobs: FlowKnobs) {
        disturbances = pattern.disturbances
        duration = pattern.duration
        sliceNanoseconds = max(1, pattern.duration / Int64(Self.sliceCount))
        let (seconds, attoseconds) = knobs.latencyBudget.components
        budgetNanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    mutating func begin(_ index: Int, window: Credit) {
        watches.append(Watch(window: window.bytes))
    }

    mutating func end(_ index: Int, _ consumer: SimulatedConsumer) {
        advance(index, consumer, to: duration)
        // Who waits for what has not arrived has nothing to do.
        if let waitStart = consumer.waitStart, consumer.next.arrived > duration {
            idle(nanoseconds: duration - waitStart)
        }
    }

    mutating func note(_ kind: SignalKind) { counts[kind.index] += 1 }

    mutating func idle(nanoseconds: Int64) { idleNanoseconds += nanoseconds }

    /// The window held what it holds until now.
    mutating func advance(_ index: Int, _ consumer: SimulatedConsumer, to time: Int64) {
        let window = max(1, watches[index].window)
        let occupied = consumer.outstanding.bytes
        let tenth = min(10, occupied * 10 / window)
        while watches[index].advanced < time {
            let start = watches[index].advanced
            let slice = slice(of: start)
            let end =
                slice == Self.sliceCount - 1
                ? time : min(time, Int64(slice + 1) * sliceNanoseconds)
            let nanoseconds = Double(end - start)
            slices[slice].windowBytes += nanoseconds * Double(window)
            slices[slice].occupiedBytes += nanoseconds * Double(occupied)
            slices[slice].occupancyMilliseconds[tenth] += nanoseconds / 1e6
            watches[index].advanced = end
        }
        watches[index].window = consumer.window.bytes
    }

    mutating func starved(_ index: Int, nanoseconds: Int64) {
        watches[index].starvedNanoseconds += nanoseconds
    }

    mutating func released(
        _ index: Int, _ batch: SimulatedConsumer.Batch, leaseNanoseconds: Int64, at now: Int64
    ) {
        let residence = now - batch.delivered
        let count = batch.size.records
        let isLate = residence > budgetNanoseconds
        records += count
        slices[slice(of: now)].records += count
        latencies[slice(of: now)].add(residence, count: count)
        watches[index].records += count
        if isLate, leaseNanoseconds <= budgetNanoseconds {
            watches[index].lateRecords += count
            watches[index].lateBatches += 1
        }
        if leaseNanoseconds > budgetNanoseconds { note(.leaseHeld) }
        while watches[index].disturbance < disturbances.count,
            disturbances[watches[index].disturbance] <= now
        {
            watches[index].disturbance += 1
            watches[index].stepsSince = 0
        }
        if watches[index].stepsSince >= Self.settledSteps {
            settledRecords += count
            if !isLate { settledInTime += count }
        }
    }

    mutating func stepped(
        _ index: Int, _ change: AdaptiveWindow.Change, isAdaptive: Bool, at now: Int64
    ) {
        steps += 1
        watches[index].stepsSince += 1
        if isAdaptive { note(change) }
        slices[slice(of: now)].starvedMilliseconds +=
            Double(watches[index].starvedNanoseconds) / 1e6
        let state = state(of: watches[index], at: now)
        if state != .calm {
            if watches[index].state != .calm, watches[index].state != state {
                watches[index].swings += 1
            }
            watches[index].state = state
        }
        watches[index].stepStart = now
        watches[index].records = 0
        watches[index].lateRecords = 0
        watches[index].lateBatches = 0
        watches[index].starvedNanoseconds = 0
    }

    private func state(of watch: Watch, at now: Int64) -> State {
        let elapsed = Double(max(1, now - watch.stepStart))
        if watch.lateBatches >= Self.floodBatches,
            Double(watch.lateRecords) > Double(watch.records) * Self.floodShare
        {
            return .flooded
        }
        return Double(watch.starvedNanoseconds) > elapsed * Self.stallShare ? .starved : .calm
    }

    private mutating func note(_ change: AdaptiveWindow.Change) {
        switch change {
        case .grew: note(.grew)
        case .shrank: note(.shrank)
        case .halved: note(.halved)
        case .held: break
        }
    }

    private func slice(of time: Int64) -> Int {
        min(Self.sliceCount - 1, Int(time / sliceNanoseconds))
    }
}

extension SimulationRecorder {
    func result(
        pattern: LoadPattern, policy: FlowSimulation.Policy, seed: UInt64,
        consumers: [SimulatedConsumer]
    ) -> SimulationResult {
        let count = consumers.count
        let busy = Double(duration) - Double(idleNanoseconds) / Double(count)
        let swings = watches.map(\.swings).max() ?? 0
        let windows = consumers.map(\.window.bytes).reduce(0, +)
        return SimulationResult(
            pattern: pattern, policy: policy, seed: seed,
            latencyBudgetMilliseconds: Double(budgetNanoseconds) / 1e6,
            withinBudget: settledRecords > 0
                ? Double(settledInTime) / Double(settledRecords) : 0,
            settledRecords: settledRecords,
            recordsPerSecond: Double(records) / max(1, busy) * 1e9,
            swings: Double(swings) / Double(disturbances.count),
            meanSwings: Double(watches.map(\.swings).reduce(0, +))
                / Double(disturbances.count * count),
            finalWindowBytes: windows / count, steps: steps,
            signals: SignalKind.allCases.map { ($0, counts[$0.index]) }.filter { $0.1 > 0 },
            series: finishedSlices)
    }

    private var finishedSlices: [SimulationResult.Slice] {
        slices.indices.map { index in
            var slice = slices[index]
            let nanoseconds = Double(sliceNanoseconds)
            slice.startMilliseconds = nanoseconds * Double(index) / 1e6
            slice.windowBytes /= nanoseconds
            slice.occupiedBytes /= nanoseconds
            slice.p50Milliseconds = latencies[index].milliseconds(ofShare: 0.5)
            slice.p99Milliseconds = latencies[index].milliseconds(ofShare: 0.99)
            return slice
        }
    }
}

/// Counts of durations, in buckets that are an eighth wider each: a quantile is 12 % off at most.
struct LatencyBuckets {
    private static let steps = 8
    private var counts = [Int](repeating: 0, count: 64 * 8)
    private var total = 0

    mutating func add(_ nanoseconds: Int64, count: Int) {
        let value = UInt64(max(1, nanoseconds))
        let power = 63 - value.leadingZeroBitCount
        let within = power >= 3 ? Int((value >> UInt64(power - 3)) & 7) : 0
        counts[power * Self.steps + within] += count
        total += count
    }

    /// The upper end of the bucket in which the quantile lies.
    func milliseconds(ofShare share: Double) -> Double {
        guard total > 0 else { return 0 }
        var left = Double(total) * share
        for index in counts.indices where counts[index] > 0 {
            left -= Double(counts[index])
            if left > 0 { continue }
            let power = index / Self.steps
            let within = index % Self.steps + 1
            return Double(UInt64(1) << UInt64(power)) * (1 + Double(within) / 8) / 1e6
        }
        return 0
    }
}
