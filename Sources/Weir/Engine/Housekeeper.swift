import WeirBase
import WeirFiles

/// Calls committers back some time after they asked for it: for syncs at intervals, and for the
/// marker that a stream leaves when it goes quiet. One thread a store, asleep unless asked.
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
    }
}

/// Wakes those who wait at the end of a stream.
final class TailWatch: Sendable {
    private struct State {
        var tasks: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var next: UInt64 = 0
    }
    private let state = Lock(State())
    private let threads = Monitor(UInt64(0))

    /// Cheap when nobody waits.
    func wake() {
        let tasks = state.withLock { state in
            defer { if !state.tasks.isEmpty { state.tasks = [:] } }
            return state.tasks
        }
        for task in tasks.values { task.resume() }
        threads.signal { $0 &+= 1 }
    }

    /// Waits for the next wake, unless `isReady` holds already. A cancelled task ends it.
    func wait(unless isReady: @Sendable () -> Bool) async {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    // Asked under the lock: a wake after this finds the task in the list.
                    if isReady() || Task.isCancelled { return true }
                    state.tasks[id] = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            let task = state.withLock { $0.tasks.removeValue(forKey: id) }
            if let task = task { task.resume() }
        }
    }

    /// Waits on a thread, at most so long. Blocks.
    func wait(milliseconds: Int, unless isReady: () -> Bool) {
        _ = threads.wait(milliseconds: milliseconds) { _ in isReady() ? true : nil }
    }
}
