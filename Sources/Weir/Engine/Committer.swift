import Synchronization
import WeirBase
import WeirFiles
import WeirFlow
import WeirFormat
import WeirLog

typealias SystemEngine = StoreEngine<RealFileSystem>
typealias SystemStream = StoreEngine<RealFileSystem>.OpenStream
typealias SystemWriter = LogWriter<RealFileSystem>

/// Whoever waits for an append's outcome.
enum AppendWaiter: Sendable {
    /// Resumed with nil only by the one who found the gate closed.
    case task(CheckedContinuation<Result<Receipt, WeirError>?, Never>)
    case thread(AppendSlot)
    /// Called on the thread that knows; it must not block.
    case call(@Sendable (Result<Receipt, WeirError>) -> Void)

    func resume(_ result: Result<Receipt, WeirError>) {
        switch self {
        case .task(let continuation): continuation.resume(returning: result)
        case .thread(let slot): slot.finish(result)
        case .call(let body): body(result)
        }
    }
}

/// Runs a stream's commit queue, and the gate in front of it: performs what they decide, on Weir's
/// threads or the caller's own. `Committer+Gate.swift` has the gate's part, and
/// `Committer+Producers.swift` that of named producers.
final class Committer: PoolWorker {
    typealias Queue = CommitQueue<AppendWaiter>
    typealias Group = (batches: [Queue.Batch], repeats: [Queue.Repeat])

    let writer: SystemWriter
    let flow: StoreFlow
    let queue: Lock<Shared>
    let releaseRequests: ReleaseRequests
    /// The gate has a lag bound; spares everybody else the lock.
    let watchesLag = Atomic(false)
    let pool: ThreadPool
    let watch: TailWatch
    let housekeeper: Housekeeper
    /// Of a partitioned stream.
    let partition: Int?
    /// Since it was asked last whether it may rest, see `Committer+Rest.swift`.
    let wasUsed = Atomic(false)
    /// Counted among those that have a file open. Changed by whoever leads.
    let isCounted = Atomic(false)
    /// Spares streams without a quota, and those that have room, the lock.
    let hasQuota: Atomic<Bool>
    let isOverQuota = Atomic(false)
    /// Spares groups without an errand behind them the lock.
    let hasErrands = Atomic(false)
    private let acknowledgesDurable: Atomic<Bool>

    struct Shared: ~Copyable {
        var queue: Queue
        var gate: AppendGate
        var policy = ProducerPolicy()
        /// Those who stand before the gate.
        var waiting: [AppendGate.Ticket: GateWaiter] = [:]
        /// When the gate is asked next whether it was shut for long enough.
        var tickAt: Moment?
        var wantsUpkeep = false
        /// A thread seals segments and makes the next file.
        var isWorking = false
        /// What the leader does between two groups.
        var errands: [Errand] = []
        var quota = QuotaState()
    }
    /// From so many calls on, another thread wakes them while the next sync runs already.
    private static let wakeHereMax = 4

    init(
        writer: SystemWriter, pool: ThreadPool, watch: TailWatch, housekeeper: Housekeeper,
        flow: StoreFlow, releaseRequests: ReleaseRequests
    ) {
        self.writer = writer
        self.pool = pool
        self.watch = watch
        self.housekeeper = housekeeper
        self.flow = flow
        self.partition = writer.configuration.partition?.index
        self.releaseRequests = releaseRequests
        self.hasQuota = Atomic(writer.configuration.quota != nil)
        self.acknowledgesDurable = Atomic(writer.configuration.durability == .durable)
        // Weir's own streams pass no gate: what holds users back must not hold back Weir.
        let permits = writer.view.name.isSystem ? Credit.unlimited : ProducerPolicy().permits
        self.queue = Lock(
            Shared(
                queue: Queue(batchBytesMax: writer.configuration.batchBytesMax),
                gate: AppendGate(limit: permits, end: writer.view.visibleEnd)))
        countQuota()
    }

    /// What an append waits for unless it says otherwise.
    var acknowledgedLevel: DurabilityLevel {
        get { acknowledgesDurable.load(ordering: .relaxed) ? .durable : .flushed }
        set { acknowledgesDurable.store(newValue == .durable, ordering: .relaxed) }
    }

    // MARK: appending

    /// Adds a record of about this size.
    func enqueue(
        _ size: Credit, _ passage: Passage, level: DurabilityLevel, waiter: AppendWaiter,
        publishing: Publishing? = nil,
        encode: (inout BatchBuilder) throws(WeirError) -> Bool
    ) throws(WeirError) -> Entry {
        try enter(size, passage) { queue throws(WeirError) in
            if let publishing {
                let call = Queue.Repeat(
                    publishing, recordCount: 1, level: level, permits: size, waiter: waiter)
                if let action = try join(call, &queue) { return action }
            }
            return try queue.append(
                permits: size, level: level, waiter: waiter, publishing: publishing,
                encode: encode)
        }
    }

