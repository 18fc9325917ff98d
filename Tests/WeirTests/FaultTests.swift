import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("A stream whose disk fails")
struct FaultTests {
    private typealias Files = FaultyFileSystem<SimulatedFileSystem>
    private let files = Files(SimulatedFileSystem(seed: 3))
    private let machine = SimulatedMachine(seed: 3)

    private func open() throws -> StoreEngine<Files> {
        try StoreEngine.open(files: files, host: machine.host, creating: true)
    }

    private func writer(_ engine: StoreEngine<Files>) throws -> LogWriter<Files> {
        let name = try StreamName("s")
        if engine.stream(name) == nil { try engine.create(name, StreamConfiguration()) }
        return try #require(engine.stream(name)?.writer)
    }

    private func append(_ value: UInt8, to writer: LogWriter<Files>) throws -> Offset {
        var builder = BatchBuilder(byteLimit: 4096)
        let bytes = [value]
        let added = builder.append(value: bytes.span.bytes)
        #expect(added)
        return try writer.append(&builder, needsSync: true)
    }

    private func failing(_ wanted: FileOperation, _ code: WeirError.Code) {
        files.follow { operation, path in
            operation == wanted && path.hasSuffix(".segment") ? .fails(code) : nil
        }
    }

    @Test func `gives no offset away when it is full, and goes on when space returns`() throws {
        let engine = try open()
        let writer = try writer(engine)
        #expect(try append(1, to: writer) == Offset(0))
        failing(.write, .noSpace)
        let error = #expect(throws: WeirError.self) { try append(2, to: writer) }
        #expect(error?.code == .noSpace)
        #expect(files.hits > 0)
        files.follow { _, _ in nil }
        #expect(try append(3, to: writer) == Offset(1))
        try writer.sync()
        #expect(writer.durableEnd == Offset(2))
        try engine.close()
    }

    @Test func `takes nothing more after a sync failed, until it is opened again`() throws {
        let engine = try open()
        let writer = try writer(engine)
        _ = try append(1, to: writer)
        try writer.sync()
        _ = try append(2, to: writer)
        failing(.sync, .system)
        #expect(throws: WeirError.self) { try writer.sync() }
        let hits = files.hits
        #expect(hits == 1)
        // Not even a sync that would succeed now may be believed.
        files.follow { _, _ in nil }
        for step in [{ try writer.sync() }, { _ = try append(3, to: writer) }] {
            let error = #expect(throws: WeirError.self) { try step() }
            #expect(error?.code == .poisoned)
        }
        #expect(writer.durableEnd == Offset(1))
        do { try engine.close() } catch { #expect(error.code == .poisoned) }
        let again = try open()
        let next = try self.writer(again)
        #expect(try append(4, to: next) >= Offset(1))
        try next.sync()
        try again.close()
    }

    @Test func `does not open, and says where, when its manifest cannot be read`() throws {
        let engine = try open()
        _ = try append(1, to: try writer(engine))
        try engine.close()
        files.follow { operation, path in
            operation == .read && path.hasSuffix("MANIFEST") ? .fails(.system) : nil
        }
        let error = #expect(throws: WeirError.self) { try open() }
        #expect(error?.place?.path?.hasSuffix("MANIFEST") == true)
        files.follow { _, _ in nil }
        let again = try open()
        #expect(try writer(again).nextOffset == Offset(1))
        try again.close()
    }
}
