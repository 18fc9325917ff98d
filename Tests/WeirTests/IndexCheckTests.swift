import Foundation
import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirIndex

@Suite("The check of an index")
struct IndexCheckTests {
    private let folder = TemporaryFolder()

    /// 200 records with 10 keys, closed in good order: all of them are indexed.
    private func makeStore() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        for number in 0..<200 {
            try await stream.append(key: "key \(number % 10)", value: bytes("\(number)"))
        }
        try await store.close()
    }

    private var indexPath: String { folder.path + "/" + StoreLayout.index(generation: 1) }

    private func check(everyKey: Bool) throws -> IndexCheckReport {
        try Store.checkIndex(ofStoreAt: folder.path, everyKey: everyKey)
    }

    /// Puts an index of the same store in its place that has other entries.
    private func forge(_ change: ([KeyEntry]) -> [KeyEntry]) throws {
        let files = try RealFileSystem.openRoot(folder.path, creating: false)
        func content(_ path: String) throws -> [UInt8] {
            let file = try files.open(path, .read)
            return try files.read(file, at: .zero, byteCount: try files.size(of: file))
        }
        let header = try StoreHeader.decode(try content(StoreLayout.header))
        let opening = try #require(
            EpochRecord.decodeAll(try content(StoreLayout.epochs)).lastOpening)
        let name = try #require(
            try files.list(StoreLayout.streams).compactMap { StreamID(hexadecimal: $0) }.first)
        let entries = (0..<200).map {
            KeyEntry(
                hash: keyHash(bytes("key \($0 % 10)").span.bytes), offset: Offset(UInt64($0)))
        }
        try FileManager.default.removeItem(atPath: indexPath)
        try files.close(try files.open(StoreLayout.index(generation: 1), .createExclusive))
        let writer = try IndexWriter.create(
            path: indexPath,
            IndexIdentity(store: header.storeID, epoch: opening.epoch, opened: opening.time))
        try writer.append([
            KeyRun(stream: name, first: .zero, end: Offset(200), entries: change(entries))
        ])
        try writer.close()
    }

    @Test(arguments: [false, true])
    func `finds a good one good, and tells how many keys it compared`(all: Bool) async throws {
        try await makeStore()
        let report = try check(everyKey: all)
        #expect(report.findings.isEmpty && report.trouble == nil)
        #expect(report.keyCount == 200)
        try forge { $0 }
        #expect(try check(everyKey: all).findings.isEmpty)
    }

    @Test(arguments: [false, true])
    func `finds a record that it does not know`(all: Bool) async throws {
        try await makeStore()
        try forge { $0.filter { $0.offset != Offset(77) } }
        let report = try check(everyKey: all)
        #expect(report.findings.map(\.kind) == [.damagedIndex])
        #expect(report.findings.map(\.offsets) == [77..<78])
    }

    @Test func `finds an entry that is of no record`() async throws {
        try await makeStore()
        try forge { $0 + [KeyEntry(hash: 5, offset: Offset(9))] }
        let report = try check(everyKey: true)
        #expect(report.findings.map(\.kind) == [.damagedIndex])
        #expect(report.findings.first?.detail.contains("no record: 1") == true)
    }

    @Test func `finds bytes that are not what was written`() async throws {
        try await makeStore()
        var content = try Data(contentsOf: URL(filePath: indexPath))
        content.resetBytes(in: content.count - 8192..<content.count)
        try content.write(to: URL(filePath: indexPath))
        #expect(try check(everyKey: true).findings.map(\.kind) == [.damagedIndex])
        let report = try Store.verify(at: folder.path, deep: true)
        #expect(report.findings.map(\.kind) == [.damagedIndex])
    }

    @Test func `is a part of verifying, and changes no byte`() async throws {
        try await makeStore()
        let before = try Data(contentsOf: URL(filePath: indexPath))
        let report = try Store.verify(at: folder.path, deep: true)
        #expect(report.isHealthy && report.indexTrouble == nil)
        #expect(try Data(contentsOf: URL(filePath: indexPath)) == before)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(names.filter { $0.hasPrefix("index") } == ["index-1.sqlite"])
    }

    @Test func `tells why there is nothing to look at`() async throws {
        try await makeStore()
        try FileManager.default.removeItem(atPath: indexPath)
        #expect(try check(everyKey: false).trouble == "there is no index")
        #expect(try Store.verify(at: folder.path).isHealthy)
    }

    @Test func `tells what kept it from looking at a part of the log`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(compaction: CompactionPolicy()))
        try await stream.append(key: "k", value: bytes("v"))
        _ = try await stream.compact(CompactionOptions(isNow: true))
        let segment = try #require(try stream.info().segments.first).path
        try await store.close()
        try FileManager.default.removeItem(atPath: folder.path + "/" + segment)
        try FileManager.default.createDirectory(
            atPath: folder.path + "/" + segment, withIntermediateDirectories: false)
        let report = try check(everyKey: true)
        #expect(report.findings.isEmpty)
        #expect(report.trouble?.contains("is not a regular file") ?? false)
    }

    @Test(arguments: [false, true])
    func `finds a stream that cannot be opened`(all: Bool) async throws {
        let store = try await Store.open(at: folder.path)
        for name in ["good", "bad"] {
            let stream = try await store.stream(name, creating: .init(durability: .flushed))
            try await stream.append(key: "k", value: bytes("v"))
        }
        let segment = try #require(try await store.stream("bad").info().segments.first).path
        try await store.close()
        let manifest = URL(filePath: folder.path + "/" + segment).deletingLastPathComponent()
            .appending(path: StoreLayout.manifestName)
        try FileManager.default.removeItem(at: manifest)
        try FileManager.default.createDirectory(at: manifest, withIntermediateDirectories: false)
        let report = try check(everyKey: all)
        #expect(report.findings.map(\.kind) == [.unreadableStream])
        #expect(report.keyCount == 1 && report.trouble == nil)
    }

    @Test func `finds one good that knows records which compaction took`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream(
            "s", creating: .init(durability: .flushed, compaction: CompactionPolicy()))
        for number in 0..<300 {
            try await stream.append(key: "key \(number % 10)", value: bytes("\(number)"))
            guard number == 199 else { continue }
            _ = try await stream.compact(CompactionOptions(isNow: true))
        }
        try await store.close()
        let report = try check(everyKey: true)
        #expect(report.findings.isEmpty)
        #expect(report.keyCount == 110)
        #expect(try Store.verify(at: folder.path, deep: true).findings.isEmpty)
    }

    @Test func `is not needed where it is made anew`() async throws {
        try await makeStore()
        try Data([1, 2, 3]).write(to: URL(filePath: indexPath))
        let made = try Store.rebuildIndex(ofStoreAt: folder.path)
        // The opening may have made another already, which is then made anew, too.
        #expect(try #require(made.generation) >= 2)
        #expect(made.covered == 200)
        let report = try check(everyKey: true)
        #expect(report.findings.isEmpty && report.keyCount == 200)
    }

    @Test func `is made anew by the process that writes`() async throws {
        try await makeStore()
        let store = try await Store.open(at: folder.path)
        let made = try Store.rebuildIndex(ofStoreAt: folder.path)
        #expect(made.generation == 2)
        let report = try check(everyKey: true)
        #expect(report.findings.isEmpty && report.keyCount == 200)
        try await store.close()
    }
}

