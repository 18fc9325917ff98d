#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The one lock of Weir: a mutex around the state that it guards.
///
/// A `pthread_mutex` rather than `Synchronization.Mutex`, since ThreadSanitizer understands it. It
/// costs about 17 ns when nobody else holds it. Never held across an `await` or a system call.
@safe
package final class Lock<State: ~Copyable>: @unchecked Sendable {
    // @unchecked: `state` is touched in `withLock` only, between lock and unlock.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var state: State

    package init(_ state: consuming sending State) {
        // The mutex has an address of its own because a mutex must not move; freed in `deinit`.
        unsafe self.mutex = .allocate(capacity: 1)
        unsafe self.mutex.initialize(to: pthread_mutex_t())
        self.state = state
        let result = unsafe pthread_mutex_init(mutex, nil)
        precondition(result == 0, "a mutex could not be made")
    }

    deinit {
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deinitialize(count: 1)
        unsafe mutex.deallocate()
    }

    @discardableResult
    package func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let locked = unsafe pthread_mutex_lock(mutex)
        precondition(locked == 0, "a lock could not be taken")
        defer {
            let unlocked = unsafe pthread_mutex_unlock(mutex)
            precondition(unlocked == 0, "a lock could not be given back")
        }
        return try body(&state)
    }
}
