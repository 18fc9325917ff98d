import Foundation
import Testing
import Weir
import WeirBase

@Suite("A call for a backup")
struct BackupCallTests {
    private let folder = TemporaryFolder()
    private var backup: String { folder.path + "/backup" }
    private var storePath: String { folder.path + "/store" }

    private func store() async throws -> Store {
        try FileManager.default.createDirectory(
            atPath: folder.path, withIntermediateDirectories: true)
        let store = try await Store.open(at: storePath)
        let stream = try await store.stream("s", creating: .init())
        for number in 0..<10 { try await stream.append(value: bytes("\(number)")) }
        return store
    }

    private func error(
        _ store: Store, to path: String? = nil, _ options: BackupOptions = .init(),
        progress: @escaping Store.BackupProgress = { _, _ in true }
    ) async -> WeirError? {
        do {
            _ = try await store.backup(to: path ?? backup, options: options, progress: progress)
            return nil
        } catch {
            return error as? WeirError
        }
    }

    @Test func `is refused for a place inside the store, and for no snapshot to keep`()
        async throws
    {
        let store = try await store()
        for path in ["", "/", "/backup", "/streams/../backup"] {
            #expect(await error(store, to: store.path + path)?.code == .invalidArgument, "\(path)")
        }
        #expect(await error(store, .init(keep: 0))?.code == .invalidArgument)
        // Its name begins alike and it is another place.
        #expect(await error(store, to: store.path + "-backup") == nil)
        try await store.close()
    }

    @Test func `ends when its caller says so, and the next one takes up what is there`()
        async throws
    {
        let store = try await store()
        #expect(await error(store, progress: { _, _ in false })?.code == .closed)
        #expect(try Store.backups(at: backup).isEmpty)
        let report = try await store.backup(to: backup)
        #expect(report.snapshot.trouble == nil)
        #expect(try Store.backups(at: backup).map(\.name) == [report.snapshot.name])
        try await store.close()
    }

