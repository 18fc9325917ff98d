import Testing
import Weir
import WeirBase

@Suite("A stream with a quota")
struct QuotaTests {
    private let folder = TemporaryFolder()

    private func open(_ policy: Quota.Policy) throws -> (Store, LogStream) {
        let store = try Store.openBlocking(at: folder.path)
        let configuration = StreamConfiguration(
            durability: .flushed, quota: Quota(bytesMax: 50_000, policy: policy))
        return (store, try store.streamBlocking("s", creating: configuration))
    }

    private static let value = [UInt8](repeating: 1, count: 10_000)

    /// Appends until the stream has no room; gives how many there were.
    private func fill(_ stream: LogStream) throws -> Int {
        let writer = try stream.syncWriter()
        for count in 0..<100 {
            do throws(WeirError) {
                try writer.append(value: Self.value)
            } catch {
                #expect(error.code == .noSpace)
                #expect(error.message.contains("quota is 50000"))
                return count
            }
        }
        return 100
    }

    @Test func `refuses what goes beyond it, and goes on when there is room`() async throws {
        let (store, stream) = try open(.failFast)
        #expect(try fill(stream) == 5)
        #expect(store.signalCount(.quotaReached) == 1)
        #expect(throws: WeirError.self) { try stream.enqueue(value: bytes("x")) }
        await #expect(throws: WeirError.self) { try await stream.append(value: bytes("x")) }
        try await stream.trim(before: .next)
        try await stream.append(value: bytes("x"))
        #expect(stream.endOffset == Offset(6))
        try store.closeBlocking()
    }

    @Test func `counts what is there when it is opened again`() throws {
        let (store, stream) = try open(.failFast)
        _ = try fill(stream)
        try store.closeBlocking()
        let again = try Store.openBlocking(at: folder.path)
        #expect(try fill(again.streamBlocking("s")) == 0)
        try again.closeBlocking()
    }

    @Test func `has appends wait until there is room, in tasks and on threads`() async throws {
        let (store, stream) = try open(.wait)
        for _ in 0..<5 { try await stream.append(value: Self.value) }
        async let first = stream.append(value: bytes("a"))
        async let second = Task.detached { try stream.syncWriter().append(value: bytes("b")) }.value
        try await stream.trim(before: .offset(Offset(5)))
        let offsets = try await [first.offset.value, second.offset.value].sorted()
        #expect(offsets == [5, 6])
        try store.closeBlocking()
    }

    @Test func `that is raised lets those on who wait`() async throws {
        let (store, stream) = try open(.wait)
        for _ in 0..<5 { try await stream.append(value: Self.value) }
        async let receipt = stream.append(value: bytes("a"))
        try await stream.configure { $0.quota = nil }
        #expect(try await receipt.offset == Offset(5))
        try await stream.append(value: bytes("b"))
        try store.closeBlocking()
    }

    @Test(arguments: ["quota.policy=fail", "quota.bytes=20000 quota.policy=fail"])
    func `that becomes one that refuses is told to those who wait`(words: String) throws {
        let (store, stream) = try open(.wait)
        let writer = try stream.syncWriter()
        for _ in 0..<5 { try writer.append(value: Self.value) }
        let told = Lock(0)
        store.watchWaitingAppends { _ in
            let settings = words.split(separator: " ").map(String.init)
            _ = #expect(throws: Never.self) { try stream.configureBlocking(settings) }
            // Asked a second time, it would wait for ever.
            return told.withLock { told in
                told += 1
                return told == 1
            }
        }
        let error = #expect(throws: WeirError.self) { try writer.append(value: bytes("x")) }
        #expect(error?.code == .noSpace)
        #expect(told.withLock { $0 } == 1)
        try store.closeBlocking()
    }

    @Test func `has appends wait no longer than their producer policy lets them`() async throws {
        let (store, stream) = try open(.wait)
        for _ in 0..<5 { try await stream.append(value: Self.value) }
        try stream.setProducerPolicy(
            ProducerPolicy(admission: .wait(timeout: .milliseconds(20))))
        let error = await #expect(throws: WeirError.self) {
            try await stream.append(value: bytes("x"))
        }
        #expect(error?.code == .noSpace)
        try stream.setProducerPolicy(ProducerPolicy(admission: .failFast))
        #expect(try fill(stream) == 0)
        try store.closeBlocking()
    }

    @Test func `tells those who wait that the store closes`() async throws {
        let (store, stream) = try open(.wait)
        for _ in 0..<5 { try await stream.append(value: Self.value) }
        let waiting = Task { try await stream.append(value: bytes("x")) }
        try await store.close()
        await #expect(throws: WeirError.self) { try await waiting.value }
    }

    @Test func `lets who waits be cancelled`() async throws {
        let (store, stream) = try open(.wait)
        for _ in 0..<5 { try await stream.append(value: Self.value) }
        let waiting = Task { try await stream.append(value: bytes("x")) }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(stream.endOffset == Offset(5))
        try store.closeBlocking()
    }
}
