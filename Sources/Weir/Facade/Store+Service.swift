import Logging
public import ServiceLifecycle

extension Store: Service {
    /// Waits for the service group's graceful shutdown, and closes the store.
    public func run() async throws {
        do {
            try await gracefulShutdown()
        } catch {
            // Cancelled rather than asked: the store is closed all the same.
            logger.debug("the store's service was cancelled")
        }
        try await close()
    }
}
