import Synchronization
public import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// What the streams of a store share.
final class StoreParts: Sendable {
    let engine: SystemEngine
    let pool: ThreadPool
    let waiters: ThreadPool
    let housekeeper: Housekeeper
    let flow: StoreFlow
    let index: StoreIndex
    let cursors: CursorBook
    let upkeep: Upkeep
    /// Opens the stream that keeps the cursors, and makes it if there is none. Blocks the thread.
    let openCursors: @Sendable () throws(WeirError) -> Committer

    init(of store: Store, openCursors: @escaping @Sendable () throws(WeirError) -> Committer) {
        self.engine = store.engine
        self.pool = store.pool
        self.waiters = store.waiters
        self.housekeeper = store.housekeeper
        self.flow = store.flow
        self.index = store.index
        self.cursors = store.cursors
        self.upkeep = store.upkeep
        self.openCursors = openCursors
    }
}

/// A named log in a store.
///
/// Any number of tasks and threads may append and read at once. Appends that wait at the same time
/// share one sync; the order of a task's own appends is kept.
public final class LogStream: Sendable {
    public let name: StreamName
    let open: SystemStream
    let parts: StoreParts
    let watch: TailWatch
    let feeds = StreamFeeds()
    /// Asked by a closing gate; a subscription enters itself.
    package let releaseRequests = ReleaseRequests()
    let committer: Committer?
    /// The end when this process opened the store.
    private let openedEnd: Offset
    private let closed = Atomic(false)

    init(_ open: SystemStream, of parts: StoreParts) {
        self.name = open.name
        self.open = open
        self.openedEnd = open.openedEnd
        self.parts = parts
        let index = parts.index
        let watch = TailWatch { index.note(open) }
        self.watch = watch
        let requests = releaseRequests
        self.committer = open.writer.map {
            Committer(
                writer: $0, pool: parts.pool, watch: watch, housekeeper: parts.housekeeper,
                flow: parts.flow, releaseRequests: requests)
        }
    }

    /// As they are now; in a reading process, as they were when it looked last.
    public var configuration: StreamConfiguration { open.settings }

    var engine: SystemEngine { parts.engine }
    var pool: ThreadPool { parts.pool }
    var waiters: ThreadPool { parts.waiters }
    var flow: StoreFlow { parts.flow }
    var index: StoreIndex { parts.index }
    var view: LogView<RealFileSystem> { open.view }

    /// The first offset that the stream still has.
    public var firstOffset: Offset { view.logStart }
    /// The offset behind the last record that readers see.
    public var endOffset: Offset { view.visibleEnd }
    /// Records appended since this process opened the store, by whomever.
    public var recordsSinceOpen: Int { view.flushedEnd - openedEnd }

    /// What an append waits for unless it says otherwise.
    public var acknowledgedLevel: DurabilityLevel {
        committer?.acknowledgedLevel
            ?? (configuration.durability == .durable ? .durable : .flushed)
    }

    // MARK: appending, one record

    /// Appends a record and waits until it is as durable as the stream promises, or `level` asks.
    ///
    /// Throws `tooLarge`, `noSpace` (nothing was appended; try again when there is space),
    /// `poisoned`, `closed`, `invalidArgument` for one of Weir's own streams; at a closed gate
    /// `timedOut` or `wouldBlock`, as `setProducerPolicy` says, and `CancellationError` for a task
    /// that is cancelled while it waits there. Nothing was appended then. Costs a share of a write
    /// and of a sync.
    @discardableResult
    public func append(
        key: [UInt8]? = nil, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?,
        level: DurabilityLevel? = nil
    ) async throws -> Receipt {
        let committer = try writable()
        let level = level ?? acknowledgedLevel
        let size = Credit.record(key: key?.count, headers: headers, value: value?.count ?? 0)
        return try await send(through: committer) { passage, waiter throws(WeirError) in
            try committer.enqueue(size, passage, level: level, waiter: waiter) {
                builder throws(WeirError) in
                try builder.append(key: key, headers: headers, time: time, value: value)
            }
        }
    }

    /// The same with a key that is text.
    @discardableResult
    public func append(
        key: String, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?,
        level: DurabilityLevel? = nil
    ) async throws -> Receipt {
        try await append(
            key: Array(key.utf8), headers: headers, time: time, value: value, level: level)
    }

    /// Enqueues and waits for the outcome; where the gate is closed, waits there and comes again.
    func send(
        through committer: Committer,
        _ enqueue: (Committer.Passage, AppendWaiter) throws(WeirError) -> Committer.Entry
    ) async throws -> Receipt {
        var passage = Committer.Passage.asks
        while true {
            var failure: WeirError?
            var place: GateWait?
            let result = await withCheckedContinuation {
                (continuation: CheckedContinuation<Result<Receipt, WeirError>?, Never>) in
                do throws(WeirError) {
                    switch try enqueue(passage, .task(continuation)) {
                    case .queued(let action): committer.follow(action)
                    case .atGate(let wait):
                        place = wait
                        continuation.resume(returning: nil)
                    }
                } catch {
                    failure = error
                    continuation.resume(returning: nil)
                }
            }
            if let failure { throw failure }
            if let result { return try result.get() }
            if let place {
                try await committer.pass(place)
                passage = place.passage
            }
        }
    }

