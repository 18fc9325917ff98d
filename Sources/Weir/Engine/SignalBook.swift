import Synchronization
import WeirBase
import WeirFiles

/// Counts every signal of a store, and tells those who listen.
///
/// Bounded: beyond so many sources, further consumers are counted together as one, and a listener
/// that does not keep up loses the oldest events, never the counts.
final class SignalBook: Sendable {
    private struct State {
        var counts: [SignalSource: SignalCounts] = [:]
        var listeners: [UInt64: AsyncStream<Signal>.Continuation] = [:]
        var nextListener: UInt64 = 0
    }
    private let state = Lock(State())
    private let hasListeners = Atomic(false)

    /// Never called under another lock: a listener may be resumed.
    func note(_ kind: SignalKind, _ source: SignalSource, detail: String = "") {
        let time = Host.wallClock()
        state.withLock { state in
            let known = state.counts[source] != nil
            let isFull = state.counts.count >= Limits.signalSourcesMax
            let counted = known || !isFull ? source : Self.others(of: source)
            state.counts[counted, default: SignalCounts()].note(kind, at: time)
        }
        guard hasListeners.load(ordering: .relaxed) else { return }
        let signal = Signal(kind, source, at: time, detail: detail)
        let listeners = state.withLock { Array($0.listeners.values) }
        for listener in listeners { listener.yield(signal) }
    }

    /// Whoever comes when the table is full.
    private static func others(of source: SignalSource) -> SignalSource {
        SignalSource(
            stream: source.stream, partition: source.partition, consumer: "(others)",
            variant: source.variant)
    }

    var counts: [SignalSource: SignalCounts] { state.withLock { $0.counts } }

    /// Events from now on, the newest `Limits.signalFeedMax` of them.
    func events() -> AsyncStream<Signal> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Signal.self, bufferingPolicy: .bufferingNewest(Limits.signalFeedMax))
        let id = state.withLock { state in
            state.nextListener += 1
            state.listeners[state.nextListener] = continuation
            hasListeners.store(true, ordering: .relaxed)
            return state.nextListener
        }
        continuation.onTermination = { _ in self.forget(id) }
        return stream
    }

    private func forget(_ id: UInt64) {
        let continuation = state.withLock { state in
            let continuation = state.listeners.removeValue(forKey: id)
            hasListeners.store(!state.listeners.isEmpty, ordering: .relaxed)
            return continuation
        }
        withExtendedLifetime(continuation) {}
    }

    /// Ends every feed.
    func end() {
        let listeners = state.withLock { state in
            defer { state.listeners = [:] }
            return state.listeners.values
        }
        for listener in listeners { listener.finish() }
    }
}
