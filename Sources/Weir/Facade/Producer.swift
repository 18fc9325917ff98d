public import WeirBase
import WeirFlow
import WeirFormat
import WeirLog

/// A named producer of a stream: what it sends twice is appended once.
///
/// ```swift
/// let loader = try await orders.producer("loader")
/// let done = Int(loader.lastPublishingID ?? 0)
/// for (index, line) in lines.enumerated().dropFirst(done) {
///     try await loader.append(value: Array(line.utf8), id: UInt64(index + 1))
/// }
/// ```
///
/// Every append carries a *publishing id* that the producer chooses, and that rises from append to
/// append; holes are allowed. An id that is not above the last one is a repeat: its records are not
/// written, and it is acknowledged (`Receipt.isDuplicate`) when the original is as durable as this
/// call asks for, or fails if the original fails. So a producer that got no receipt, whatever the
/// reason, sends again until it gets one.
///
/// **What survives.** The last id is written with the records, in one batch: after a crash exactly
/// those appends are repeats whose records are there.
///
/// **Order.** One sequence of ids is one producer's: appends of one name are made one after the
/// other, or by `enqueue`. If one fails, those behind it fail as well, and a higher id is not taken
/// until the failed one was sent again or the producer was asked for anew.
///
/// **Forgetting.** A stream remembers the 4,096 producers that appended last
/// (`Limits.producersMax`). One that was forgotten, since so many others appended after it, starts
/// anew: what it repeats then is written again.
public struct Producer: Sendable {
    let stream: LogStream
    let committer: Committer
    let id: ProducerName

    /// As it was asked for.
    public var name: String { id.description }

    /// The last publishing id in the log, whoever appended it; `nil` if there is none, or if the
    /// producer was forgotten. Appends under way do not count yet. Costs a lock.
    public var lastPublishingID: UInt64? {
        committer.writer.producers.last(of: id)?.lastPublishingID
    }

    /// Appends a record, unless it is a repeat; errors and cost as `LogStream.append`.
    @discardableResult
    public func append(
        key: [UInt8]? = nil, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?,
        level: DurabilityLevel? = nil, id number: UInt64
    ) async throws -> Receipt {
        let level = level ?? stream.acknowledgedLevel
        let size = Credit.record(key: key?.count, headers: headers, value: value?.count ?? 0)
        let publishing = Publishing(name: id, id: number)
        return try await stream.send(through: committer) { passage, waiter throws(WeirError) in
            try committer.enqueue(
                size, passage, level: level, waiter: waiter, publishing: publishing
            ) { builder throws(WeirError) in
                try builder.append(key: key, headers: headers, time: time, value: value)
            }
        }
    }

    /// The same with a key that is text.
    @discardableResult
    public func append(
        key: String, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?,
        level: DurabilityLevel? = nil, id number: UInt64
    ) async throws -> Receipt {
        try await append(
            key: Array(key.utf8), headers: headers, time: time, value: value, level: level,
            id: number)
    }

    /// Appends all records of a batch under one id, whole or not at all, and empties it, also if it
    /// is a repeat. When it throws, the batch still has its records.
    @discardableResult
    public func append(
        _ batch: inout Batch, level: DurabilityLevel? = nil, id number: UInt64
    ) async throws -> Receipt {
        try await stream.append(
            &batch, level: level, publishing: Publishing(name: id, id: number))
    }

    /// Puts a record on its way and returns at once, as `LogStream.enqueue` does.
    public func enqueue(
        key: [UInt8]? = nil, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?,
        level: DurabilityLevel? = nil, id number: UInt64
    ) throws(WeirError) -> PendingAppend {
        let slot = AppendSlot()
        let size = Credit.record(key: key?.count, headers: headers, value: value?.count ?? 0)
        let entry = try committer.enqueue(
            size, .asksAtOnce, level: level ?? stream.acknowledgedLevel, waiter: .thread(slot),
            publishing: Publishing(name: id, id: number)
        ) { builder throws(WeirError) in
            try builder.append(key: key, headers: headers, time: time, value: value)
        }
        if case .queued(let action) = entry { committer.follow(action) }
        return PendingAppend(slot: slot)
    }
}

