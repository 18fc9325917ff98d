import CWeirSystem
package import WeirBase

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Threads for calls that block: never Swift's own, of which there are only as many as cores.
package enum SystemThread {
    /// Runs `body` on a new thread. Throws `system` if the system has none to give.
    package static func start(_ body: @escaping @Sendable () -> Void) throws(WeirError) {
        let box = unsafe Unmanaged.passRetained(Body(run: body))
        #if canImport(Darwin)
            var thread: pthread_t?
        #else
            var thread = pthread_t()
        #endif
        // The new thread takes the retain over.
        let code = unsafe pthread_create(
            &thread, nil,
            { argument in
                #if canImport(Darwin)
                    let pointer = unsafe argument
                #else
                    guard let pointer = unsafe argument else { return nil }
                #endif
                unsafe Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().run()
                return nil
            }, box.toOpaque())
        guard code == 0 else {
            unsafe box.release()
            throw WeirError(
                .system, "Weir could not start a thread; raise the limit (ulimit -u)",
                cause: unsafe String(cString: strerror(code)), errno: code)
        }
        #if canImport(Darwin)
            if let thread { pthread_detach(thread) }
        #else
            pthread_detach(thread)
        #endif
    }

    /// What `body` gives for each number below `count`, in their order, by so many threads. The
    /// caller's own is one of them: where the system has no others to give, it does all of it.
    package static func map<Value: Sendable>(
        count: Int, threads: Int, _ body: @escaping @Sendable (Int) -> Value
    ) -> [Value] {
        let state = Monitor((next: 0, done: 0, values: [Value?](repeating: nil, count: count)))
        let work: @Sendable () -> Void = {
            while true {
                let number = state.change { state in
                    defer { state.next += 1 }
                    return state.next
                }
                guard number < count else { return }
                let value = body(number)
                state.signal { state in
                    state.values[number] = value
                    state.done += 1
                }
            }
        }
        for _ in 1..<max(1, min(threads, count)) where !hasStarted(work) { break }
        work()
        return state.wait { $0.done == count ? $0.values : nil }?.compactMap { $0 } ?? []
    }

    private static func hasStarted(_ body: @escaping @Sendable () -> Void) -> Bool {
        do throws(WeirError) {
            try start(body)
            return true
        } catch {
            return false
        }
    }

    /// How a thread whose work can wait shares the processor.
    package enum Courtesy: Int32 {
        /// Whoever wakes runs at once; its share is that of others. For work that must keep up.
        case interruptible = 0
        /// And it runs little while others want to. Not for one that holds what others wait for.
        case modest = 15
    }

    /// From now on others come before the calling thread.
    package static func yieldToOthers(_ courtesy: Courtesy) {
        weir_yield_to_others(courtesy.rawValue)
    }

    /// Blocks the thread for so long; less if a signal comes.
    package static func pause(microseconds: Int) {
        var time = timespec(
            tv_sec: microseconds / 1_000_000, tv_nsec: microseconds % 1_000_000 * 1000)
        _ = unsafe nanosleep(&time, nil)
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}

/// State that threads wait for: a mutex and a condition. For blocking threads only.
@safe
package final class Monitor<State>: @unchecked Sendable {
    // @unchecked: `state` is touched between lock and unlock only.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    package init(_ state: sending State) {
        // Neither may move, so both have addresses of their own; freed in `deinit`.
        unsafe mutex = .allocate(capacity: 1)
        unsafe mutex.initialize(to: pthread_mutex_t())
        unsafe condition = .allocate(capacity: 1)
        unsafe condition.initialize(to: pthread_cond_t())
        self.state = state
        let made = unsafe pthread_mutex_init(mutex, nil) == 0 && makeCondition(condition)
        precondition(made, "a monitor could not be made")
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Changes the state and wakes everybody who waits.
    package func signal<Result>(_ body: (inout State) -> Result) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer {
            unsafe pthread_cond_broadcast(condition)
            unsafe pthread_mutex_unlock(mutex)
        }
        return body(&state)
    }

    /// Changes the state and wakes one who waits: where any of them can go on, and only one.
    package func signalOne<Result>(_ body: (inout State) -> Result) -> Result {
        let result = change(body)
        // Without the mutex: whoever wakes wants it at once.
        unsafe pthread_cond_signal(condition)
        return result
    }

    /// Changes the state and wakes nobody: where nobody can go on because of it.
    package func change<Result>(_ body: (inout State) -> Result) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return body(&state)
    }

    /// Looks, and wakes nobody.
    package func read<Result>(_ body: (State) -> Result) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return body(state)
    }

    /// Waits until `body` gives a result, or the time is over (then `nil`).
    package func wait<Result>(
        milliseconds: Int? = nil, until body: (inout State) -> Result?
    ) -> Result? {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        var deadline = timespec()
        if let milliseconds {
            unsafe clock_gettime(waitingClock, &deadline)
            let nanoseconds = Int(deadline.tv_nsec) + milliseconds % 1000 * 1_000_000
            deadline.tv_sec += milliseconds / 1000 + nanoseconds / 1_000_000_000
            deadline.tv_nsec = nanoseconds % 1_000_000_000
        }
        while true {
            if let result = body(&state) { return result }
            if milliseconds == nil {
                unsafe pthread_cond_wait(condition, mutex)
            } else if unsafe pthread_cond_timedwait(condition, mutex, &deadline) != 0 {
                return body(&state)
            }
        }
    }
}

// Waits are measured by a clock that nobody sets; macOS has none for conditions.
#if os(Linux)
    private let waitingClock = CLOCK_MONOTONIC

    private func makeCondition(_ condition: UnsafeMutablePointer<pthread_cond_t>) -> Bool {
        var attributes = pthread_condattr_t()
        guard unsafe pthread_condattr_init(&attributes) == 0 else { return false }
        defer { unsafe pthread_condattr_destroy(&attributes) }
        return unsafe pthread_condattr_setclock(&attributes, waitingClock) == 0
            && pthread_cond_init(condition, &attributes) == 0
    }
#else
    private let waitingClock = CLOCK_REALTIME

    private func makeCondition(_ condition: UnsafeMutablePointer<pthread_cond_t>) -> Bool {
        unsafe pthread_cond_init(condition, nil) == 0
    }
#endif
