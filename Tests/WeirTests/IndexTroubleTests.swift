import Foundation
import Logging
import Testing
import WeirBase
import WeirFormat
import WeirIndex

@testable import Weir

@Suite("An index in trouble")
struct IndexTroubleTests {
    private let folder = TemporaryFolder()
    private let quiet: Logger = {
        var logger = Logger(label: "weir")
        logger.logLevel = .critical
        return logger
    }()

    /// Record n has the n-th key, in a batch of its own.
    private func append(_ keys: [String], to stream: LogStream) throws {
        let writer = try stream.syncWriter()
        for key in keys {
            var batch = Batch()
            _ = try batch.append(key: bytes(key), value: bytes(key))
            try writer.append(&batch)
        }
    }

    private func reader(_ index: StoreIndex) -> IndexReader? {
        guard case .reader(let reader, _) = index.lookup() else { return nil }
        return reader
    }

    @Test func `is thrown away once, whoever distrusts the same file later`() async throws {
        let store = try await Store.open(at: folder.path, logger: quiet)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        try append(["k"], to: stream)
        while store.indexReport().generation != 1 { await Task.yield() }
        let first = try #require(reader(store.index))
        _ = store.index.distrust(WeirError.damaged("The first one looked."), of: first)
        while store.indexReport().generation != 2 { await Task.yield() }
        let second = try #require(reader(store.index))
        #expect(second !== first)
        _ = store.index.distrust(WeirError.damaged("The second one looked."), of: first)
        #expect(reader(store.index) === second)
        try await store.close()
        let again = try await Store.open(at: folder.path, .read)
        #expect(again.indexReport().generation == 2)
        try await again.close()
    }

    @Test func `that is found wrong behind right answers gives each record once`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        try append(["k", "x", "k", "x", "k", "x", "k", "x"], to: stream)
        try await store.close()
        let reading = try await Store.open(at: folder.path, .read, logger: quiet)
        let found = try await reading.stream("s")
        // It leaves out what stands at 4, and names 5, where another key stands.
        try forge([0, 2, 5, 6], of: WantedField.key(bytes("k")), in: found, reading.engine)
        var records = try found.records(key: "k")
        var offsets: [Offset] = []
        while case .record(let record) = try records.next() { offsets.append(record.offset) }
        #expect(offsets == [0, 2, 4, 6])
        #expect(records.scanReason?.contains("names what is not at offset 5") == true)
        try await reading.close()
    }

    /// Puts an index in the place of the store's that whoever wrote the store last might have made.
    private func forge(
        _ offsets: [Offset], of wanted: WantedField, in stream: LogStream, _ engine: SystemEngine
    ) throws {
        let files = IndexFiles(files: engine.files)
        let opening = try #require(try EpochFile.lastOpening(files: engine.files))
        try files.remove(but: nil)
        try files.create(7)
        let writer = try IndexWriter.create(
            path: files.path(7), IndexIdentity(store: engine.header.storeID, opening))
        try writer.append([
            KeyRun(
                stream: stream.open.id, first: .zero, end: stream.endOffset,
                entries: offsets.map { KeyEntry(hash: wanted.hash, offset: $0) })
        ])
        try writer.close()
    }

    @Test func `that a reading process finds wrong is made anew by the writer, asked once`()
        async throws
    {
        let store = try await Store.open(at: folder.path, logger: quiet)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        try append(["k", "x", "k"], to: stream)
        while store.indexReport().generation != 1 || store.indexReport().lag != 0 {
            await Task.yield()
        }
        let reading = try await Store.open(at: folder.path, .read, logger: quiet)
        let found = try #require(reader(reading.index))
        let told = reading.index.distrust(WeirError.damaged("It was looked at."), of: found)
        #expect(told.contains("It was looked at.") && told.contains("was asked to make"))
        while store.indexReport().generation != 2 || store.indexReport().lag != 0 {
            await Task.yield()
        }
        // Of the first, nothing is to be said any more, by whoever comes late.
        let client = try ControlClient(path: folder.path)
        let request = IndexRequest(rebuild: true, generation: 1)
        _ = try client.ask(request, for: IndexProgress.self)
        #expect(
            reading.index.distrust(WeirError.damaged("It is late."), of: found).contains("asked")
                == false)
        try append(["k"], to: stream)
        while store.indexReport().lag != 0 { await Task.yield() }
        #expect(store.indexReport().generation == 2)
        while reader(reading.index) == nil { await Task.yield() }
        var records = try await reading.stream("s").records(key: "k")
        var offsets: [Offset] = []
        while case .record(let record) = try records.next() { offsets.append(record.offset) }
        #expect(offsets == [0, 2, 3] && records.scanReason == nil)
        try await reading.close()
        try await store.close()
    }

    /// SQLite would follow a link out of the store, and wait at a FIFO for ever.
    @Test(.timeLimit(.minutes(2)), arguments: [false, true])
    func `in whose place something else stands is made anew`(isPipe: Bool) async throws {
        try await Store.open(at: folder.path, index: .off).close()
        let elsewhere = TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: elsewhere.path, withIntermediateDirectories: false)
        let (path, file) = (folder.path + "/index-1.sqlite", elsewhere.path + "/file")
        #expect(FileManager.default.createFile(atPath: file, contents: Data("mine".utf8)))
        if isPipe {
            #expect(mkfifo(path, 0o600) == 0)
        } else {
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: file)
        }
        let report = try Store.verify(at: folder.path)
        #expect(report.findings.map(\.kind) == [.damagedIndex])
        let store = try await Store.open(at: folder.path, logger: quiet)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        try append(["k"], to: stream)
        while store.indexReport().lag != 0 { await Task.yield() }
        #expect(store.indexReport().generation == 2)
        try await store.close()
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "mine")
        #expect(try Store.verify(at: folder.path).isHealthy)
    }

    @Test func `says so no longer once it can be kept again`() async throws {
        try await Store.open(at: folder.path, index: .off).close()
        let path = folder.path + "/index-1.sqlite"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        try append(["k"], to: stream)
        while store.indexReport().trouble == nil { await Task.yield() }
        #expect(store.indexReport().generation == nil)
        try FileManager.default.removeItem(atPath: path)
        while store.indexReport().generation == nil { await Task.yield() }
        #expect(store.indexReport().trouble == nil)
        #expect(store.indexReport().lag == 0)
        try await store.close()
    }
}
