public import WeirBase
import WeirFormat
import WeirLog

/// Appends from a thread outside Swift's pool, and blocks it until the outcome is known.
///
/// The thread leads the stream's commit itself when nobody else does. Never use it in a task: it
/// would hold one of the few threads that all tasks share.
public struct SyncWriter: Sendable {
    let stream: LogStream
    let committer: Committer

    /// Appends a record; errors as `LogStream.append`.
    @discardableResult
    public func append(
        key: [UInt8]? = nil, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?,
        level: DurabilityLevel? = nil
    ) throws(WeirError) -> Receipt {
        let size = Credit.record(key: key?.count, headers: headers, value: value?.count ?? 0)
        return try append(size, level: level) { builder throws(WeirError) in
            try builder.append(key: key, headers: headers, time: time, value: value)
        }
    }

    /// Appends a record that is only a value.
    @discardableResult
    public func append(value: RawSpan, level: DurabilityLevel? = nil) throws(WeirError) -> Receipt {
        let size = Credit.record(key: nil, headers: [:], value: value.byteCount)
        return try append(size, level: level) { builder throws(WeirError) in
            builder.append(value: value)
        }
    }

    /// The same from an array.
    @discardableResult
    public func append(value: [UInt8], level: DurabilityLevel? = nil) throws(WeirError) -> Receipt {
        unsafe try append(value: value.span.bytes, level: level)
    }

    func append(
        _ size: Credit, level: DurabilityLevel?, publishing: Publishing? = nil,
        _ encode: (inout BatchBuilder) throws(WeirError) -> Bool
    ) throws(WeirError) -> Receipt {
        let level = level ?? stream.acknowledgedLevel
        return try send { passage, waiter throws(WeirError) in
            try committer.enqueue(
                size, passage, level: level, waiter: waiter, publishing: publishing,
                encode: encode)
        }
    }

    /// Appends a batch, whole or not at all, and empties it; errors as `LogStream.append`.
    @discardableResult
    public func append(
        _ batch: inout Batch, expecting: Offset? = nil, level: DurabilityLevel? = nil
    ) throws(WeirError) -> Receipt {
        try append(&batch, expecting: expecting, level: level, publishing: nil)
    }

    func append(
        _ batch: inout Batch, expecting: Offset? = nil, level: DurabilityLevel?,
        publishing: Publishing?, adoption: BatchAdoption? = nil
    ) throws(WeirError) -> Receipt {
        guard !batch.isEmpty else {
            throw WeirError(.invalidArgument, "The batch is empty; append at least one record.")
        }
        let lent = Committer.Queue.Batch(builder: BatchBuilder(byteLimit: 0), isLent: true)
        lent.expecting = expecting
        lent.adoption = adoption
        swap(&lent.builder, &batch.builder)
        defer { swap(&lent.builder, &batch.builder) }
        let level = level ?? stream.acknowledgedLevel
        let receipt = try send { passage, waiter throws(WeirError) in
            try committer.enqueue(
                lent, passage, level: level, waiter: waiter, publishing: publishing)
        }
        lent.builder.removeAll()
        return receipt
    }

    /// Enqueues, leads if nobody does, and waits; at a closed gate it waits first.
    private func send(
        _ enqueue: (Committer.Passage, AppendWaiter) throws(WeirError) -> Committer.Entry
    ) throws(WeirError) -> Receipt {
        var passage = Committer.Passage.asks
        while true {
            let slot = AppendSlot()
            switch try enqueue(passage, .thread(slot)) {
            case .queued(let action):
                if action == .lead { committer.lead(until: slot) }
                return try slot.wait().get()
            case .atGate(let place):
                try committer.passBlocking(place)
                passage = place.passage
            }
        }
    }
}

extension SyncWriter {
    /// Bytes that a batch of this stream may have.
    public var batchBytesMax: Int { stream.configuration.batchBytesMax }
}
