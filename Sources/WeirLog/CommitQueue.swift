package import WeirBase
package import WeirFormat

/// What waits to be written, and who writes it: the decider of group commit.
///
///     appenders            queue                         leader (one at a time)
///     append  ──record──▶  [open batch]
///     append  ──batch───▶  [ready][ready][open]  ──▶  take: write each, one sync for all
///             ◀─────────────── receipts ─────────────  finish: take again, or stop leading
///
/// The first who finds no leader becomes it; the others wait. There is no timer: while a sync runs,
/// the next group gathers. How much may wait is not decided here: each call holds permits of the
/// stream's gate, given back when its outcome is known. Nothing here writes, waits or calls back;
/// every event returns what its caller must do, and the whole value stands behind one lock.
///
/// `Waiter` is whatever the caller resumes when the outcome is known.
package struct CommitQueue<Waiter: Sendable>: ~Copyable, Sendable {
    /// One appending call's share of a batch.
    package struct Call: Sendable {
        package let firstIndex: Int
        package let recordCount: Int
        package let level: DurabilityLevel
        /// Held until the outcome is known.
        package let permits: Credit
        package let waiter: Waiter
    }

    /// A batch on its way to the log. Owned by the queue, then by the leader, never by two.
    package final class Batch: @unchecked Sendable {
        // @unchecked: handed from the queue (under its lock) to the one leader and back.
        package var builder: BatchBuilder
        package var calls: [Call] = []
        package var expecting: Offset?
        /// Named producers whose appends are in it; mostly none.
        package internal(set) var marks: [ProducerMark] = []
        /// Of a batch that was appended to another log before.
        package var adoption: BatchAdoption?
        /// Where the builder goes when the batch is done: back to the caller who lent it.
        package var isLent: Bool

        package init(builder: consuming BatchBuilder, isLent: Bool) {
            self.builder = builder
            self.isLent = isLent
        }

        package var needsSync: Bool { calls.contains { $0.level == .durable } }
    }

    package enum Action: Sendable, Hashable {
        /// The caller must see to it that somebody leads: itself, or one of Weir's threads.
        case lead
        /// A leader is at work and will take it.
        case wait
    }

    package let batchBytesMax: Int
    package private(set) var isLed = false
    var open: Batch?
    var ready: [Batch] = []
    /// Appends that had been sent before, and wait for the leader's word.
    var repeats: [Repeat] = []
    /// Producers with appends under way: as many as there are calls under way, at most.
    var underWay: [ProducerName: UnderWay] = [:]
    /// Producers of whom an append failed that was not sent again, `Limits.producersMax` at most.
    var failures: [ProducerName: Failure] = [:]
    /// Buffers of finished batches; two are enough for one to gather while one is written.
    private var spare: [Batch] = []
    private static var spareMax: Int { 2 }
    @Rare package private(set) var refusal: WeirError? = nil

    package init(batchBytesMax: Int) {
        self.batchBytesMax = batchBytesMax
    }

    package var isEmpty: Bool {
        ready.isEmpty && repeats.isEmpty && (open?.builder.isEmpty ?? true)
    }

    /// Adds one record by `encode` to the open batch.
    ///
    /// `encode` returns `false` if the record does not fit into the batch that it is given. Throws
    /// `tooLarge` for a record that fits into no batch of this stream, and whatever refuses all
    /// appends: `poisoned`, `closed`.
    package mutating func append(
        permits: Credit, level: DurabilityLevel, waiter: Waiter, publishing: Publishing? = nil,
        encode: (inout BatchBuilder) throws(WeirError) -> Bool
    ) throws(WeirError) -> Action {
        if let refusal { throw refusal }
        let batch = try room(for: publishing, encode)
        if let publishing { note(publishing, in: batch, index: batch.builder.recordCount - 1) }
        batch.calls.append(
            Call(
                firstIndex: batch.builder.recordCount - 1, recordCount: 1, level: level,
                permits: permits, waiter: waiter))
        return led()
    }

    /// The open batch, with the record in it.
    private mutating func room(
        for publishing: Publishing?, _ encode: (inout BatchBuilder) throws(WeirError) -> Bool
    ) throws(WeirError) -> Batch {
        let current = open ?? takeSpare()
        open = current
        if hasRoom(in: current, for: publishing), try encode(&current.builder) { return current }
        guard !current.builder.isEmpty else { throw tooLarge() }
        ready.append(current)
        let next = takeSpare()
        open = next
        guard try encode(&next.builder) else { throw tooLarge() }
        return next
    }

    /// Adds a whole batch that its caller filled; it is written as one, or not at all.
    package mutating func append(
        _ batch: Batch, permits: Credit, level: DurabilityLevel, waiter: Waiter,
        publishing: Publishing? = nil
    ) throws(WeirError) -> Action {
        if let refusal { throw refusal }
        let byteCount = batch.builder.bodyByteCount
        guard byteCount <= batchBytesMax else {
            throw WeirError(
                .tooLarge,
                "The batch has \(byteCount) bytes; this stream takes at most \(batchBytesMax) a "
                    + "batch. Append fewer records at once, or create the stream with a larger "
                    + "batch limit.")
        }
        // Records that came before it are written before it.
        if let current = open, !current.builder.isEmpty {
            ready.append(current)
            open = nil
        }
        batch.calls = [
            Call(
                firstIndex: 0, recordCount: batch.builder.recordCount, level: level,
                permits: permits, waiter: waiter)
        ]
        if let publishing { note(publishing, in: batch, index: 0) }
        ready.append(batch)
        return led()
    }

    mutating func led() -> Action {
        if isLed { return .wait }
        isLed = true
        return .lead
    }

    /// Leads for a reason of the caller's own, such as upkeep; `false` if somebody leads already.
    package mutating func beginLead() -> Bool {
        if isLed { return false }
        isLed = true
        return true
    }

    /// Ends a lead that was begun for another reason; `false` if something waits for the leader.
    package mutating func endLead() -> Bool {
        precondition(isLed, "a lead was ended that nobody had")
        guard isEmpty else { return false }
        isLed = false
        return true
    }

    /// Lets the memory of finished batches go, where nothing waits.
    package mutating func releaseMemory() {
        guard isEmpty else { return }
        open = nil
        ready = []
        spare = []
    }

    /// Whether nothing is taken any more.
    package var isClosed: Bool { refusal != nil }

    /// Takes nothing more; what waits stays, and is the leader's still.
    package mutating func close(_ error: WeirError) { refusal = refusal ?? error }

    /// The leader's next work: everything that waits. `nil` ends the lead, unless it is kept.
    package mutating func take(keepingLead: Bool = false) -> [Batch]? {
        precondition(isLed, "a group was taken without a lead")
        if let current = open, !current.builder.isEmpty {
            ready.append(current)
            open = nil
        }
        guard !ready.isEmpty || !repeats.isEmpty else {
            isLed = keepingLead
            return nil
        }
        let group = ready
        ready.removeAll(keepingCapacity: true)
        return group
    }

    /// Takes a finished batch's memory back for the next one.
    package mutating func recycle(_ batch: Batch) {
        guard !batch.isLent, spare.count < Self.spareMax else { return }
        batch.builder.removeAll()
        batch.calls.removeAll(keepingCapacity: true)
        batch.expecting = nil
        batch.marks.removeAll(keepingCapacity: true)
        spare.append(batch)
    }

    /// Takes nothing more, and gives back what waits, so that its callers can be told why.
    package mutating func refuse(_ error: WeirError) -> [Batch] {
        refusal = refusal ?? error
        var left = ready
        if let current = open, !current.builder.isEmpty { left.append(current) }
        ready = []
        open = nil
        return left
    }

    private mutating func takeSpare() -> Batch {
        spare.popLast() ?? Batch(builder: BatchBuilder(byteLimit: batchBytesMax), isLent: false)
    }

    private func tooLarge() -> WeirError {
        WeirError(
            .tooLarge,
            "The record does not fit into a batch of this stream, which takes at most "
                + "\(batchBytesMax) bytes. Create the stream with a larger batch limit "
                + "(up to \(Limits.batchBytesMax)).")
    }
}
