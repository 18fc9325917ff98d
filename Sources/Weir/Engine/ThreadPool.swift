import WeirBase
import WeirFiles

/// Has work of one kind to do, now and then.
protocol PoolWorker: AnyObject, Sendable {
    func work()
}

/// Threads for what blocks: writes, syncs, page faults. Few, started when they are needed.
///
/// Jobs are taken in order. A job that waits for another job may wait for ever, so none does.
final class ThreadPool: Sendable {
    private enum Job: Sendable {
        case body(@Sendable () -> Void)
        case work(any PoolWorker)

        func run() {
            switch self {
            case .body(let body): body()
            case .work(let worker): worker.work()
            }
        }
    }
    private struct State {
        var jobs: [Job] = []
        var idle = 0
        var count = 0
        var isEnding = false
    }
    private let monitor = Monitor(State())
    private let countMax: Int

    init(countMax: Int) { self.countMax = countMax }

    /// Runs a job on some thread, soon.
    ///
    /// After `end`, and where the system refuses the very first thread, the caller's own thread
    /// does it: late is better than never, and nothing is lost.
    func run(_ body: @escaping @Sendable () -> Void) { add(.body(body)) }

    /// The same for a worker that is there already: without a closure, so without memory for one.
    func run(_ worker: any PoolWorker) { add(.work(worker)) }

    private func add(_ job: Job) {
        let (accepted, needsThread) = monitor.signalOne { state -> (Bool, Bool) in
            guard !state.isEnding else { return (false, false) }
            state.jobs.append(job)
            let needsThread = state.jobs.count > state.idle && state.count < countMax
            if needsThread { state.count += 1 }
            return (true, needsThread)
        }
        guard accepted else { return job.run() }
        if needsThread { addThread() }
    }

    /// Runs a blocking call and gives its result to the task that waits.
    func call<Result: Sendable>(
        _ body: @escaping @Sendable () throws(WeirError) -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            run {
                do throws(WeirError) {
                    continuation.resume(returning: try body())
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    private func addThread() {
        do throws(WeirError) {
            try SystemThread.start { self.work() }
        } catch {
            let jobs = monitor.change { state -> [Job] in
                state.count -= 1
                guard state.count == 0 else { return [] }
                defer { state.jobs = [] }
                return state.jobs
            }
            for job in jobs { job.run() }
        }
    }

    private func work() {
        monitor.change { $0.idle += 1 }
        while let job = monitor.wait(until: { state -> Job?? in
            if !state.jobs.isEmpty {
                state.idle -= 1
                return state.jobs.removeFirst()
            }
            return state.isEnding ? .some(nil) : nil
        }), let job {
            job.run()
            monitor.change { $0.idle += 1 }
        }
        monitor.change { $0.count -= 1 }
    }

    /// Lets the threads go when their jobs are done.
    func end() { monitor.signal { $0.isEnding = true } }
}
