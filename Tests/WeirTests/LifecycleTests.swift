import Logging
import ServiceLifecycle
import Testing
import Weir

/// Appends a record, and with it the group's work is done.
private struct OneAppend: Service {
    let stream: LogStream
    func run() async throws { try await stream.append(value: bytes("last words")) }
}

@Suite("A store in a group of services")
struct LifecycleTests {
    private let folder = TemporaryFolder()

    @Test func `is closed in good order when the group shuts down`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: store),
                    .init(
                        service: OneAppend(stream: stream),
                        successTerminationBehavior: .gracefullyShutdownGroup),
                ], logger: Logger(label: "test")))
        try await group.run()
        let error = await #expect(throws: WeirError.self) {
            try await stream.append(value: bytes("too late"))
        }
        #expect(error?.code == .closed)
        let again = try await Store.open(at: folder.path)
        #expect(again.reports.isEmpty)
        #expect(try await again.stream("s").all().map { text($0.value) } == ["last words"])
        try await again.close()
    }
}
