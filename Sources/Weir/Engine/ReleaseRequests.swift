import WeirBase

/// Consumers that can be asked to tell at once what they have released, as a closing gate does.
package final class ReleaseRequests: Sendable {
    private struct State {
        var bodies: [UInt64: @Sendable () -> Void] = [:]
        var nextID: UInt64 = 0
    }
    private let state = Lock(State())

    package init() {}

    /// `body` is called outside of every lock, on a thread of the producer's: it must not block.
    package func add(_ body: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            state.nextID += 1
            state.bodies[state.nextID] = body
            return state.nextID
        }
    }

    package func remove(_ id: UInt64) {
        let body = state.withLock { $0.bodies.removeValue(forKey: id) }
        // Let go outside the lock: it may hold the last reference to anything.
        withExtendedLifetime(body) {}
    }

    func ask() {
        let bodies = state.withLock { Array($0.bodies.values) }
        for body in bodies { body() }
    }
}
