public import WeirBase
import WeirFlow

/// A group of consumers at one moment: who works on which partition, and which one is hot.
public struct GroupReport: Sendable, Hashable, Codable {
    public var stream: String
    public var group: String
    /// Which mechanisms of flow control are on for it, such as `adaptive+prefetch`.
    public var variant: String
    public var leaseMilliseconds: Int
    public var members: [Member]
    /// In the order of their numbers.
    public var partitions: [Partition]

    public struct Member: Sendable, Hashable, Codable {
        public var name: String
        public var partitions: [Int]
        /// Whether it asks for a batch at this moment.
        public var isWaiting: Bool
        /// Not heard of for the time of the lease: it gets nothing before it is.
        public var isAway: Bool
    }

    public struct Partition: Sendable, Hashable, Codable {
        public var partition: Int
        public var stream: String
        /// Who has it, and who gets it when its batch is given back; `nil` for nobody.
        public var member: String?
        public var next: String?
        /// Whether a batch of it is out.
        public var isAtWork: Bool
        /// The lease is over, and nobody has taken the partition over.
        public var hasLapsed: Bool
        /// Until the lease lapses if nothing is heard; `nil` while the member asks, or commits.
        public var leaseMilliseconds: Int?
        /// Where the group's cursor stands; `nil` if it never committed, or cannot be read.
        public var committedOffset: UInt64?
        public var endOffset: UInt64
        /// What lies before the cursor, or the group's start: records, about how many bytes they
        /// occupy, and how long ago the first was appended. `nil` where it cannot be read.
        public var lagRecords: Int?
        public var lagBytes: Int?
        public var lagMicroseconds: Int64?
        /// Delivered to members since the group was made, and a second over the last ten.
        public var deliveredRecords: Int
        public var deliveredBytes: Int
        public var recordsPerSecond: Double
        /// Why its position or lag cannot be read.
        public var problem: String?
    }

    /// The partition that most records lie before; of equals, the one that delivers the most.
    public var hottest: Partition? {
        partitions.max {
            ($0.lagRecords ?? 0, $0.recordsPerSecond) < ($1.lagRecords ?? 0, $1.recordsPerSecond)
        }
    }
}

extension ConsumerGroup {
    /// What an operator sees of the group. May wait for the disk, on a thread of Weir's: it looks
    /// at a block index and a batch of each partition. Nothing waits for it.
    public func report() async throws -> GroupReport {
        try await stream.partitions[0].waiters.call { () throws(WeirError) in
            self.reportBlocking()
        }
    }

    /// As `report`, and blocks the thread.
    public func reportBlocking() -> GroupReport {
        var report = act { state, now in
            GroupReport(
                stream: stream.name.description, group: name, variant: "\(variant)",
                leaseMilliseconds: Int(options.lease.nanoseconds / 1_000_000),
                members: state.members,
                partitions: stream.partitions.indices.map { partition in
                    state.report(
                        partition, stream.partitions[partition].name.description, at: now)
                })
        }
        for index in report.partitions.indices { addLag(to: &report.partitions[index]) }
        return report
    }

    private func addLag(to row: inout GroupReport.Partition) {
        let partition = stream.partitions[row.partition]
        row.endOffset = partition.endOffset.value
        do throws(WeirError) {
            let committed = try partition.savedCursor(name).position?.offset
            row.committedOffset = committed?.value
            let lag = try partition.lag(from: committed ?? firstStart(of: row.partition))
            row.lagRecords = lag.records
            row.lagBytes = lag.bytes
            row.lagMicroseconds = lag.time.map { $0.nanoseconds / 1000 }
        } catch {
            row.problem = error.description
        }
    }
}

extension GroupState {
    var members: [GroupReport.Member] {
        memberNames.map { name in
            GroupReport.Member(
                name: name, partitions: partitions(of: name), isWaiting: isWaiting(name),
                isAway: book.isAway(name))
        }
    }

    func report(_ partition: Int, _ stream: String, at now: Moment) -> GroupReport.Partition {
        let row = book.row(partition, at: now)
        let meter = meters[partition]
        return GroupReport.Partition(
            partition: partition, stream: stream, member: row.holder, next: row.next,
            isAtWork: row.isAtWork, hasLapsed: row.hasLapsed,
            leaseMilliseconds: row.remainingNanoseconds.map { Int($0 / 1_000_000) },
            endOffset: 0, deliveredRecords: meter.records, deliveredBytes: meter.bytes,
            recordsPerSecond: meter.recordsPerSecond(at: now))
    }
}

extension Store {
    /// The groups that are there now, of all partitioned streams or of one, by stream and name.
    /// Throws `notFound` where there is no partitioned stream of the name, `closed`. Costs what
    /// each group's `report` does.
    public func groups(of stream: String? = nil) async throws -> [GroupReport] {
        try await waiters.call { () throws(WeirError) in try self.groupsBlocking(of: stream) }
    }

    /// As `groups`, and blocks the thread.
    public func groupsBlocking(of stream: String? = nil) throws(WeirError) -> [GroupReport] {
        if let stream {
            return try partitionedStreamBlocking(stream).openGroups.map { $0.reportBlocking() }
        }
        let streams = state.withLock { Array($0.groups.values) }
        return streams.sorted { $0.name.description < $1.name.description }
            .flatMap { $0.openGroups.map { $0.reportBlocking() } }
    }

    /// The groups of a store that another process has open for writing. Blocks the thread, for at
    /// most some seconds. Errors as `flowReport(ofStoreAt:stream:)`.
    public static func groups(
        ofStoreAt path: String, stream: String? = nil
    ) throws(WeirError) -> [GroupReport] {
        let client = try ControlClient(path: path)
        return try client.ask(GroupRequest(stream: stream), for: GroupAnswer.self).groups
    }

    /// Answers what other processes ask of the groups.
    func serveGroups(_ commands: ControlCommands) {
        commands.register("groups") {
            [weak self] (request: GroupRequest) throws(WeirError) in
            guard let self else { throw Store.closed() }
            return GroupAnswer(groups: try self.groupsBlocking(of: request.stream))
        }
    }
}

/// What another process asks of the writer: `{"command":"groups","stream":"orders"}`, answered with
/// `{"groups":[…]}`.
private struct GroupRequest: Codable {
    var command = "groups"
    var stream: String?
}

private struct GroupAnswer: Codable {
    var groups: [GroupReport]
}