    @Test func `says it in a sentence when its directory goes away in the middle`() async throws {
        let store = try await store()
        let path = backup
        let found = try #require(
            await error(
                store,
                progress: { _, _ in
                    TemporaryFolder.remove(path)
                    return true
                }))
        #expect(found.code == .notFound)
        #expect(found.message.contains("went away"))
        #expect(try await store.backup(to: backup).bytesKept == 0)
        try await store.close()
    }

    @Test func `is restored, or refused in a sentence where the new folder goes away`()
        async throws
    {
        let store = try await store()
        _ = try await store.backup(to: backup)
        let target = folder.path + "/restored"
        for way in [Self.remove, Self.moveAway] {
            let error = await #expect(throws: WeirError.self) {
                try await Store.restore(from: self.backup, to: target) { _, _ in
                    way(target + ".restoring")
                    return true
                }
            }
            #expect(error?.code == .notFound)
            #expect(error?.message.contains("restored.restoring, in which the store was") == true)
            #expect(error?.description.contains("went away meanwhile; nothing was") == true)
            _ = try await Store.restore(from: backup, to: target)
            TemporaryFolder.remove(target)
        }
        try await store.close()
    }

    @Test func `is restored nowhere where something else has the place`() async throws {
        let store = try await store()
        _ = try await store.backup(to: backup)
        let target = folder.path + "/restored"
        let place = target + ".restoring"
        for isFolder in [true, false] {
            try FileManager.default.createDirectory(
                atPath: isFolder ? place : folder.path, withIntermediateDirectories: true)
            let file = isFolder ? place + "/mine" : place
            try Data("mine".utf8).write(to: URL(filePath: file))
            let error = await #expect(throws: WeirError.self) {
                try await Store.restore(from: self.backup, to: target)
            }
            #expect(error?.message.contains("\(place) until it is whole, and something") == true)
            #expect(try Data(contentsOf: URL(filePath: file)) == Data("mine".utf8))
            TemporaryFolder.remove(place)
        }
        _ = try await Store.restore(from: backup, to: target)
        try await store.close()
    }

    @Test func `is restored by one at a time, and the other is told by whom`() async throws {
        let store = try await store()
        _ = try await store.backup(to: backup)
        let (backup, target) = (backup, folder.path + "/restored")
        let messages = Lock<[String]>([])
        _ = try await Store.restore(from: backup, to: target) { _, _ in
            do throws(WeirError) {
                _ = try Store.restoreBlocking(from: backup, to: target)
            } catch {
                messages.withLock { $0.append(error.description) }
            }
            return true
        }
        let expected = try #require(messages.withLock { $0.first })
        #expect(expected.contains("under way to \(target), by process "))
        #expect(expected.hasSuffix("; wait until it is done, or give another path."))
        try await store.close()
    }

    private static func remove(_ path: String) { TemporaryFolder.remove(path) }
    private static func moveAway(_ path: String) { rename(path, path + "-away") }

    @Test func `tells how far it is`() async throws {
        let store = try await store()
        let seen = Lock<[(Int, Int)]>([])
        let report = try await store.backup(to: backup) { done, total in
            seen.withLock { $0.append((done, total)) }
            return true
        }
        let told = seen.withLock { $0 }
        #expect(!told.isEmpty && told.allSatisfy { $0.0 <= $0.1 })
        #expect(told.last.map { $0.0 } == report.snapshot.bytes)
        try await store.close()
    }

    @Test func `links sealed files where it is told to, and they are restored`() async throws {
        let store = try await store()
        let report = try await store.backup(to: backup, options: .init(link: true))
        #expect(report.bytesShared == 0 && report.bytesWritten > 0)
        // What is restored is sealed.
        let restored = folder.path + "/restored"
        _ = try await Store.restore(from: backup, to: restored)
        let sealed = try await Store.open(at: restored)
        let linked = try await sealed.backup(
            to: folder.path + "/links", options: .init(link: true))
        #expect(linked.bytesShared == linked.snapshot.bytes)
        let second = folder.path + "/second"
        _ = try await Store.restore(from: folder.path + "/links", to: second)
        let copy = try await Store.open(at: second, .read)
        #expect(try await copy.stream("s").all().count == 10)
        for one in [store, sealed, copy] { try await one.close() }
    }

    /// Sealed segments: what is restored has no others.
    private func sealed() async throws -> (path: String, segment: String) {
        let store = try await store()
        _ = try await store.backup(to: backup)
        try await store.close()
        let restored = folder.path + "/restored"
        _ = try await Store.restore(from: backup, to: restored)
        let files = try FileManager.default.subpathsOfDirectory(atPath: restored)
        return (restored, try #require(files.first { $0.hasSuffix(".segment") }))
    }

    private func segment(_ store: Store) async throws -> String {
        try await (store.stream("s").info().segments.first?.path).map { storePath + "/" + $0 } ?? ""
    }

    private func expectRenewed(_ count: Int) async throws {
        let store = try await Store.open(at: storePath)
        try await store.stream("s").append(value: bytes("behind it"))
        let report = try await store.backup(to: backup)
        #expect(report.segmentsRenewed.count == 1 && report.damage.isEmpty)
        #expect(try await store.backup(to: backup).segmentsRenewed.isEmpty)
        try await store.close()
        let snapshots = try Store.backups(at: backup).map(\.name)
        for (snapshot, count) in [(snapshots.first, count), (snapshots.last, count + 1)] {
            let target = folder.path + "/restored-\(count)"
            _ = try await Store.restore(
                from: backup, to: target, options: .init(snapshot: snapshot))
            let restored = try await Store.open(at: target, .read)
            #expect(try await restored.stream("s").all().count == count)
            try await restored.close()
        }
    }

    @Test func `copies a segment again whose header a repair has made anew`() async throws {
        let store = try await store()
        _ = try await store.backup(to: backup)
        let segment = try await segment(store)
        try await store.close()
        var bytes = try Data(contentsOf: URL(filePath: segment))
        bytes[100] ^= 1
        try bytes.write(to: URL(filePath: segment))
        let plan = try Store.repairPlan(at: storePath)
        _ = try Store.repair(at: storePath, performing: plan)
        try await expectRenewed(10)
    }

    @Test func `copies a segment again of which a recovery cut what is no batch`() async throws {
        let store = try await store()
        let segment = try await segment(store)
        try await store.close()
        var bytes = try Data(contentsOf: URL(filePath: segment))
        let last = try #require(try lastBatch(of: segment))
        for place in last..<bytes.count { bytes[place] = 0xA5 }
        try bytes.write(to: URL(filePath: segment))
        let reader = try await Store.open(at: storePath, .read)
        #expect(try await !reader.backup(to: backup).damage.isEmpty)
        try await reader.close()
        try bytes.prefix(last).write(to: URL(filePath: segment))
        try await expectRenewed(9)
    }

    private func lastBatch(of segment: String) throws -> Int? {
        var found: Int?
        try SegmentDump.forEach(inFileAt: segment) { item in
            guard item.fields.contains(where: { $0 == ("kind", "records") }) else { return }
            found = item.position
        }
        return found
    }

    private func flip(_ path: String, fromEnd distance: Int) throws {
        var bytes = try Data(contentsOf: URL(filePath: path))
        bytes[bytes.count - distance] ^= 1
        try bytes.write(to: URL(filePath: path))
    }

    @Test func `copies a segment again that a repair has sealed anew, and says so`() async throws {
        let (path, segment) = try await sealed()
        let store = try await Store.open(at: path)
        let backups = folder.path + "/backups"
        _ = try await store.backup(to: backups)
        // The footer that a repair makes says where the log begins by now.
        try await store.stream("s").trim(before: .offset(3))
        try await store.close()
        try flip(path + "/" + segment, fromEnd: 40)
        _ = try Store.repair(at: path, performing: try Store.repairPlan(at: path))
        let repaired = try await Store.open(at: path)
        let report = try await repaired.backup(to: backups)
        #expect(report.segmentsRenewed == [segment] && report.damage.isEmpty)
        #expect(try await repaired.backup(to: backups).segmentsRenewed.isEmpty)
        try await repaired.close()
        let second = folder.path + "/second"
        #expect(try await Store.restore(from: backups, to: second).damage.isEmpty)
        let copy = try await Store.open(at: second, .read)
        #expect(try await copy.stream("s").all().map(\.offset) == (3..<10).map { Offset($0) })
        try await copy.close()
    }

    @Test func `writes nothing into a link that a killed backup left of a longer file`()
        async throws
    {
        try FileManager.default.createDirectory(
            atPath: folder.path, withIntermediateDirectories: true)
        let store = try await Store.open(at: storePath)
        let stream = try await store.stream("s", creating: .init(compaction: CompactionPolicy()))
        try await stream.append(value: bytes("0"))
        _ = try await store.backup(to: backup)
        // Nothing goes; the segment is sealed.
        try await stream.append(value: bytes("1"))
        _ = try await stream.compact(CompactionOptions(isNow: true))
        let segment = try #require(try stream.info().segments.first).path
        let (own, copy) = (store.path + "/" + segment, backup + "/" + segment)
        let whole = try Data(contentsOf: URL(filePath: own))
        try FileManager.default.removeItem(atPath: copy)
        try FileManager.default.linkItem(atPath: own, toPath: copy)
        let report = try await store.backup(to: backup, options: .init(link: true))
        #expect(report.damage.isEmpty && report.bytesShared == whole.count)
        for path in [own, copy] { #expect(try Data(contentsOf: URL(filePath: path)) == whole) }
        try await store.close()
        let files = try FileManager.default.subpathsOfDirectory(atPath: backup)
        #expect(files.count { $0.contains(".segment") } == report.snapshot.segmentCount)
    }

    @Test func `has all of a linked file that was cut and mended since, and writes nothing in it`()
        async throws
    {
        let store = try await store()
        _ = try await store.backup(to: backup)
        let restored = folder.path + "/restored"
        _ = try await Store.restore(from: backup, to: restored)
        let files = try FileManager.default.subpathsOfDirectory(atPath: restored)
        let segment = try #require(files.first { $0.hasSuffix(".segment") })
        let path = restored + "/" + segment
        let whole = try Data(contentsOf: URL(filePath: path))
        let sealed = try await Store.open(at: restored)
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.truncate(atOffset: UInt64(whole.count - 40))
        let (links, options) = (folder.path + "/links", BackupOptions(link: true))
        let cut = try await sealed.backup(to: links, options: options)
        #expect(!cut.damage.isEmpty)
        try handle.seek(toOffset: 0)
        try handle.write(contentsOf: whole)
        let mended = try await sealed.backup(to: links, options: options)
        #expect(mended.damage.isEmpty)
        #expect(mended.snapshot.bytes == cut.snapshot.bytes + 40)
        #expect(try Data(contentsOf: URL(filePath: path)) == whole)
        let report = try await Store.restore(from: links, to: folder.path + "/second")
        #expect(report.damage.isEmpty)
        for one in [store, sealed] { try await one.close() }
    }
}
