public import WeirBase
import WeirFiles
import WeirFlow

/// How a group of consumers reads.
public struct GroupOptions: Sendable, Hashable {
    /// Where a partition begins that the group never committed. Looked up once, when the first
    /// member joins, so that whoever takes a partition over begins where the one before began.
    public var start: StartPosition
    /// A member that is not heard of for so long loses its partitions to others; one that holds a
    /// batch for so long, that batch's. A second to a day.
    public var lease: Duration
    /// Of each partition's subscription. Its consumer's name is the group's; not `manual`.
    public var subscription: SubscriptionOptions

    public init(
        start: StartPosition = .first, lease: Duration = .seconds(30),
        subscription: SubscriptionOptions = SubscriptionOptions()
    ) {
        self.start = start
        self.lease = lease
        self.subscription = subscription
    }

    /// Throws `invalidArgument` for the first option that is outside its range.
    public func validate() throws(WeirError) {
        guard lease >= .seconds(1), lease <= .seconds(86_400) else {
            throw WeirError(
                .invalidArgument, "The lease is \(lease); expected a second to a day.")
        }
        guard subscription.mode != .manual else {
            throw WeirError(
                .invalidArgument,
                "The subscriptions of a group are manual, and nobody could grant them credit; "
                    + "choose another mode.")
        }
        if case .cursor(let name) = start { _ = try StreamName(name, what: "cursor") }
        try subscription.validate()
    }
}

/// Consumers that share the partitions of a stream.
///
/// ```swift
/// let billing = try orders.group("billing")
/// let member = try await billing.join("worker-1")
/// for try await batch in member {
///     for record in batch { try await charge(record) }
///     try await member.commit(batch)
/// }
/// ```
///
/// Each partition belongs to one member at a time, and each member has as many as any other, or
/// one more. Partitions move only as far as that needs when members come and go; with more members
/// than partitions, some wait and take over. A partition's position is the cursor of the group's
/// name in its stream: durable, and the truth. Who has which partition is known in this process
/// alone, and forgotten with it.
///
/// At least once: whoever takes a partition over begins behind the last commit, so records that
/// were delivered and not committed come again.
public final class ConsumerGroup: Sendable {
    public let name: String
    public let options: GroupOptions
    let stream: PartitionedStream
    private let around: GroupSurroundings
    private let state: Lock<GroupState>

    init(
        _ name: String, of stream: PartitionedStream, _ options: GroupOptions,
        around: GroupSurroundings
    ) {
        self.name = name
        self.options = options
        self.stream = stream
        self.around = around
        state = Lock(
            GroupState(
                partitionCount: stream.partitions.count,
                leaseNanoseconds: options.lease.nanoseconds, at: around.now()))
    }

    deinit { stream.forget(name) }

    /// Comes into the group, which shares its partitions anew. The member reads nothing before it
    /// is asked for a batch, and leaves when nobody holds it any more.
    ///
    /// Throws `alreadyExists` for a name that a member has, `invalidArgument` for one outside the
    /// set that streams' names have, `exhausted` beyond 4,096 members, `closed`; the first one may
    /// wait for the disk, where the start is a time.
    public func join(_ member: String) async throws -> GroupMember {
        let member = try StreamName(member, what: "member").description
        if state.withLock({ $0.starts == nil }) {
            try await stream.partitions[0].waiters.call { () throws(WeirError) in
                try self.lookUpStarts()
            }
        }
        let seat = stream.partitions[0].flow.nextKey()
        try act { (state, now) throws(WeirError) in
            try state.join(member, seat: seat, at: now)
        }
        return GroupMember(member, seat: seat, in: self)
    }

    private func lookUpStarts() throws(WeirError) {
        var starts: [Offset] = []
        for partition in stream.partitions {
            do throws(WeirError) {
                starts.append(try partition.offset(of: options.start))
            } catch {
                throw error.located(.init(stream: partition.name.description))
            }
        }
        // Of two that come first at once, the second begins where the first does.
        state.withLock { if $0.starts == nil { $0.starts = starts } }
    }

    /// The members, sorted by their names.
    public var memberNames: [String] { state.withLock { $0.memberNames } }

    // MARK: deciding and performing

    /// Decides under the lock, and performs what was decided outside it. The clock is read under
    /// the lock, too: whoever waited for it would come with an earlier time than the one before,
    /// and a lease would begin in the past.
    func act<Result, Failure: Error>(
        _ body: (inout GroupState, Moment) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var effects: [GroupEffect] = []
        defer { for effect in effects { perform(effect) } }
        return try state.withLock { state throws(Failure) in
            defer { swap(&effects, &state.effects) }
            return try body(&state, around.now())
        }
    }

    private func perform(_ effect: GroupEffect) {
        switch effect {
        case .resume(let asker, let outcome): asker.resume(outcome)
        case .ask(let claim, let member): ask(claim, for: member)
        case .end(let claim): claim.end()
        case .note(let kind, let partition, let detail): note(kind, partition, detail)
        case .look(let nanoseconds):
            around.after(nanoseconds) { [weak self] in self?.act { $0.look(at: $1) } }
        }
    }

