import WeirBase

/// One run: the clock, the events, the threads.
struct SimulationRun {
    /// A read of a batch that is in memory: the call, the checks, the bookkeeping.
    private static let readNanoseconds = 20_000.0
    /// 2 GB/s: checksum and copy.
    private static let nanosecondsPerByte = 0.5
    /// What one fetch from the disk brings, and the wait for it: 8 ms on average, half by chance.
    private static let fetchBytes = 4 << 20
    private static let fetchNanoseconds = 8_000_000.0
    /// To wake a thread that slept; once in a hundred times others have the processor.
    private static let hopNanoseconds = 30_000.0
    private static let lateHopNanoseconds = 2_000_000.0
    private static let lateHopShare = 0.01

    let pattern: LoadPattern
    let policy: FlowSimulation.Policy
    let knobs: FlowKnobs
    var consumers: [SimulatedConsumer] = []
    var recorder: SimulationRecorder
    var random: SimulatedRandom
    private var events = EventQueue()
    private var now: Int64 = 0
    private var idleThreads: Int
    /// Consumers that wait for a thread, in the order in which they came.
    private var jobs: [Int] = []
    private var jobsHead = 0
    private var usedBytes = 0

    init(pattern: LoadPattern, policy: FlowSimulation.Policy, seed: UInt64, knobs: FlowKnobs) {
        self.pattern = pattern
        self.policy = policy
        self.knobs = knobs
        idleThreads = pattern.readerThreadCount
        random = SimulatedRandom(seed: seed)
        recorder = SimulationRecorder(pattern: pattern, knobs: knobs)
        for index in 0..<pattern.consumerCount {
            let slowness = pattern.slowness(ofConsumer: index, random: &random)
            consumers.append(
                SimulatedConsumer(
                    slowness: slowness,
                    logRandom: SimulatedRandom(seed: random.next()),
                    workRandom: SimulatedRandom(seed: random.next()),
                    diskRandom: SimulatedRandom(seed: random.next()),
                    controller: AdaptiveWindow(
                        knobs: knobs, batchBytesMax: Limits.batchBytesDefault),
                    fixed: fixedWindow))
        }
    }

    private var fixedWindow: Credit? {
        switch policy {
        case .adaptive: nil
        case .fixed(let bytes): Credit(bytes: bytes, records: Credit.unlimited.records)
        case .batches(let count):
            Credit(
                bytes: Int(pattern.batchBytes) * count, records: Credit.unlimited.records)
        }
    }

    mutating func perform() {
        for index in consumers.indices {
            drawNext(index, after: 0)
            recorder.begin(index, window: consumers[index].window)
            read(index)
        }
        while let event = events.next(), event.time < pattern.duration {
            now = event.time
            switch event.kind {
            case .arrived:
                consumers[event.consumer].awaitsArrival = false
                read(event.consumer)
            case .read:
                deliver(event.consumer)
                freeThread()
                read(event.consumer)
            case .asked:
                release(event.consumer)
                take(event.consumer)
                read(event.consumer)
            }
        }
        for index in consumers.indices { recorder.end(index, consumers[index]) }
    }
}

// MARK: The log and the threads

extension SimulationRun {
    private mutating func drawNext(_ index: Int, after time: Int64) {
        let bytes = Int(pattern.batchBytes * (0.5 + consumers[index].logRandom.uniform()))
        var arrived: Int64 = 0
        if let rate = pattern.arrivalsPerSecond(at: time) {
            arrived = time + Int64(consumers[index].logRandom.exponential() / rate * 1e9)
        }
        consumers[index].next = .init(
            size: Credit(bytes: bytes, records: max(1, bytes / 100)), arrived: arrived, delivered: 0
        )
    }

    /// Reads the next batch if it is there and credit allows.
    private mutating func read(_ index: Int) {
        if consumers[index].isReading { return }
        let next = consumers[index].next
        guard next.arrived <= now else {
            if !consumers[index].awaitsArrival {
                consumers[index].awaitsArrival = true
                events.add(.init(time: next.arrived, kind: .arrived, consumer: index))
            }
            return
        }
        guard allows(next.size, for: index) else { return }
        consumers[index].isReading = true
        if idleThreads > 0 {
            idleThreads -= 1
            let isLate = random.uniform() < Self.lateHopShare
            start(index, hop: isLate ? Self.lateHopNanoseconds : Self.hopNanoseconds)
        } else {
            jobs.append(index)
        }
    }

