public import WeirBase
import WeirFlow
import WeirLog

/// A batch of one partition, in the hands of a member.
public struct GroupBatch: Sendable, Sequence {
    /// Counted from 0.
    public let partition: Int
    /// Its records, borrowed or copied.
    public let batch: RecordBatch
    let ticket: LeaseBook.Ticket
    /// Whose it is.
    let seat: UInt64

    public var firstOffset: Offset { batch.firstOffset }
    /// The offset behind it, which a commit makes the group's position.
    public var endOffset: Offset { batch.endOffset }

    /// The records, copied.
    public func makeIterator() -> IndexingIterator<[Record]> { batch.makeIterator() }
}

/// A member of a group: an asynchronous sequence of the batches of its partitions.
///
/// ```swift
/// for try await batch in member {
///     for record in batch { try await charge(record) }
///     try await member.commit(batch)
/// }
/// ```
///
/// A partition's next batch comes when its last one was given back: by `commit`, by `release`, or,
/// in a loop, by asking for the next. Several tasks may loop over one member: each batch goes to
/// one of them, and a partition whose batch takes long leaves the others alone. Partitions take
/// turns, and each has a subscription of its own, with its own credit.
///
/// A member is heard of while it asks, and when it commits, releases or renews. One that is not,
/// for the time of the lease, loses its partitions to others; if only one of its batches is held
/// for as long, that batch's. It is a member still, and gets its share again when it is heard.
///
/// It leaves by `leave()`, when the task that asks is cancelled, and when nobody holds it any more.
/// Then its partitions go on elsewhere at once, from the last commit.
public final class GroupMember: AsyncSequence, Sendable {
    public typealias Element = GroupBatch
    public let name: String
    let group: ConsumerGroup
    private let seat: UInt64

    init(_ name: String, seat: UInt64, in group: ConsumerGroup) {
        self.name = name
        self.seat = seat
        self.group = group
    }

    deinit { leave() }

    /// The partitions that it has now, counted from 0; none for one that waits to take over.
    public var partitions: [Int] {
        group.act { state, _ in
            state.isSeat(seat, of: name) ? state.partitions(of: name) : []
        }
    }

    /// The next batch of any of its partitions; `nil` once the member has left.
    ///
    /// Waits where there is none, or no partition. Throws what a subscription's `nextBatch` does,
    /// with the partition's stream as the place: the next call goes on, with that partition too.
    /// With a timeout, `timedOut` if there is none within it.
    public func nextBatch(timeout: Duration? = nil) async throws -> GroupBatch? {
        if let timeout { try SubscriptionOptions.expect(timeout, "timeout") }
        if Task.isCancelled { leave() }
        let flow = group.stream.partitions[0].flow
        let id = flow.nextKey()
        var timer: TimerID?
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let asker = GroupAsker(id: id) { continuation.resume(returning: $0) }
                group.act { $0.ask(name, seat: seat, asker, at: $1) }
                timer = timeout.map { timeout in
                    flow.timers.schedule(after: timeout.nanoseconds) { [weak self] in
                        guard let self else { return }
                        self.group.act { $0.giveUp(self.name, asker: id, at: $1) }
                    }
                }
            }
        } onCancel: {
            leave()
        }
        if let timer { flow.timers.cancel(timer) }
        return try batch(outcome)
    }

    private func batch(_ outcome: MemberOutcome) throws(WeirError) -> GroupBatch? {
        switch outcome {
        case .batch(let batch, let ticket):
            return GroupBatch(
                partition: ticket.partition, batch: batch, ticket: ticket, seat: seat)
        case .failure(let error): throw error
        case .timedOut:
            throw WeirError(
                .timedOut,
                "No batch came for the member \(name) of the group \(group.name) within the "
                    + "timeout; ask again, or look with `weir group ls` at who has which "
                    + "partition.")
        case .end: return nil
        }
    }

    /// Everything of the partition up to the batch's end is processed: the group's position there.
    /// Returns when that survives power loss; the batch is given back then.
    ///
    /// Throws `leaseLost` where the partition is another member's by now, whose name is told:
    /// nothing is committed, and the records come to that one. Otherwise as `StreamCursor.commit`,
    /// and the batch is not given back; `damaged` if its pages vanished while it was used. Costs a
    /// share of a sync; no other member gets the partition meanwhile.
    public func commit(_ batch: GroupBatch) async throws {
        try expectOwn(batch)
        guard batch.batch.lent.isIntact else {
            throw WeirError.damaged(
                "Pages of a segment vanished while a batch was read, so it is not committed: the "
                    + "file was cut, or its medium fails. Read it with copying, and check the disk",
                offset: batch.firstOffset)
        }
        let answer = group.act { $0.beginCommit(batch.ticket, by: name, at: $1) }
        if case .refused = answer { group.note(.commitRefused, batch.partition, "member \(name)") }
        try expect(answer, batch)
        var isDurable = false
        defer {
            group.act {
                $0.endCommit(batch.ticket, by: name, isDurable: isDurable, at: $1)
            }
        }
        let cursor = try group.stream.partitions[batch.partition].savedCursor(group.name)
        try await cursor.commit(upTo: batch.endOffset)
        isDurable = true
    }

    /// Gives the batch back without a commit: the partition's next one may come. A later commit of
    /// the partition covers it. Throws `leaseLost`, as `commit`.
    public func release(_ batch: GroupBatch) throws(WeirError) {
        try expectOwn(batch)
        try expect(group.act { $0.release(batch.ticket, by: name, at: $1) }, batch)
    }

    /// The batch is worked on still: its lease begins anew. For work that may take longer than the
    /// lease. Throws `leaseLost`, as `commit`.
    public func renew(_ batch: GroupBatch) throws(WeirError) {
        try expectOwn(batch)
        try expect(group.act { $0.renew(batch.ticket, by: name, at: $1) }, batch)
    }

    /// Leaves the group: its partitions go to others at once, from the last commit, and whoever
    /// waits for a batch gets `nil`. A commit that is under way is waited for by the next owner.
    public func leave() { group.act { $0.leave(name, seat: seat, at: $1) } }

    private func expectOwn(_ batch: GroupBatch) throws(WeirError) {
        guard batch.seat == seat else {
            throw WeirError(
                .invalidArgument,
                "The batch of partition \(batch.partition) was not given to the member \(name) of "
                    + "the group \(group.name); hand it to the member that it came from.")
        }
    }

    private func expect(
        _ answer: LeaseBook.Answer, _ batch: GroupBatch
    ) throws(WeirError) {
        guard case .refused(let holder) = answer else { return }
        let owner = holder.map { "the member \($0) has it now" } ?? "nobody has it now"
        throw WeirError(
            .leaseLost,
            "The lease of the member \(name) of the group \(group.name) for partition "
                + "\(batch.partition) is over, and \(owner); what was not committed is delivered "
                + "again, so throw this batch's work away, or do it such that twice is once.",
            at: .init(
                stream: group.stream.partitions[batch.partition].name.description,
                offset: batch.firstOffset))
    }

    public func makeAsyncIterator() -> Iterator { Iterator(member: self) }

    /// Gives the batch before back when it is asked for the next one.
    public struct Iterator: AsyncIteratorProtocol {
        let member: GroupMember
        private var last: GroupBatch?

        init(member: GroupMember) { self.member = member }

        public mutating func next() async throws -> GroupBatch? {
            if let last {
                self.last = nil
                // Of a lease that is over there is nothing to give back.
                member.group.act {
                    _ = $0.release(last.ticket, by: member.name, at: $1)
                }
            }
            last = try await member.nextBatch()
            return last
        }
    }
}
