public import WeirBase
import WeirFlow
import WeirLog

/// The batches of a stream as an asynchronous sequence, without an end until the task's own.
///
/// ```swift
/// for try await batch in try orders.subscribe(from: .first) {
///     batch.forEach { record in … }
/// }
/// ```
///
/// Weir's threads read ahead, prove and unpack batches, exactly as far as the consumer's credit
/// allows. The credit of a batch comes back when the consumer asks for the next one, or calls
/// `release()` before; `keep()` takes a batch onto the consumer's own account.
///
/// A subscription is one position: a second loop over it goes on where the first one stopped. It
/// tails at the end, and reads from disk when it lags; nobody is cut off for being slow. It ends
/// when a task that waits for a batch is cancelled, or asks for one after that; by `cancel()`; or
/// when nobody holds it any more. Then everything that was held for it is given back at once.
///
/// Errors of the device are tried again from the last offset; the others are thrown, and the next
/// call goes on. Records that are not there are an error with the code `gap`, unless the options
/// say to skip; `events()` tells them as values.
public struct Subscription: AsyncSequence, Sendable {
    public typealias Element = RecordBatch
    let consumer: Consumer

    public func makeAsyncIterator() -> Iterator { Iterator(consumer: consumer) }

    /// The same with gaps as events, whatever the options say of them.
    public func events() -> Events { Events(consumer: consumer) }

    /// The next batch; `nil` when the subscription has ended.
    ///
    /// Throws `gap`, `closed`, `damaged` where a mapped page vanished under the last batch, and
    /// what the medium said. With a timeout, `timedOut` if there is none within it: nothing is lost
    /// then, and the next call may get it.
    public func nextBatch(timeout: Duration? = nil) async throws -> RecordBatch? {
        try await consumer.nextBatch(timeout: timeout)
    }

    /// As `nextBatch`, and blocks the thread: for tools, and threads of one's own.
    public func nextBatchBlocking(timeout: Duration? = nil) throws(WeirError) -> RecordBatch? {
        try consumer.nextBatchBlocking(timeout: timeout)
    }

    /// The next batch or gap, and blocks the thread; `nil` when the subscription has ended. Throws
    /// as
    /// `nextBatch`, but `gap`.
    public func nextEventBlocking(timeout: Duration? = nil) throws(WeirError) -> SubscriptionEvent?
    {
        try consumer.nextEventBlocking(timeout: timeout)
    }

    /// Gives credit to a subscription whose mode is `manual`. A batch is read when bytes *and*
    /// records are left, also one larger than that: what it overdraws, later grants pay first.
    ///
    /// Throws `invalidArgument` for what is not positive or would overflow, and where the store
    /// chooses the window; `closed` after the end.
    public func grant(_ credit: Credit) throws(WeirError) { try consumer.grant(credit) }

    /// Ends it: nothing is read any more, and what was read ahead is given back.
    public func cancel() { consumer.end(nil) }

    /// Gaps that were skipped or told.
    public var gapCount: Int { consumer.gapCount }

    /// The name that its figures bear.
    public var name: String { consumer.name }

    public struct Iterator: AsyncIteratorProtocol {
        let consumer: Consumer

        public mutating func next() async throws -> RecordBatch? {
            try await consumer.nextBatch(timeout: nil)
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
    let consumer: Consumer

    public func makeAsyncIterator() -> Iterator { Iterator(consumer: consumer) }

    public struct Iterator: AsyncIteratorProtocol {
        let consumer: Consumer

        /// The next event; `nil` when the subscription has ended. Throws as `nextBatch`, but `gap`.
        public mutating func next() async throws -> SubscriptionEvent? {
            try await consumer.nextEvent(timeout: nil)
        }
    }
}

extension LogStream {
    /// The batches from a position on, for as long as the stream lives.
    ///
    /// `consumer` labels its figures, and is whom a stream may wait for; it takes the place of the
    /// options' own. From `.cursor(name)` it goes on where that cursor stands, and begins with the
    /// first record if it never committed; it does not commit by itself. Throws `invalidArgument`
    /// for options outside their range, `exhausted` where the store's budget has no room and the
    /// options do not wait for it, `closed`.
    public func subscribe(
        from start: StartPosition = .next, as consumer: String? = nil,
        _ options: SubscriptionOptions = SubscriptionOptions()
    ) throws(WeirError) -> Subscription {
        var options = options
        options.consumer = consumer ?? options.consumer
        try options.validate()
        if case .cursor(let name) = start { _ = try StreamName(name, what: "cursor") }
        return Subscription(consumer: try Consumer(stream: self, start: start, options: options))
    }
}
