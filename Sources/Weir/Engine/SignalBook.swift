import Synchronization
import WeirBase
import WeirFiles

/// Counts every signal of a store, and tells those who listen.
///
/// Bounded: beyond so many sources, further consumers of a stream are counted together as one, and
/// beyond twice as many all others are. A listener that does not keep up loses the oldest events,
/// never the counts.
final class SignalBook: Sendable {
    fileprivate struct State {
        var counts: [SignalSource: SignalCounts] = [:]
        var listeners: [UInt64: SignalFeed.Speaker] = [:]
        var nextListener: UInt64 = 0
        var hasEnded = false
    }
    private let state = Lock(State())
    private let hasListeners = Atomic(false)

    /// Never called under another lock: a listener may be resumed.
    func note(_ kind: SignalKind, _ source: SignalSource, detail: String = "") {
        let time = Host.wallClock()
        state.withLock { state in
            state.counts[state.label(of: source), default: SignalCounts()].note(kind, at: time)
        }
        guard hasListeners.load(ordering: .relaxed) else { return }
        let signal = Signal(kind, source, at: time, detail: detail)
        let listeners = state.withLock { Array($0.listeners.values) }
        for listener in listeners { listener.tell(signal) }
    }

    var counts: [SignalSource: SignalCounts] { state.withLock { $0.counts } }

    /// Events from now on, the newest `Limits.signalFeedMax` of them.
    func events() -> SignalFeed {
        let id = state.withLock { state in
            state.nextListener += 1
            return state.nextListener
        }
        let (feed, speaker) = SignalFeed.make { self.forget(id) }
        let hasEnded = state.withLock { state in
            if state.hasEnded { return true }
            state.listeners[id] = speaker
            hasListeners.store(true, ordering: .relaxed)
            return false
        }
        if hasEnded { speaker.finish() }
        return feed
    }

    private func forget(_ id: UInt64) {
        let speaker = state.withLock { state in
            let speaker = state.listeners.removeValue(forKey: id)
            hasListeners.store(!state.listeners.isEmpty, ordering: .relaxed)
            return speaker
        }
        withExtendedLifetime(speaker) {}
    }

    /// Ends every feed.
    func end() {
        let listeners = state.withLock { state in
            state.hasEnded = true
            defer { state.listeners = [:] }
            return state.listeners.values
        }
        for listener in listeners { listener.finish() }
    }
}

extension SignalBook.State {
    /// Under which a source is counted: its own while the table has room, then one for the rest of
    /// its stream, then one for the rest of the store.
    fileprivate func label(of source: SignalSource) -> SignalSource {
        if has(source, countMax: Limits.signalSourcesMax) { return source }
        let ofStream = SignalSource(
            stream: source.stream, partition: source.partition, consumer: "(others)",
            variant: source.variant)
        if has(ofStream, countMax: 2 * Limits.signalSourcesMax) { return ofStream }
        return SignalSource(stream: "(others)", consumer: "(others)")
    }

    private func has(_ source: SignalSource, countMax: Int) -> Bool {
        counts.count < countMax || counts[source] != nil
    }
}