    func enqueue(
        _ batch: Queue.Batch, _ passage: Passage, level: DurabilityLevel, waiter: AppendWaiter,
        publishing: Publishing? = nil
    ) throws(WeirError) -> Entry {
        let count = batch.builder.recordCount
        let size = Credit(bytes: batch.builder.bodyByteCount, records: count)
        return try enter(size, passage) { queue throws(WeirError) in
            if let publishing {
                let call = Queue.Repeat(
                    publishing, recordCount: count, level: level, permits: size, waiter: waiter)
                if let action = try join(call, &queue) { return action }
            }
            return try queue.append(
                batch, permits: size, level: level, waiter: waiter, publishing: publishing)
        }
    }

    /// Has a thread of Weir's lead, if nobody does.
    func follow(_ action: Queue.Action) {
        if action == .lead { pool.run { self.lead(until: nil) } }
    }

    // MARK: leading

    /// Writes groups until none waits. A thread that leads for its own append only (`slot`) hands
    /// the lead over once that is done.
    func lead(until slot: AppendSlot?) {
        while let group = nextGroup() {
            perform(group)
            performErrands()
            if let slot, slot.isFinished {
                if queue.withLock({ $0.queue.isEmpty }) { continue }
                pool.run { self.lead(until: nil) }
                return
            }
        }
        let (goesOn, wantsUpkeep) = queue.withLock { shared in
            let wants = shared.wantsUpkeep
            guard wants || !shared.errands.isEmpty, shared.queue.beginLead() else {
                return (false, false)
            }
            shared.wantsUpkeep = false
            return (true, wants)
        }
        guard goesOn else { return }
        performErrands()
        if wantsUpkeep { keepUp() }
        lead(until: slot)
    }

    /// What waits, after a moment in which others may join it, if the stream has one.
    private func nextGroup() -> Group? {
        let linger = writer.configuration.lingerMicroseconds
        if linger > 0, queue.withLock({ !$0.queue.isEmpty }) {
            SystemThread.pause(microseconds: linger)
        }
        return queue.withLock { $0.queue.takeGroup() }
    }

    private func perform(_ group: Group) {
        flow.groupsWritten.add(1, ordering: .relaxed)
        flow.groupsUnderWay.add(1, ordering: .relaxed)
        defer { flow.groupsUnderWay.subtract(1, ordering: .relaxed) }
        let outcome = writer.writeGroup(group.batches)
        let repeats = settle(outcome, group)
        let written = outcome.written
        tell(outcome.failed)
        // Before anybody is told: the next append of whoever is told finds it counted.
        countQuota()
        flow.countQuota(writer.streamID, writer.view)
        watch.wake()
        if writer.hasUrgentWork { haveWorkDone() }
        giveBack(permits(written, .flushed))
        for (batch, first) in written { finish(batch, first, .flushed) }
        if written.contains(where: { $0.batch.needsSync }) || !repeats.isEmpty {
            do throws(WeirError) {
                try writer.sync()
                watch.wake()
                giveBack(permits(written, .durable))
                wake(written)
                for (call, original) in repeats { finish(call, original) }
            } catch {
                giveBack(permits(written, .durable))
                for (call, _) in repeats { fail(call, error) }
                fail(written, error)
            }
        } else if !written.isEmpty {
            housekeeper.note(self, after: syncDelayMilliseconds)
        }
        queue.withLock { shared in
            for batch in group.batches { shared.queue.recycle(batch) }
        }
        noteUse()
    }

    /// Those of batches that could not be written.
    func tell(_ failed: [(batch: Queue.Batch, error: WeirError)]) {
        for (batch, error) in failed {
            // Always before anybody is told: whoever is told finds the permits.
            giveBack(batch.permits(of: nil))
            for call in batch.calls { call.waiter.resume(.failure(error)) }
        }
    }

    private func permits(
        _ written: [(batch: Queue.Batch, first: Offset)], _ level: DurabilityLevel
    ) -> Credit {
        written.reduce(.zero) { $0 + $1.batch.permits(of: level) }
    }

    /// Those who wanted no more than this level.
    private func finish(_ batch: Queue.Batch, _ first: Offset, _ level: DurabilityLevel) {
        for call in batch.calls where call.level == level {
            call.waiter.resume(.success(receipt(call, first, level)))
        }
    }

    private func receipt(
        _ call: Queue.Call, _ first: Offset, _ level: DurabilityLevel
    ) -> Receipt {
        Receipt(
            offset: first + call.firstIndex, recordCount: call.recordCount, epoch: writer.epoch,
            level: level)
    }