@Suite("The making of an index anew")
struct IndexRebuildTests {
    private func progress(
        _ generation: UInt64?, covered: UInt64, end: UInt64, trouble: String? = nil
    ) -> IndexProgress {
        IndexProgress(
            generation: generation, trouble: trouble,
            streams: [.init(name: "s", first: 0, coveredEnd: covered, end: end)])
    }

    @Test func `is done when another file covers what was there`() {
        var rebuild = IndexRebuild(progress(3, covered: 10, end: 10))
        #expect(rebuild.look(progress(3, covered: 10, end: 12)) == .wait)
        #expect(rebuild.look(progress(4, covered: 5, end: 12)) == .wait)
        #expect(rebuild.look(progress(4, covered: 10, end: 12)) == .done)
    }

    @Test func `fails by trouble that stays, and not by trouble that passes`() {
        var rebuild = IndexRebuild(progress(nil, covered: 0, end: 10))
        for covered in 1...UInt64(IndexRebuild.idleCountMax) {
            #expect(rebuild.look(progress(1, covered: covered % 9, end: 10, trouble: "t")) == .wait)
        }
        for _ in 1..<IndexRebuild.idleCountMax {
            _ = rebuild.look(progress(1, covered: 9, end: 10, trouble: "full"))
        }
        _ = rebuild.look(progress(1, covered: 9, end: 10, trouble: "full"))
        #expect(rebuild.look(progress(1, covered: 9, end: 10, trouble: "full")) == .fail("full"))
    }
}
