import WeirBase
import WeirFiles
import WeirFlow

/// A call that is due at some moment.
package struct TimerID: Sendable, Hashable {
    fileprivate let value: UInt64
}

/// Calls back after a time: deadlines, backoffs, watchdogs. One thread a store, started on first
/// use and asleep until the next call is due.
///
/// A body must not block: the others wait for it.
package final class Timers: Sendable {
    fileprivate struct Call {
        let at: Moment
        let id: UInt64
        let body: @Sendable () -> Void
    }

    fileprivate struct State {
        /// A heap: the earliest stands first.
        var calls: [Call] = []
        var cancelled: Set<UInt64> = []
        var next: UInt64 = 0
        var isRunning = false
        var isEnding = false
    }
    private let monitor = Monitor(State())

    package init() {}

    /// Calls `body` once, on the timers' thread. After `end` it is never called.
    @discardableResult
    package func schedule(
        after nanoseconds: Int64, _ body: @escaping @Sendable () -> Void
    ) -> TimerID {
        let at = MonotonicClock.now() + nanoseconds
        let (id, starts) = monitor.signal { state -> (UInt64, Bool) in
            state.next += 1
            guard !state.isEnding else { return (state.next, false) }
            state.push(Call(at: at, id: state.next, body: body))
            defer { state.isRunning = true }
            return (state.next, !state.isRunning)
        }
        if starts { startThread() }
        return TimerID(value: id)
    }

    /// The call is not made, unless it is being made already.
    package func cancel(_ id: TimerID) { monitor.signal { $0.cancel(id.value) } }

    /// Makes no call any more, and lets the thread go.
    package func end() {
        monitor.signal {
            $0.isEnding = true
            $0.calls = []
            $0.cancelled = []
        }
    }

    private func startThread() {
        do throws(WeirError) {
            try SystemThread.start { self.work() }
        } catch {
            // Without a thread, the next schedule tries again.
            monitor.signal { $0.isRunning = false }
        }
    }

    private func work() {
        while true {
            let first = monitor.wait { state -> Moment?? in
                state.isEnding ? .some(nil) : state.calls.first.map { .some($0.at) }
            }
            guard let first = first ?? nil else { return }
            let delay = first - MonotonicClock.now()
            if delay > 0 {
                // Until then, or until somebody asks for less.
                let milliseconds = Int(min((delay + 999_999) / 1_000_000, 60_000))
                _ = monitor.wait(milliseconds: milliseconds) { state in
                    state.isEnding || state.calls.first.map { $0.at < first } ?? true ? true : nil
                }
                continue
            }
            let now = MonotonicClock.now()
            let body = monitor.signal { $0.popDue(at: now) }
            body?()
        }
    }
}

extension Timers.State {
    fileprivate mutating func push(_ call: Timers.Call) {
        calls.append(call)
        var index = calls.count - 1
        while index > 0, calls[index].at < calls[(index - 1) / 2].at {
            calls.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    /// Those who are cancelled lie there until they are due, or until they are the most.
    fileprivate mutating func cancel(_ id: UInt64) {
        cancelled.insert(id)
        guard cancelled.count > 64, cancelled.count > calls.count / 2 else { return }
        let left = calls.filter { !cancelled.contains($0.id) }
        calls = []
        cancelled = []
        for call in left { push(call) }
    }

    fileprivate mutating func popDue(at now: Moment) -> (@Sendable () -> Void)? {
        guard let first = calls.first, first.at <= now else { return nil }
        calls[0] = calls[calls.count - 1]
        calls.removeLast()
        var index = 0
        while true {
            let children = [2 * index + 1, 2 * index + 2].filter { $0 < calls.count }
            guard let least = children.min(by: { calls[$0].at < calls[$1].at }),
                calls[least].at < calls[index].at
            else { break }
            calls.swapAt(index, least)
            index = least
        }
        return cancelled.remove(first.id) == nil ? first.body : nil
    }
}

/// The clock that nobody sets.
enum MonotonicClock {
    static func now() -> Moment { Moment(nanoseconds: Host.monotonicNanoseconds()) }
}