    /// Wakes all whose records are durable now; many of them on another thread, while this one
    /// starts the next sync.
    private func wake(_ written: [(batch: Queue.Batch, first: Offset)]) {
        housekeeper.note(self, after: Housekeeper.idleMilliseconds)
        let callCount = written.reduce(0) { $0 + $1.batch.calls.count }
        if callCount <= Self.wakeHereMax {
            for (batch, first) in written { finish(batch, first, .durable) }
            return
        }
        // The batches are used again as soon as this group is done: their calls go along.
        let calls = written.map { (calls: $0.batch.calls, first: $0.first) }
        let epoch = writer.epoch
        pool.run {
            for (calls, first) in calls {
                for call in calls where call.level == .durable {
                    call.waiter.resume(
                        .success(
                            Receipt(
                                offset: first + call.firstIndex, recordCount: call.recordCount,
                                epoch: epoch, level: .durable)))
                }
            }
        }
    }

    /// A failed sync: nobody is told that anything is durable, now or later.
    private func fail(_ written: [(batch: Queue.Batch, first: Offset)], _ error: WeirError) {
        for (batch, _) in written {
            for call in batch.calls where call.level == .durable {
                call.waiter.resume(.failure(error))
            }
        }
        refuseIfPoisoned()
    }

    /// An error that leaves the writer whole, such as a full disk, stops nothing.
    func refuseIfPoisoned() {
        if let poison = writer.poison { refuse(poison) }
    }

    /// What the log leaves to be done beside the appends, on a thread of Weir's.
    private func haveWorkDone() {
        let starts = queue.withLock { shared in
            defer { shared.isWorking = true }
            return !shared.isWorking
        }
        if starts { pool.run(self) }
    }

    /// Called by the pool; a piece that is sent to the medium comes each 128 KiB.
    func work() {
        writer.work()
        queue.withLock { $0.isWorking = false }
    }

    /// Takes nothing more, and tells those who wait.
    func refuse(_ error: WeirError) {
        let left = withGate { shared, chores in
            let left = shared.queue.refuse(error)
            let repeats = shared.queue.takeRepeats()
            let held = left.reduce(Credit.zero) { $0 + $1.permits(of: nil) }
            shared.closeGate(error, &chores)
            shared.perform(
                shared.gate.giveBack(
                    repeats.reduce(held) { $0 + $1.permits }, at: shared.moment), &chores)
            return left.flatMap { $0.calls.map(\.waiter) } + repeats.map(\.waiter)
        }
        for waiter in left { waiter.resume(.failure(error)) }
    }

    // MARK: upkeep

    private var syncDelayMilliseconds: Int {
        switch writer.configuration.durability {
        case .interval(let milliseconds): Int(milliseconds)
        case .durable, .flushed: Housekeeper.idleMilliseconds
        }
    }

    /// Called by the housekeeper when the stream went quiet, or its interval is over. On another
    /// thread, so that no stream's sync waits for another's.
    func haveUpkeepDone() { pool.run { self.upkeep() } }

    private func upkeep() {
        let leads = queue.withLock { shared in
            if shared.queue.beginLead() { return true }
            shared.wantsUpkeep = true
            return false
        }
        if leads {
            keepUp()
            lead(until: nil)
        }
    }

    /// Syncs an interval's appends, and leaves a marker that proves how far the log is durable.
    private func keepUp() {
        // Synced it may be even where the marker found no room.
        defer {
            watch.wake()
            tellGateEnd()
        }
        do throws(WeirError) {
            if writer.hasWork { haveWorkDone() }
            if writer.configuration.durability != .flushed { try writer.sync() }
            try writer.mark()
        } catch {
            // Appends are told; there is nobody else to tell. A disk that is full may have room
            // later, and what an interval promises is still owed.
            refuseIfPoisoned()
            if writer.poison == nil { housekeeper.note(self, after: syncDelayMilliseconds) }
        }
    }

    /// Takes nothing more, and writes what waits. Blocks the thread.
    ///
    /// The lead is kept for ever: neither an append nor upkeep comes between this and the closing
    /// of the log.
    func drain(_ error: WeirError) {
        withGate { shared, chores in
            shared.queue.close(error)
            shared.closeGate(error, &chores)
        }
        let slot = Monitor(false)
        while !queue.withLock({ $0.queue.beginLead() }) {
            _ = slot.wait(milliseconds: 1) { $0 ? true : nil }
        }
        while let group = queue.withLock({ $0.queue.takeGroup(keepingLead: true) }) {
            perform(group)
        }
        refuseErrands(error)
        refuse(error)
        // Whoever ends the stream closes its file.
        isCounted.store(false, ordering: .relaxed)
    }
}