    // MARK: appending, many

    /// Appends all records of a batch, visible together or not at all, and empties it.
    ///
    /// With `expecting`, only if the first of them gets that offset: `unexpectedOffset` otherwise.
    /// When it throws, the batch still has its records.
    @discardableResult
    public func append(
        _ batch: inout Batch, expecting: Offset? = nil, level: DurabilityLevel? = nil
    ) async throws -> Receipt {
        try await append(&batch, expecting: expecting, level: level, publishing: nil)
    }

    func append(
        _ batch: inout Batch, expecting: Offset? = nil, level: DurabilityLevel?,
        publishing: Publishing?
    ) async throws -> Receipt {
        let committer = try writable()
        let level = level ?? acknowledgedLevel
        if batch.isEmpty { return try emptyReceipt() }
        let lent = Committer.Queue.Batch(builder: BatchBuilder(byteLimit: 0), isLent: true)
        lent.expecting = expecting
        swap(&lent.builder, &batch.builder)
        // Given back whatever happens; the queue lets go of it before it tells the outcome.
        defer { swap(&lent.builder, &batch.builder) }
        let receipt = try await send(through: committer) { passage, waiter throws(WeirError) in
            try committer.enqueue(
                lent, passage, level: level, waiter: waiter, publishing: publishing)
        }
        lent.builder.removeAll()
        return receipt
    }

    /// Puts a record on its way and returns at once: many may be under way from one task.
    ///
    /// ```swift
    /// var pending: [PendingAppend] = []
    /// for value in values { pending.append(try orders.enqueue(value: value)) }
    /// for append in pending { _ = try await append.receipt() }
    /// ```
    ///
    /// Throws `wouldBlock` when the stream's gate is closed: wait for one of the receipts, or for
    /// `ready()`, and try again. Records take their offsets in the order of these calls.
    public func enqueue(
        key: [UInt8]? = nil, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?,
        level: DurabilityLevel? = nil
    ) throws(WeirError) -> PendingAppend {
        let committer = try writable()
        let slot = AppendSlot()
        let size = Credit.record(key: key?.count, headers: headers, value: value?.count ?? 0)
        let entry = try committer.enqueue(
            size, .asksAtOnce, level: level ?? acknowledgedLevel, waiter: .thread(slot)
        ) { builder throws(WeirError) in
            try builder.append(key: key, headers: headers, time: time, value: value)
        }
        if case .queued(let action) = entry { committer.follow(action) }
        return PendingAppend(slot: slot)
    }

    /// Waits until `enqueue` has room for what it refused last.
    ///
    /// Throws `timedOut` after the timeout of the stream's policy, if it has one, and
    /// `CancellationError`.
    public func ready() async throws { try await writable().ready() }

    /// A writer for a thread of one's own: it writes and syncs by itself when nobody else does,
    /// which spares two changes of thread an append.
    public func syncWriter() throws(WeirError) -> SyncWriter {
        SyncWriter(stream: self, committer: try writable())
    }

    // MARK: the rest

    private func emptyReceipt() throws(WeirError) -> Receipt {
        throw WeirError(.invalidArgument, "The batch is empty; append at least one record.")
    }

    func writable() throws(WeirError) -> Committer {
        guard let committer else { throw StoreEngine<RealFileSystem>.readOnly() }
        guard !name.isSystem else {
            throw WeirError(
                .invalidArgument,
                "The stream \(name) is one of Weir's own, which nobody else appends to; append to "
                    + "a stream of your own, or commit a cursor.")
        }
        return committer
    }

    /// Ends appending in good order, and every subscription.
    func drain(_ error: WeirError = Store.closed()) {
        let isFirst = !closed.exchange(true, ordering: .acquiringAndReleasing)
        if isFirst { committer?.drain(error) }
        feeds.finish(error)
        watch.wake()
    }

    var isClosed: Bool { closed.load(ordering: .acquiring) }
}

/// An append under way.
public struct PendingAppend: Sendable {
    let slot: AppendSlot

    /// Waits for the outcome. May be asked any number of times.
    public func receipt() async throws -> Receipt { try await slot.outcome().get() }
    public var isFinished: Bool { slot.isFinished }
}

extension BatchBuilder {
    mutating func append(
        key: [UInt8]?, headers: Headers, time: Timestamp?, value: [UInt8]?
    ) throws(WeirError) -> Bool {
        var batch = Batch(byteLimit: 0)
        swap(&batch.builder, &self)
        defer { swap(&batch.builder, &self) }
        return try batch.append(key: key, headers: headers, time: time, value: value)
    }
}
