import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

typealias SystemEngine = StoreEngine<RealFileSystem>
typealias SystemStream = StoreEngine<RealFileSystem>.OpenStream
typealias SystemWriter = LogWriter<RealFileSystem>

/// Whoever waits for an append's outcome.
enum AppendWaiter: Sendable {
    /// Resumed with nil only by the one who found no room.
    case task(CheckedContinuation<Result<Receipt, WeirError>?, Never>)
    case thread(AppendSlot)

    func resume(_ result: Result<Receipt, WeirError>) {
        switch self {
        case .task(let continuation): continuation.resume(returning: result)
        case .thread(let slot): slot.finish(result)
        }
    }
}

/// An outcome that a thread waits for, or that nobody asks for yet.
final class AppendSlot: Sendable {
    private struct State {
        var result: Result<Receipt, WeirError>?
        var tasks: [CheckedContinuation<Result<Receipt, WeirError>, Never>] = []
    }
    private let monitor = Monitor(State())

    var isFinished: Bool { monitor.read { $0.result != nil } }

    func finish(_ result: Result<Receipt, WeirError>) {
        let tasks = monitor.signal { state in
            state.result = result
            defer { state.tasks = [] }
            return state.tasks
        }
        for task in tasks { task.resume(returning: result) }
    }

    /// Blocks the thread.
    func wait() -> Result<Receipt, WeirError> {
        monitor.wait { $0.result } ?? .failure(WeirError(.closed, "The append was given up."))
    }

    func outcome() async -> Result<Receipt, WeirError> {
        await withCheckedContinuation { continuation in
            let known = monitor.signal { state -> Result<Receipt, WeirError>? in
                if state.result == nil { state.tasks.append(continuation) }
                return state.result
            }
            if let known { continuation.resume(returning: known) }
        }
    }
}

/// Runs a stream's commit queue: performs what it decides, on Weir's threads or the caller's own.
final class Committer: Sendable {
    typealias Queue = CommitQueue<AppendWaiter>

    let writer: SystemWriter
    private let pool: ThreadPool
    private let queue: Lock<Shared>
    private let watch: TailWatch
    private let housekeeper: Housekeeper
    private let durability: Durability
    private let lingerMicroseconds: Int

    private struct Shared: ~Copyable {
        var queue: Queue
        /// Appends that found no room; each tries again when a group is done.
        var rooms: [Room] = []
        var wantsUpkeep = false
        /// A thread seals segments and makes the next file.
        var isWorking = false

        mutating func takeRooms() -> [Room] {
            defer { rooms = [] }
            return rooms
        }
    }
    private typealias Room = CheckedContinuation<Void, Never>
    /// From so many calls on, another thread wakes them while the next sync runs already.
    private static let wakeHereMax = 4

    init(
        writer: SystemWriter, pool: ThreadPool, watch: TailWatch, housekeeper: Housekeeper
    ) {
        self.writer = writer
        self.pool = pool
        self.watch = watch
        self.housekeeper = housekeeper
        self.durability = writer.configuration.durability
        self.lingerMicroseconds = writer.configuration.lingerMicroseconds
        self.queue = Lock(
            Shared(queue: Queue(batchBytesMax: writer.configuration.batchBytesMax)))
    }

    // MARK: appending

    /// Adds a record; `.full` means that nothing was taken.
    func enqueue(
        level: DurabilityLevel, waiter: AppendWaiter,
        encode: (inout BatchBuilder) throws(WeirError) -> Bool
    ) throws(WeirError) -> Queue.Action {
        try queue.withLock { shared throws(WeirError) in
            try shared.queue.append(level: level, waiter: waiter, encode: encode)
        }
    }

    func enqueue(
        _ batch: Queue.Batch, level: DurabilityLevel, waiter: AppendWaiter
    ) throws(WeirError) -> Queue.Action {
        try queue.withLock { shared throws(WeirError) in
            try shared.queue.append(batch, level: level, waiter: waiter)
        }
    }

    /// Has a thread of Weir's lead, if nobody does.
    func follow(_ action: Queue.Action) {
        if action == .lead { pool.run { self.lead(until: nil) } }
    }

