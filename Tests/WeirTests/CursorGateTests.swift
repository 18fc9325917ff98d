import Testing
import WeirBase

@testable import Weir

@Suite("Producers that are bound to a cursor")
struct CursorGateTests {
    private let folder = TemporaryFolder()

    private func open() async throws -> (Store, LogStream) {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        return (store, stream)
    }

    private func bind(_ stream: LogStream, records: Int = 2) throws {
        try stream.setProducerPolicy(
            ProducerPolicy(
                admission: .failFast,
                lagBound: .init(consumers: ["c"], records: records, cap: .seconds(3600))))
    }

    private func lag(_ stream: LogStream) throws -> Int? {
        try #require(stream.gateReport()).lagRecords
    }

    @Test func `go by where it stands while nobody of its name lives`() async throws {
        let (store, stream) = try await open()
        for _ in 0..<5 { try await stream.append(value: bytes("x")) }
        let cursor = try stream.savedCursor("c")
        try await cursor.commit(upTo: 1)
        try bind(stream)
        #expect(try lag(stream) == 4)
        let error = await #expect(throws: WeirError.self) {
            try await stream.append(value: bytes("x"))
        }
        #expect(error?.code == .wouldBlock)
        try await cursor.commit(upTo: 5)
        #expect(try lag(stream) == 0)
        try await stream.append(value: bytes("x"))
        try await store.close()
    }

    @Test func `go by what a live one released, and by its cursor when it is gone`() async throws {
        let (store, stream) = try await open()
        for _ in 0..<5 { try await stream.append(value: bytes("x")) }
        try await stream.savedCursor("c").commit(upTo: 1)
        try bind(stream, records: 100)
        stream.consumer("c", released: 4)
        #expect(try lag(stream) == 1)
        try await stream.savedCursor("c").commit(upTo: 2)
        #expect(try lag(stream) == 1)
        stream.consumerEnded("c")
        #expect(try lag(stream) == 3)
        try await store.close()
    }

    @Test func `are told of commits that come from elsewhere, and of its removal`() async throws {
        let (store, stream) = try await open()
        for _ in 0..<5 { try await stream.append(value: bytes("x")) }
        try bind(stream)
        #expect(try lag(stream) == nil)
        try Store.setCursor("c", of: "s", to: .offset(1), ofStoreAt: folder.path)
        #expect(try lag(stream) == 4)
        try Store.removeCursor("c", of: "s", ofStoreAt: folder.path)
        #expect(try lag(stream) == nil)
        try await store.close()
    }

    @Test func `are held back by no cursor of a consumer for whom that is off`() async throws {
        let (store, stream) = try await open()
        for _ in 0..<5 { try await stream.append(value: bytes("x")) }
        let cursor = try stream.savedCursor("c")
        try await cursor.commit(upTo: 1)
        try store.setFlowFlags(FlowFlags(lagBoundProducers: .off))
        try bind(stream)
        #expect(try lag(stream) == nil)
        try await cursor.commit(upTo: 2)
        #expect(try lag(stream) == nil)
        try await stream.append(value: bytes("x"))
        try store.setFlowFlags(FlowFlags())
        try await cursor.commit(upTo: 3)
        #expect(try lag(stream) == 3)
        // Off again: it counts no more once it is committed.
        try store.setFlowFlags(FlowFlags(lagBoundProducers: .off))
        try await cursor.commit(upTo: 4)
        #expect(try lag(stream) == nil)
        try await store.close()
    }

    @Test func `stand before no gate of Weir's own streams`() async throws {
        let (store, stream) = try await open()
        try await stream.append(value: bytes("x"))
        try await stream.savedCursor("c").commit(upTo: 1)
        let own = try await store.stream("weir.cursors")
        let gate = try #require(own.committer).gateReport()
        #expect(gate.limitBytes == Credit.unlimited.bytes)
        #expect(gate.limitRecords == Credit.unlimited.records)
        let error = #expect(throws: WeirError.self) {
            try own.setProducerPolicy(ProducerPolicy(admission: .failFast))
        }
        #expect(error?.message.contains("whose appends pass no gate") == true)
        #expect(own.gateReport() == nil)
        try await store.close()
    }
}