    /// One batch larger than the credit left is read if the consumer waits and some is left.
    private mutating func allows(_ size: Credit, for index: Int) -> Bool {
        let consumer = consumers[index]
        let left = consumer.window - consumer.outstanding
        let isQueueRoom =
            consumer.fixed != nil || knobs.maxQueue.covers(consumer.waiting + size)
        let isWithin = left.covers(size) && isQueueRoom
        let isOverdraft = !isWithin && consumer.waitStart != nil && left.isPositive
        if isWithin, usedBytes + size.bytes > pattern.budgetBytes, consumer.waitStart == nil {
            consumers[index].controller.pressed(at: Moment(nanoseconds: now))
            recorder.note(.budgetWaited)
            return false
        }
        if isWithin || isOverdraft {
            if isOverdraft { recorder.note(.overdraft) }
            if consumer.isExhausted { recorder.note(.resumed) }
            consumers[index].isExhausted = false
            return true
        }
        if !consumer.isExhausted { recorder.note(.exhausted) }
        consumers[index].isExhausted = true
        return false
    }

    /// Credit is taken when the read begins.
    private mutating func start(_ index: Int, hop: Double) {
        let size = consumers[index].next.size
        recorder.advance(index, consumers[index], to: now)
        consumers[index].outstanding += size
        usedBytes += size.bytes
        var cost = hop + Self.readNanoseconds + Double(size.bytes) * Self.nanosecondsPerByte
        if pattern.isCold {
            consumers[index].fetchedBytes -= size.bytes
            if consumers[index].fetchedBytes < 0 {
                consumers[index].fetchedBytes += Self.fetchBytes
                cost +=
                    Self.fetchNanoseconds * (0.5 + consumers[index].diskRandom.exponential() / 2)
            }
        }
        events.add(.init(time: now + Int64(cost), kind: .read, consumer: index))
    }

    /// The thread takes the next job, without sleeping.
    private mutating func freeThread() {
        guard jobsHead < jobs.count else {
            idleThreads += 1
            return
        }
        start(jobs[jobsHead], hop: 0)
        jobsHead += 1
        if jobsHead > 4_096 {
            jobs.removeFirst(jobsHead)
            jobsHead = 0
        }
    }
}

// MARK: The window and the consumer

extension SimulationRun {
    private mutating func deliver(_ index: Int) {
        consumers[index].isReading = false
        var batch = consumers[index].next
        batch.delivered = now
        consumers[index].enqueue(batch)
        drawNext(index, after: batch.arrived)
        if let waitStart = consumers[index].waitStart {
            let start = max(waitStart, batch.arrived)
            if start < now {
                consumers[index].controller.starved(
                    from: Moment(nanoseconds: start), to: Moment(nanoseconds: now))
                recorder.starved(index, nanoseconds: now - start)
            }
            recorder.idle(nanoseconds: max(0, batch.arrived - waitStart))
        }
        consumers[index].controller.queued(
            consumers[index].waiting, at: Moment(nanoseconds: now))
        if consumers[index].waitStart != nil { take(index) }
    }

    /// The consumer takes what is there, or waits.
    private mutating func take(_ index: Int) {
        guard !consumers[index].isQueueEmpty else {
            consumers[index].waitStart = now
            return
        }
        consumers[index].waitStart = nil
        let batch = consumers[index].dequeue()
        consumers[index].lease = batch
        consumers[index].taken = now
        consumers[index].controller.queued(
            consumers[index].waiting, at: Moment(nanoseconds: now))
        let nanoseconds = pattern.lease(
            of: Double(batch.size.bytes) / pattern.batchBytes, at: now,
            slowness: consumers[index].slowness, random: &consumers[index].workRandom)
        events.add(.init(time: now + max(1, Int64(nanoseconds)), kind: .asked, consumer: index))
    }

    /// The consumer asks for the next batch: the credit of the last one comes back.
    private mutating func release(_ index: Int) {
        guard let batch = consumers[index].lease else { return }
        recorder.advance(index, consumers[index], to: now)
        consumers[index].outstanding -= batch.size
        usedBytes -= batch.size.bytes
        consumers[index].lease = nil
        recorder.released(index, batch, leaseNanoseconds: now - consumers[index].taken, at: now)
        consumers[index].controller.released(
            batch.size, residenceNanoseconds: now - batch.delivered,
            leaseNanoseconds: now - consumers[index].taken, at: Moment(nanoseconds: now))
        if let change = consumers[index].controller.step(at: Moment(nanoseconds: now)) {
            recorder.stepped(
                index, change, isAdaptive: consumers[index].fixed == nil, at: now)
        }
    }

    func result(seed: UInt64) -> SimulationResult {
        recorder.result(pattern: pattern, policy: policy, seed: seed, consumers: consumers)
    }
}