    /// Waits until a group was written, if there is no room now.
    func room() async {
        await withCheckedContinuation { continuation in
            let isFree = queue.withLock { shared in
                if !shared.queue.isLed || shared.queue.isClosed { return true }
                shared.rooms.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    /// The same on a thread, which leads itself if nobody does. Blocks.
    func roomBlocking() {
        if queue.withLock({ $0.queue.beginLead() }) { return lead(until: nil) }
        let gate = Monitor(false)
        _ = gate.wait(milliseconds: 1) { $0 ? true : nil }
    }

    // MARK: leading

    /// Writes groups until none waits. A thread that leads for its own append only (`slot`) hands
    /// the lead over once that is done.
    func lead(until slot: AppendSlot?) {
        while let group = nextGroup() {
            perform(group)
            if let slot, slot.isFinished {
                if queue.withLock({ $0.queue.isEmpty }) { continue }
                pool.run { self.lead(until: nil) }
                return
            }
        }
        let wantsUpkeep = queue.withLock { shared in
            let wants = shared.wantsUpkeep && shared.queue.beginLead()
            if wants { shared.wantsUpkeep = false }
            return wants
        }
        if wantsUpkeep {
            keepUp()
            lead(until: slot)
        }
    }

    /// What waits, after a moment in which others may join it, if the stream has one.
    private func nextGroup() -> [Queue.Batch]? {
        if lingerMicroseconds > 0, queue.withLock({ !$0.queue.isEmpty }) {
            SystemThread.pause(microseconds: lingerMicroseconds)
        }
        // Whoever waits for room is woken when the lead ends, in the same step: later nobody would.
        let (group, rooms) = queue.withLock { shared -> ([Queue.Batch]?, [Room]) in
            let group = shared.queue.take()
            return (group, group == nil ? shared.takeRooms() : [])
        }
        for room in rooms { room.resume() }
        return group
    }

    private func perform(_ group: [Queue.Batch]) {
        var written: [(batch: Queue.Batch, first: Offset)] = []
        for batch in group {
            do throws(WeirError) {
                let first = try writer.append(
                    &batch.builder, expecting: batch.expecting, needsSync: batch.needsSync)
                written.append((batch, first))
            } catch {
                for call in batch.calls { call.waiter.resume(.failure(error)) }
            }
        }
        watch.wake()
        if writer.hasUrgentWork { haveWorkDone() }
        for (batch, first) in written { finish(batch, first, .flushed) }
        if written.contains(where: { $0.batch.needsSync }) {
            do throws(WeirError) {
                try writer.sync()
                watch.wake()
                wake(written)
            } catch {
                fail(written, error)
            }
        } else if !written.isEmpty {
            housekeeper.note(self, after: syncDelayMilliseconds)
        }
        let rooms = queue.withLock { shared in
            for batch in group { shared.queue.recycle(batch) }
            return shared.takeRooms()
        }
        for room in rooms { room.resume() }
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
    private func refuseIfPoisoned() {
        if let poison = writer.poison { refuse(poison) }
    }

    /// What the log leaves to be done beside the appends, on a thread of Weir's.
    private func haveWorkDone() {
        let starts = queue.withLock { shared in
            defer { shared.isWorking = true }
            return !shared.isWorking
        }
        guard starts else { return }
        pool.run {
            self.writer.work()
            self.queue.withLock { $0.isWorking = false }
        }
    }

    /// Takes nothing more, and tells those who wait.
    func refuse(_ error: WeirError) {
        let (left, rooms) = queue.withLock { ($0.queue.refuse(error), $0.takeRooms()) }
        for room in rooms { room.resume() }
        for batch in left {
            for call in batch.calls { call.waiter.resume(.failure(error)) }
        }
    }

    // MARK: upkeep

    private var syncDelayMilliseconds: Int {
        switch durability {
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
        do throws(WeirError) {
            if writer.hasWork { haveWorkDone() }
            if durability != .flushed { try writer.sync() }
            try writer.mark()
            watch.wake()
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
        queue.withLock { $0.queue.close(error) }
        let slot = Monitor(false)
        while !queue.withLock({ $0.queue.beginLead() }) {
            _ = slot.wait(milliseconds: 1) { $0 ? true : nil }
        }
        while let group = queue.withLock({ $0.queue.take(keepingLead: true) }) { perform(group) }
        refuse(error)
    }
}
