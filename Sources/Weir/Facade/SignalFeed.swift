import Synchronization
public import WeirBase

/// Every signal of a store from one moment on, as far as the listener keeps up.
///
/// Those that one thread notes come in the order in which it notes them. A signal has its time from
/// just before it is told, so it may come behind another thread's that is later, by as long as its
/// own thread was held up in between, and two listeners may get the two in different orders:
/// whoever needs one sorts by `time`. Where the wall clock is set back, the times go back too.
///
/// ```swift
/// let feed = store.signals
/// for await signal in feed { log(signal, feed.missedCount) }
/// ```
///
/// Bounded: 1,024 signals wait for a listener. One that does not keep up, or never reads, loses the
/// oldest ones and can see how many; the counts lose none. It ends with the store, and costs
/// nothing once nobody holds it.
public struct SignalFeed: AsyncSequence, Sendable {
    public typealias Element = Signal
    private let stream: AsyncStream<Signal>
    private let speaker: Speaker

    /// What the store holds of a feed: enough to tell it something, and to end it.
    struct Speaker: Sendable {
        private final class Missed: Sendable { let count = Atomic(0) }
        private let continuation: AsyncStream<Signal>.Continuation
        private let missed = Missed()

        init(_ continuation: AsyncStream<Signal>.Continuation) { self.continuation = continuation }

        var missedCount: Int { missed.count.load(ordering: .relaxed) }

        func tell(_ signal: Signal) {
            guard case .dropped = continuation.yield(signal) else { return }
            missed.count.add(1, ordering: .relaxed)
        }

        func finish() { continuation.finish() }
    }

    /// `ended` is called when nobody holds the feed any more, or it was finished.
    static func make(ended: @escaping @Sendable () -> Void) -> (SignalFeed, Speaker) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Signal.self, bufferingPolicy: .bufferingNewest(Limits.signalFeedMax))
        continuation.onTermination = { _ in ended() }
        let speaker = Speaker(continuation)
        return (SignalFeed(stream: stream, speaker: speaker), speaker)
    }

    /// Signals that this listener lost so far because they came faster than it read.
    public var missedCount: Int { speaker.missedCount }

    public func makeAsyncIterator() -> AsyncStream<Signal>.Iterator { stream.makeAsyncIterator() }
}
