public import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// The batches of a stream as an asynchronous sequence, without an end until the task's own.
///
/// Asking for a batch is the demand: nothing is read before, and then at most a window. Reading
/// happens on Weir's threads, never on Swift's.
///
/// Records that are missing are told by `SubscriptionElement.gap` in `events()`; the plain sequence
/// steps over them, which `gapCount` counts.
public struct Subscription: AsyncSequence, Sendable {
    public typealias Element = RecordBatch
    let stream: LogStream
    let start: StartPosition
    let reading: Reading
    let window: Window

    public func makeAsyncIterator() -> Iterator {
        Iterator(events: events().makeAsyncIterator())
    }

    /// The same with gaps: an event for each stretch of records that are not there.
    public func events() -> Events { Events(subscription: self) }

    public struct Iterator: AsyncIteratorProtocol {
        var events: Events.Iterator
        /// Gaps that were stepped over.
        public private(set) var gapCount = 0

        init(events: Events.Iterator) { self.events = events }

        public mutating func next() async throws -> RecordBatch? {
            while let event = try await events.next() {
                switch event {
                case .batch(let batch): return batch
                case .gap: gapCount += 1
                }
            }
            return nil
        }
    }
}

/// A batch, or records that are missing.
public enum SubscriptionEvent: Sendable {
    case batch(RecordBatch)
    case gap(Gap)
}

/// A subscription's batches and gaps.
public struct Events: AsyncSequence, Sendable {
    public typealias Element = SubscriptionEvent
    let subscription: Subscription

    public func makeAsyncIterator() -> Iterator {
        Iterator(reader: SubscriptionReader(subscription))
    }

    public struct Iterator: AsyncIteratorProtocol {
        let reader: SubscriptionReader
        private var buffer: [SubscriptionEvent] = []

        init(reader: SubscriptionReader) { self.reader = reader }

        /// The next event; `nil` when the task was cancelled.
        ///
        /// Throws `closed`, `damaged` where a mapped page vanished under the last batch, and what
        /// the medium said. May be asked again after an error.
        public mutating func next() async throws -> SubscriptionEvent? {
            try reader.checkLast()
            while buffer.isEmpty {
                if Task.isCancelled { return nil }
                buffer = try await reader.fill().reversed()
                if buffer.isEmpty { await reader.waitForMore() }
            }
            let event = buffer.removeLast()
            reader.noteLast(event)
            return event
        }
    }
}

/// The part of a subscription that blocks: owns the cursor, one call at a time.
final class SubscriptionReader: @unchecked Sendable {
    // @unchecked: an iterator awaits each call before it makes the next.
    private let subscription: Subscription
    private var cursor: Cursor?
    private var last: RecordBatch?

    init(_ subscription: Subscription) { self.subscription = subscription }

    /// Reads up to a window; empty at the end.
    func fill() async throws -> [SubscriptionEvent] {
        try await subscription.stream.pool.call { () throws(WeirError) in try self.read() }
    }

    private func read() throws(WeirError) -> [SubscriptionEvent] {
        if subscription.stream.isClosed { throw Store.closed() }
        if cursor == nil {
            cursor = try subscription.stream.cursor(
                from: subscription.start, reading: subscription.reading)
        }
        var events: [SubscriptionEvent] = []
        var bytes = 0
        var records = 0
        while bytes < subscription.window.bytes, records < subscription.window.records {
            switch try cursor?.next() {
            case .batch:
                guard let lent = cursor?.lend() else { return events }
                bytes += lent.header.rawBodyLength
                records += lent.header.recordCount
                events.append(.batch(RecordBatch(lent)))
            case .gap(let gap): events.append(.gap(gap))
            case .end, nil: return events
            }
        }
        return events
    }

    /// Waits until there is more to see than the cursor has seen, or the task is cancelled.
    func waitForMore() async {
        let stream = subscription.stream
        let wanted = cursor?.nextOffset ?? .zero
        let view = stream.view
        guard stream.engine.isReadOnly else {
            return await stream.watch.wait { view.visibleEnd > wanted || stream.isClosed }
        }
        // A reading process waits on a thread, a second at a time, so that it sees a cancellation.
        do {
            try await stream.waiters.call { () throws(WeirError) in
                try stream.engine.wait(stream.open, beyond: wanted, milliseconds: 1000)
            }
        } catch {
            // The next reading meets the same failure and tells it.
            return
        }
    }

    func noteLast(_ event: SubscriptionEvent) {
        if case .batch(let batch) = event { last = batch } else { last = nil }
    }

    /// Whether the batch that was handed out kept its bytes while it was used.
    func checkLast() throws(WeirError) {
        guard let batch = last, !batch.lent.isIntact else { return }
        last = nil
        throw WeirError.damaged(
            "Pages of a segment vanished while a batch was read: the file was cut, or its medium "
                + "fails. Read it with copying, and check the disk", offset: batch.firstOffset)
    }
}
