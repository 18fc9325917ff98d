import Synchronization
public import WeirBase
import WeirFormat

/// How a partitioned stream is made.
public struct PartitionedConfiguration: Sendable, Hashable {
    /// 1 to 1,024. It stays as it was made: with another number, keys would go elsewhere.
    public var partitions: Int
    /// The settings of each of them.
    public var stream: StreamConfiguration

    public init(partitions: Int, _ stream: StreamConfiguration = StreamConfiguration()) {
        self.partitions = partitions
        self.stream = stream
    }

    /// Throws `invalidArgument` for the first setting that is outside its range.
    public func validate() throws(WeirError) { try validate(isCopy: false) }

    func validate(isCopy: Bool) throws(WeirError) {
        try Partition.validate(count: partitions)
        guard isCopy else { return try stream.validate() }
        try stream.validate(segmentBytesMin: Limits.segmentBytesMin)
    }
}

/// Which partition a record goes to.
public enum Routing: Sendable, Hashable {
    /// By the key: records of one key stay together, and in order. Without a key, as `roundRobin`.
    case byKey
    /// This one, counted from 0.
    case partition(Int)
    /// One after the other, whatever the key.
    case roundRobin
}

/// Several streams under one name, with a router in front of them.
///
/// ```swift
/// let orders = try await store.partitionedStream("orders", creating: .init(partitions: 8))
/// let receipt = try await orders.append(key: "42", value: Array("12.50".utf8))
/// print(receipt.partition, receipt.offset)
/// ```
///
/// Each partition is a stream of its own, with its own offsets, gate, consumers and trouble: a
/// partition that stands still leaves the others alone. Order holds within a partition.
/// `Store.merged` reads them together. A key's partition is the MurmurHash3 (32 bits, seed 104729)
/// of its bytes modulo the number of partitions. The hash strategies of the stream protocol's
/// clients for Java, Go, Rust and .NET have it so; Python's rstream has another.
public final class PartitionedStream: Sendable {
    public let name: StreamName
    /// In the order of their numbers. Batches, conditional appends, subscriptions and policies are
    /// theirs.
    public let partitions: [LogStream]
    private let turn = Atomic<Int>(0)
    /// Of consumers, by their names.
    let groups = Lock<[String: WeakGroup]>([:])

    init(_ name: StreamName, _ partitions: [LogStream]) {
        precondition(!partitions.isEmpty, "a partitioned stream without partitions")
        self.name = name
        self.partitions = partitions
    }

    /// The partition of a key, counted from 0. A pure function of the key and their number.
    public func partition(for key: [UInt8]) -> Int {
        unsafe PartitionedStream.partition(for: key.span.bytes, of: partitions.count)
    }

    /// The same for a key that is text.
    public func partition(for key: String) -> Int { partition(for: Array(key.utf8)) }

    /// The partition of a key where there are `count` of them.
    public static func partition(for key: RawSpan, of count: Int) -> Int {
        precondition(count > 0, "a router without partitions")
        return Int(Murmur3.hash(key, seed: Murmur3.routingSeed) % UInt32(clamping: count))
    }

    /// Where a record goes. Takes a turn, where turns are taken. Throws `invalidArgument` for a
    /// partition that is not there.
    public func route(_ key: [UInt8]?, _ routing: Routing = .byKey) throws(WeirError) -> Int {
        switch (routing, key) {
        case (.byKey, let key?): return partition(for: key)
        case (.partition(let index), _):
            guard partitions.indices.contains(index) else {
                throw WeirError(
                    .invalidArgument,
                    "Partition \(index) of \(name) is asked for; expected 0 to "
                        + "\(partitions.count - 1).", at: .init(stream: name.description))
            }
            return index
        case (.byKey, nil), (.roundRobin, _):
            // Wraps at the end of the numbers; the remainder may be negative then.
            let turn = turn.wrappingAdd(1, ordering: .relaxed).oldValue
            return Int(turn.magnitude % UInt(partitions.count))
        }
    }

    /// Appends a record to the partition that the routing chooses, and waits until it is as durable
    /// as the stream promises, or `level` asks.
    ///
    /// Errors and costs are those of `LogStream.append`, and `invalidArgument` for a partition that
    /// is not there.
    @discardableResult
    public func append(
        key: [UInt8]? = nil, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?,
        routing: Routing = .byKey, level: DurabilityLevel? = nil
    ) async throws -> PartitionReceipt {
        let index = try route(key, routing)
        let receipt = try await partitions[index].append(
            key: key, headers: headers, time: time, value: value, level: level)
        return PartitionReceipt(partition: index, receipt: receipt)
    }

    /// The same with a key that is text.
    @discardableResult
    public func append(
        key: String, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?,
        routing: Routing = .byKey, level: DurabilityLevel? = nil
    ) async throws -> PartitionReceipt {
        try await append(
            key: Array(key.utf8), headers: headers, time: time, value: value, routing: routing,
            level: level)
    }

    /// Puts a record on its way and returns at once: many may be under way from one task.
    ///
    /// Throws `wouldBlock` when the gate of that partition is closed, whose name is the error's
    /// place: wait for its `ready()`, and try again. Records of a partition take their offsets in
    /// the order of these calls.
    public func enqueue(
        key: [UInt8]? = nil, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?,
        routing: Routing = .byKey, level: DurabilityLevel? = nil
    ) throws(WeirError) -> PendingPartitionAppend {
        let index = try route(key, routing)
        let partition = partitions[index]
        do throws(WeirError) {
            let append = try partition.enqueue(
                key: key, headers: headers, time: time, value: value, level: level)
            return PendingPartitionAppend(partition: index, append: append)
        } catch {
            throw error.located(.init(stream: partition.name.description))
        }
    }

    /// The records of a key, from its partition alone: what was appended to another one by its
    /// number is not among them. The position is one in that partition; errors and costs are those
    /// of `LogStream.records(key:from:)`.
    public func records(
        key: [UInt8], from start: StartPosition = .first
    ) throws(WeirError) -> KeyedRecords {
        try partitions[partition(for: key)].records(key: key, from: start)
    }

    /// The same for a key that is text, in UTF-8.
    public func records(
        key: String, from start: StartPosition = .first
    ) throws(WeirError) -> KeyedRecords {
        try records(key: Array(key.utf8), from: start)
    }

    /// Sets the policy of every partition's gate. Each is a gate of its own, with permits and lag
    /// of its own; errors as `LogStream.setProducerPolicy`.
    public func setProducerPolicy(_ policy: ProducerPolicy) throws(WeirError) {
        for partition in partitions { try partition.setProducerPolicy(policy) }
    }
}

/// What became of an append, and in which partition.
public struct PartitionReceipt: Sendable, Hashable {
    public let partition: Int
    public let receipt: Receipt

    /// In the partition.
    public var offset: Offset { receipt.offset }
    public var level: DurabilityLevel { receipt.level }
}

/// An append to a partition, under way.
public struct PendingPartitionAppend: Sendable {
    public let partition: Int
    let append: PendingAppend

    /// Waits for the outcome. May be asked any number of times.
    public func receipt() async throws -> PartitionReceipt {
        PartitionReceipt(partition: partition, receipt: try await append.receipt())
    }
    public var isFinished: Bool { append.isFinished }
}