    /// As its subscriptions that begin now have it.
    var variant: FlowVariant { stream.partitions[0].flow.variant(for: name) }

    func note(_ kind: SignalKind, _ partition: Int, _ detail: String) {
        let stream = stream.partitions[partition]
        stream.flow.signals.note(
            kind,
            stream.source(name, variant),
            detail: detail)
    }

    /// Has a claim's subscription bring the next batch.
    private func ask(_ claim: GroupClaim, for member: String) {
        let stream = stream.partitions[claim.partition]
        let tell: @Sendable (Result<RecordBatch?, WeirError>) -> Void = { [weak self] outcome in
            let outcome = outcome.mapError {
                $0.located(.init(stream: stream.name.description))
            }
            self?.act { $0.arrived(claim, of: member, outcome, at: $1) }
        }
        do throws(WeirError) {
            let consumer = try claim.consumer { () throws(WeirError) in
                try stream.subscribe(
                    from: try start(of: claim.partition), as: name, options.subscription
                ).consumer
            }
            consumer?.ask(tell)
        } catch {
            tell(.failure(error))
        }
    }

    private func start(of partition: Int) throws(WeirError) -> StartPosition {
        let cursor = try stream.partitions[partition].savedCursor(name)
        if try cursor.position != nil { return .cursor(name) }
        return .offset(firstStart(of: partition))
    }

    /// Where the group begins there, if it never committed.
    func firstStart(of partition: Int) -> Offset {
        state.withLock { $0.starts }?[partition] ?? stream.partitions[partition].firstOffset
    }

    /// Nobody gets anything more.
    func finish(_ error: WeirError) { act { state, _ in state.finish(error) } }
}

/// Where a group stands in the world: time, and who calls it back.
struct GroupSurroundings: Sendable {
    var now: @Sendable () -> Moment
    /// Calls once after so many nanoseconds.
    var after: @Sendable (Int64, @escaping @Sendable () -> Void) -> Void

    init(
        now: @escaping @Sendable () -> Moment,
        after: @escaping @Sendable (Int64, @escaping @Sendable () -> Void) -> Void
    ) {
        self.now = now
        self.after = after
    }
}

extension PartitionedStream {
    /// The group of a name; made with the options if there is none in this process. It is there as
    /// long as somebody holds it or a member of it; its positions stay, as cursors of its name.
    ///
    /// Without options, those of the group that is there, or the defaults. Throws
    /// `invalidArgument` for a name outside the set that streams' names have, for options outside
    /// their range or other than those of the group that is there, and in a reading process, whose
    /// members nobody could keep apart from the writer's.
    public func group(
        _ name: String, _ options: GroupOptions? = nil
    ) throws(WeirError) -> ConsumerGroup {
        let timers = partitions[0].flow.timers
        return try group(
            name, options,
            around: GroupSurroundings(
                now: MonotonicClock.now, after: { timers.schedule(after: $0, $1) }))
    }

    func group(
        _ name: String, _ options: GroupOptions?, around: GroupSurroundings
    ) throws(WeirError) -> ConsumerGroup {
        let name = try StreamName(name, what: "group").description
        try options?.validate()
        guard !partitions[0].engine.isReadOnly else {
            throw WeirError(
                .invalidArgument,
                "The store is open for reading only, and the members of a group are tasks of the "
                    + "process that writes; subscribe to the partitions, or open it for writing.")
        }
        let group = groups.withLock { groups -> ConsumerGroup in
            if let known = groups[name]?.group { return known }
            let group = ConsumerGroup(
                name, of: self, options ?? GroupOptions(), around: around)
            groups[name] = WeakGroup(group: group)
            return group
        }
        guard options == nil || options == group.options else {
            throw WeirError(
                .invalidArgument,
                "The group \(name) of \(self.name) is there with other options; ask for it without "
                    + "options, or with the same.")
        }
        if partitions[0].isClosed { group.finish(Store.closed()) }
        return group
    }

    /// Those that are there, sorted by their names.
    var openGroups: [ConsumerGroup] {
        groups.withLock { $0.values.compactMap(\.group) }.sorted { $0.name < $1.name }
    }

    /// Its entry, unless another one of the name is there already.
    func forget(_ group: String) {
        let other = groups.withLock { groups -> ConsumerGroup? in
            if let other = groups[group]?.group { return other }
            groups[group] = nil
            return nil
        }
        // Let go outside the lock: its end comes back here.
        withExtendedLifetime(other) {}
    }

    func finishGroups(_ error: WeirError) { for group in openGroups { group.finish(error) } }
}

/// A group as its stream knows it, without keeping it.
struct WeakGroup: Sendable {
    weak let group: ConsumerGroup?
}
