import WeirBase
import WeirFiles

/// An outcome that a thread or tasks wait for, or that nobody asks for yet.
final class Slot<Outcome: Sendable>: Sendable {
    private struct State {
        var outcome: Outcome?
        var tasks: [CheckedContinuation<Outcome, Never>] = []
    }
    private let monitor = Monitor(State())

    var isFinished: Bool { monitor.read { $0.outcome != nil } }

    func finish(_ outcome: Outcome) {
        let tasks = monitor.signal { state in
            state.outcome = outcome
            defer { state.tasks = [] }
            return state.tasks
        }
        for task in tasks { task.resume(returning: outcome) }
    }

    /// Blocks the thread.
    func wait() -> Outcome {
        while true {
            if let outcome = monitor.wait(until: { $0.outcome }) { return outcome }
        }
    }

    /// Blocks the thread; `nil` if the time is over before.
    func wait(milliseconds: Int) -> Outcome? {
        monitor.wait(milliseconds: milliseconds) { $0.outcome }
    }

    func outcome() async -> Outcome {
        await withCheckedContinuation { continuation in
            let known = monitor.signal { state -> Outcome? in
                if state.outcome == nil { state.tasks.append(continuation) }
                return state.outcome
            }
            if let known { continuation.resume(returning: known) }
        }
    }
}

typealias AppendSlot = Slot<Result<Receipt, WeirError>>
