import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("A stream at rest")
struct RestTests {
    private typealias Files = FaultyFileSystem<SimulatedFileSystem>
    private let disk = SimulatedFileSystem(seed: 21)
    private let files: Files
    private let machine = SimulatedMachine(seed: 21)

    init() { files = Files(disk) }

    private func open() throws -> StoreEngine<Files> {
        try StoreEngine.open(files: files, host: machine.host, creating: true)
    }

    private func segment(_ writer: LogWriter<Files>) throws -> String {
        try #require(writer.view.segments.last?.path)
    }

    /// What a segment's file is asked for fails from now on.
    private func fail(_ wanted: FileOperation, _ code: WeirError.Code) {
        files.follow { operation, path in
            operation == wanted && path.hasSuffix(".segment") ? .fails(code) : nil
        }
    }

    @Test(arguments: [Durability.durable, .flushed, .interval(milliseconds: 1000)])
    func `goes on in its segment with the next append`(_ durability: Durability) throws {
        let engine = try open()
        let writer = try SmallStream.create(in: engine, durability: durability)
        for _ in 0..<2 {
            try SmallStream.append(to: writer, needsSync: durability == .durable)
            try writer.rest()
            #expect(!writer.isAwake)
        }
        #expect(writer.view.segments.count == 1)
        #expect(try SmallStream.offsets(writer.view) == [0, 1])
        try engine.close()
        #expect(try SmallStream.offsets(try SmallStream.view(try open())) == [0, 1])
    }

    @Test(arguments: 0..<20)
    func `has lost nothing when the power fails`(seed: UInt64) throws {
        let writer = try SmallStream.create(in: try open())
        try SmallStream.append(4, to: writer)
        try writer.rest()
        #expect(writer.durableEnd == Offset(4))
        let left = disk.afterPowerLoss(seed: seed)
        let engine = try StoreEngine.open(files: left, host: machine.host, creating: true)
        #expect(engine.reports.isEmpty)
        #expect(try SmallStream.offsets(try SmallStream.view(engine)) == [0, 1, 2, 3])
    }

    @Test func `costs no sync where nothing is owed`() throws {
        let writer = try SmallStream.create(in: try open(), durability: .durable)
        try SmallStream.append(to: writer, needsSync: true)
        try writer.sync()
        try writer.mark()
        let syncs = disk.syncCount
        try writer.rest()
        try writer.rest()
        #expect(disk.syncCount == syncs)
    }

    @Test func `has left the word how far it is durable`() throws {
        let writer = try SmallStream.create(in: try open(), durability: .durable)
        try SmallStream.append(to: writer, needsSync: true)
        try writer.sync()
        try writer.rest()
        let file = try disk.open(try segment(writer), .read)
        let bytes = try disk.read(file, at: .zero, byteCount: try disk.size(of: file))
        let id = try #require(writer.view.segments.last?.id)
        var scanner = SegmentScanner(segment: id, position: FilePosition(4096))
        var found: [Offset] = []
        while case .batch(let header, _) = scanner.next(in: bytes.span.bytes) {
            found.append(header.durableEnd)
        }
        #expect(found == [Offset(0), Offset(1)])
    }

    @Test func `is closed in good order without its file`() throws {
        let engine = try open()
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(to: writer)
        try writer.rest()
        fail(.open(.readWrite), .exhausted)
        try engine.close()
        files.follow { _, _ in nil }
        let again = try open()
        #expect(again.reports.isEmpty)
        let next = try SmallStream.writer(again)
        try SmallStream.append(to: next)
        #expect(next.view.segments.count == 1)
    }

    @Test(arguments: [WeirError.Code.exhausted, .notFound])
    func `fails an append that cannot open its file, and no other`(code: WeirError.Code) throws {
        let writer = try SmallStream.create(in: try open())
        try SmallStream.append(to: writer)
        try writer.rest()
        fail(.open(.readWrite), code)
        let error = #expect(throws: WeirError.self) { try SmallStream.append(to: writer) }
        #expect(error?.code == code)
        #expect(files.hits == 1)
        files.follow { _, _ in nil }
        try SmallStream.append(to: writer)
        #expect(try SmallStream.offsets(writer.view) == [0, 1])
    }

    @Test(arguments: [-8, 8])
    func `takes nothing into a file that something else changed`(byteCount: Int) throws {
        let writer = try SmallStream.create(in: try open())
        try SmallStream.append(to: writer)
        try writer.rest()
        let file = try disk.open(try segment(writer), .readWrite)
        let size = try disk.size(of: file)
        try disk.truncate(file, to: size + byteCount)
        let error = #expect(throws: WeirError.self) { try SmallStream.append(to: writer) }
        #expect(error?.code == .damaged)
        #expect(error?.message.contains("\(size + byteCount) bytes; expected \(size)") == true)
        #expect(writer.nextOffset == Offset(1))
        try disk.truncate(file, to: size)
        try SmallStream.append(to: writer)
        #expect(writer.nextOffset == Offset(2))
    }

    @Test func `has sealed the segments that it left`() throws {
        let writer = try SmallStream.create(in: try open())
        try SmallStream.append(7, to: writer)
        try writer.rest()
        #expect(!writer.hasWork)
        #expect(writer.view.segments.dropLast().allSatisfy { $0.sealed != nil })
        try SmallStream.append(to: writer)
        #expect(try SmallStream.offsets(writer.view) == Array(0..<8))
    }

    @Test func `keeps neither room nor a next file that were made ahead`() throws {
        let writer = try SmallStream.create(in: try open(), durability: .durable)
        for _ in 0..<10 {
            try SmallStream.append(to: writer, needsSync: true)
            try writer.sync()
        }
        writer.work()
        let names = { try disk.list(StoreLayout.stream(writer.streamID)) }
        #expect(try names().contains(StoreLayout.nextSegmentName))
        try writer.rest()
        #expect(try !names().contains(StoreLayout.nextSegmentName))
        let size = try disk.size(of: try disk.open(try segment(writer), .read))
        #expect(FilePosition(UInt64(size)) == writer.view.segments.last?.readableEnd)
        try SmallStream.append(2, to: writer, needsSync: true)
        try writer.sync()
        #expect(try SmallStream.offsets(writer.view) == Array(0..<12))
    }

    @Test func `is not reached when its sync fails, and nothing is synced again`() throws {
        let engine = try open()
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(to: writer)
        fail(.sync, .system)
        try writer.rest()
        #expect(files.hits == 1)
        #expect(writer.poison?.code == .poisoned)
        #expect(!writer.isAwake)
        files.follow { _, _ in nil }
        let error = #expect(throws: WeirError.self) { try SmallStream.append(to: writer) }
        #expect(error?.code == .poisoned)
        #expect(writer.durableEnd == .zero)
        do { try engine.close() } catch { #expect(error.code == .poisoned) }
    }

    @Test func `is put off by a full disk, which costs nothing else`() throws {
        let writer = try SmallStream.create(in: try open(), durability: .durable)
        try SmallStream.append(to: writer, needsSync: true)
        try writer.sync()
        fail(.write, .noSpace)
        let error = #expect(throws: WeirError.self) { try writer.rest() }
        #expect(error?.code == .noSpace)
        #expect(writer.isAwake)
        files.follow { _, _ in nil }
        try SmallStream.append(to: writer, needsSync: true)
        try writer.rest()
        #expect(try SmallStream.offsets(writer.view) == [0, 1])
    }
}