/// A named producer for a thread of one's own, as `SyncWriter` is a writer for one; the rules are
/// those of `Producer`.
public struct SyncProducer: Sendable {
    let writer: SyncWriter
    let producer: Producer

    public var name: String { producer.name }
    /// As `Producer.lastPublishingID`.
    public var lastPublishingID: UInt64? { producer.lastPublishingID }

    /// Appends a record, unless it is a repeat; errors as `LogStream.append`.
    @discardableResult
    public func append(
        key: [UInt8]? = nil, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?,
        level: DurabilityLevel? = nil, id number: UInt64
    ) throws(WeirError) -> Receipt {
        let size = Credit.record(key: key?.count, headers: headers, value: value?.count ?? 0)
        return try writer.append(size, level: level, publishing: publishing(number)) {
            builder throws(WeirError) in
            try builder.append(key: key, headers: headers, time: time, value: value)
        }
    }

    /// Appends a batch under one id, whole or not at all, and empties it, also if it is a repeat.
    @discardableResult
    public func append(
        _ batch: inout Batch, level: DurabilityLevel? = nil, id number: UInt64
    ) throws(WeirError) -> Receipt {
        try writer.append(&batch, level: level, publishing: publishing(number))
    }

    /// A batch of another log; its id is the offset there behind it. Flushed, not durable.
    func adopt(
        _ batch: inout Batch, _ adoption: BatchAdoption
    ) throws(WeirError) -> Receipt {
        try writer.append(
            &batch, level: .flushed, publishing: publishing(adoption.end.value),
            adoption: adoption)
    }

    private func publishing(_ number: UInt64) -> Publishing {
        Publishing(name: producer.id, id: number)
    }
}

/// What a stream remembers of a producer.
public struct ProducerInfo: Sendable, Hashable {
    public let name: String
    /// The last one in the log.
    public let publishingID: UInt64
    /// The first record of the append that had it.
    public let offset: Offset
}

extension LogStream {
    /// The producers that the stream remembers, sorted by name: what is in the log, not what is
    /// under way. Works in a reading process too.
    ///
    /// Costs a read of a footer, and of the headers of what was appended behind it, where no
    /// producer was asked for in this process. Throws what the medium said, `newerFormat`, and
    /// `damaged` where not all of them can be told.
    public func producers() throws(WeirError) -> [ProducerInfo] {
        if engine.isReadOnly { try engine.refresh(open) }
        let known = committer?.writer.producers.snapshot
        let table = if let known { known } else { try view.producers() }
        return table.rows.map {
            ProducerInfo(
                name: $0.name.description, publishingID: $0.lastPublishingID, offset: $0.offset)
        }
        .sorted { $0.name < $1.name }
    }

    /// A named producer of this stream, new or known. The name has 1 to 255 bytes of UTF-8.
    ///
    /// The first time it reads what the log says of producers: a footer, and the headers of what
    /// was appended behind it by an earlier writer. Throws `invalidArgument` for a name that is
    /// empty or too long or a store that is open for reading, `newerFormat`, what the medium said,
    /// and `damaged` where a footer does not hold that alone told of producers: an append that is
    /// sent again might be taken twice. `weir repair` ends that.
    public func producer(_ name: String) async throws -> Producer {
        let id = try ProducerName(name)
        let committer = try writable()
        try await pool.call { () throws(WeirError) in try committer.loadProducers() }
        return makeProducer(id, committer)
    }

    func makeProducer(_ id: ProducerName, _ committer: Committer) -> Producer {
        committer.queue.withLock { $0.queue.forgive(id) }
        return Producer(stream: self, committer: committer, id: id)
    }
}

extension SyncWriter {
    /// A named producer that appends on this writer's thread; as `LogStream.producer`, and blocks
    /// the thread while it reads.
    public func producer(_ name: String) throws(WeirError) -> SyncProducer {
        let id = try ProducerName(name)
        try committer.loadProducers()
        return SyncProducer(writer: self, producer: stream.makeProducer(id, committer))
    }
}
