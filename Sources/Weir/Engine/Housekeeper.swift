import WeirBase
import WeirFiles

/// Calls committers back some time after they asked for it: for syncs at intervals, and for the
/// marker that a stream leaves when it goes quiet. One thread a store, asleep unless asked. Has the
/// list of those that keep a file open, too.
final class Housekeeper: Sendable {
    /// Well below the second after which a quiet stream has its marker.
    static let idleMilliseconds = 500

    private struct State {
        var due: [ObjectIdentifier: (committer: Committer, atMilliseconds: Int64)] = [:]
        var isRunning = false
        var isEnding = false
    }
    private let monitor = Monitor(State())
    private let start = ContinuousClock.now
    let openFiles: OpenFiles

    init(openFiles: OpenFiles) { self.openFiles = openFiles }

    /// Since the store was opened, by a clock that nobody sets: what an interval promises must not
    /// wait for an hour when the wall clock goes back by one.
    private var nowMilliseconds: Int64 {
        let time = (ContinuousClock.now - start).components
        return time.seconds * 1000 + time.attoseconds / 1_000_000_000_000_000
    }

    /// Has upkeep done once, at the earliest time that was asked for since the last.
    func note(_ committer: Committer, after milliseconds: Int) {
        let key = ObjectIdentifier(committer)
        let at = nowMilliseconds + Int64(milliseconds)
        let isKnown = monitor.read { state in
            let known = state.due[key].map { $0.atMilliseconds <= at } ?? false
            return known && state.isRunning || state.isEnding
        }
        if isKnown { return }
        let starts = monitor.signal { state -> Bool in
            if state.due[key].map({ $0.atMilliseconds > at }) ?? true {
                state.due[key] = (committer, at)
            }
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if starts { startThread() }
    }

    private func startThread() {
        do throws(WeirError) {
            try SystemThread.start { self.work() }
        } catch {
            // Without a thread, the next note tries again.
            monitor.signal { $0.isRunning = false }
        }
    }

    private func work() {
        while true {
            let next = monitor.wait { state -> Int64?? in
                if state.isEnding { return .some(nil) }
                return state.due.values.map(\.atMilliseconds).min().map { .some($0) }
            }
            guard let next, let next else { return }
            let delay = next - nowMilliseconds
            if delay > 0 {
                // Until then, or until somebody asks for less.
                _ = monitor.wait(milliseconds: Int(min(delay, 1000))) { state in
                    let first = state.due.values.map(\.atMilliseconds).min() ?? .max
                    return state.isEnding || first < next ? true : nil
                }
                continue
            }
            let time = nowMilliseconds
            let ready = monitor.signal { state -> [Committer] in
                let ready = state.due.filter { $0.value.atMilliseconds <= time }
                for key in ready.keys { state.due[key] = nil }
                return ready.values.map(\.committer)
            }
            for committer in ready { committer.haveUpkeepDone() }
        }
    }

    func end() {
        monitor.signal {
            $0.isEnding = true
            $0.due = [:]
        }
        openFiles.end()
    }
}

/// Wakes those who wait at the end of a stream.
final class TailWatch: Sendable {
    private struct State {
        var calls: [UInt64: Call] = [:]
    }
    private struct Call {
        let isReady: @Sendable () -> Bool
        let body: @Sendable () -> Void
    }
    private let state = Lock(State())
    private let threads = Monitor(UInt64(0))
    private let note: @Sendable () -> Void

    /// `note` is called with every wake, and must cost next to nothing.
    init(note: @escaping @Sendable () -> Void = {}) { self.note = note }

    /// Cheap when nobody waits.
    func wake() {
        note()
        let ready = state.withLock { state -> [Call] in
            guard !state.calls.isEmpty else { return [] }
            let ready = state.calls.filter { $0.value.isReady() }
            for key in ready.keys { state.calls[key] = nil }
            return Array(ready.values)
        }
        for call in ready { call.body() }
        threads.signal { $0 &+= 1 }
    }

    /// Calls `body` once, on some thread, when `isReady` holds: at once, or after a wake. A second
    /// call with the same key takes the first one's place.
    func call(
        _ key: UInt64, when isReady: @escaping @Sendable () -> Bool,
        _ body: @escaping @Sendable () -> Void
    ) {
        let isNow = state.withLock { state in
            // Asked under the lock: a wake after this finds the call in the list.
            let isNow = isReady()
            state.calls[key] = isNow ? nil : Call(isReady: isReady, body: body)
            return isNow
        }
        if isNow { body() }
    }

    func forget(_ key: UInt64) {
        let call = state.withLock { $0.calls.removeValue(forKey: key) }
        withExtendedLifetime(call) {}
    }

    /// Waits on a thread, at most so long. Blocks.
    func wait(milliseconds: Int, unless isReady: () -> Bool) {
        _ = threads.wait(milliseconds: milliseconds) { _ in isReady() ? true : nil }
    }
}
