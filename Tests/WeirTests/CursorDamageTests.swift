import Foundation
import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// Records that no commit of this Weir writes, and commits that are damaged.
@Suite("A cursor whose record is not as it should be")
struct CursorDamageTests {
    private let folder = TemporaryFolder()

    /// Ten records; the cursors `a` and `needle` stand at 1, 2, 3, one batch a commit.
    private func makeStore() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: .flushed))
        for number in 0..<10 { try await stream.append(value: bytes("\(number)")) }
        for offset in 1...3 {
            for name in ["a", "needle"] {
                try await stream.savedCursor(name).commit(upTo: Offset(UInt64(offset)))
            }
        }
        try await store.close()
    }

    /// Appends a record to `weir.cursors` behind Weir's back.
    private func forge(_ name: String, _ value: [UInt8]) throws {
        let files = try RealFileSystem.openRoot(folder.path, creating: false)
        let engine = try StoreEngine.open(files: files, host: .system(), creating: false)
        let stream = try #require(engine.stream(try StreamName("s")))
        let writer = try #require(engine.stream(CursorLog.streamName)?.writer)
        var batch = Batch()
        let key = CursorRecord.encode(CursorKey(stream: stream.id, name: name))
        let isAdded = try batch.append(key: key, value: value)
        #expect(isAdded)
        _ = try writer.append(&batch.builder, needsSync: true)
        try writer.sync()
        try engine.close()
    }

    private func reopened() async throws -> (Store, LogStream) {
        let store = try await Store.open(at: folder.path)
        return (store, try await store.stream("s"))
    }

    @Test func `stands where an earlier commit had put it, and the store reports it`()
        async throws
    {
        try await makeStore()
        let store = try await Store.open(at: folder.path, .read)
        let info = try await store.stream("weir.cursors").info()
        try await store.close()
        let path = folder.path + "/" + (try #require(info.segments.first).path)
        var content = try Data(contentsOf: URL(filePath: path))
        let place = try #require(content.range(of: Data("needle".utf8), options: .backwards))
        content[place.lowerBound] ^= 1
        try content.write(to: URL(filePath: path))
        let listed = try Store.cursorList(ofStoreAt: folder.path)
        #expect(listed.cursors.map(\.offset) == [3, 2])
        #expect(listed.damage.contains { $0.contains("may be missing") && $0.contains("offsets") })
        let (again, stream) = try await reopened()
        #expect(try Store.cursorList(ofStoreAt: folder.path).damage == listed.damage)
        #expect(again.reports.contains { $0.stream == "weir.cursors" && $0.isDamage })
        #expect(try stream.savedCursor("needle").position?.offset == 2)
        #expect(try stream.savedCursor("a").position?.offset == 3)
        try await stream.savedCursor("needle").commit(upTo: 3)
        #expect(try stream.savedCursor("needle").position?.offset == 3)
        try await again.close()
    }

    @Test func `of a newer version is refused, alone, and can be removed`() async throws {
        try await makeStore()
        try forge("needle", [2] + [UInt8](repeating: 0, count: 40))
        let (store, stream) = try await reopened()
        let cursor = try stream.savedCursor("needle")
        let error = #expect(throws: WeirError.self) { try cursor.position }
        #expect(error?.code == .newerFormat)
        let commit = await #expect(throws: WeirError.self) { try await cursor.commit(upTo: 5) }
        #expect(commit?.code == .newerFormat)
        #expect(try stream.savedCursor("a").position?.offset == 3)
        let infos = try await store.cursors(of: "s")
        #expect(infos.map(\.offset) == [3, nil])
        #expect(infos.last?.problem?.contains("version 2") == true)
        try await cursor.remove()
        #expect(try cursor.position == nil)
        try await store.close()
    }

    @Test func `that power loss left beyond the log is moved back, and its reader told once`()
        async throws
    {
        try await makeStore()
        let lost = CursorCommit(
            position: CursorPosition(epoch: Epoch(1), offset: 100), time: .distantPast)
        try forge("needle", CursorRecord.encode(lost))
        let (store, stream) = try await reopened()
        for number in 10..<12 { try await stream.append(value: bytes("\(number)")) }
        let cursor = try stream.savedCursor("needle")
        #expect(try cursor.position?.offset == 10)
        #expect(try await store.cursors().last?.lostOffset == 100)
        var reader = try stream.cursor(from: .cursor("needle"))
        let first = try reader.next()
        guard case .gap(let gap) = first else {
            Issue.record("the first step is \(first)")
            return
        }
        #expect(gap.reason == .unsynced && gap.expected == 100 && gap.next == 10)
        let second = try reader.next()
        #expect(second == .batch)
        let subscription = try stream.subscribe(from: .cursor("needle"))
        let error = await #expect(throws: WeirError.self) { try await subscription.nextBatch() }
        #expect(error?.code == .gap)
        #expect(try await subscription.nextBatch()?.firstOffset == 10)
        // What it commits now is ahead of where it was moved to, though not of where it stood.
        try await cursor.commit(upTo: 11)
        #expect(try stream.all(from: .cursor("needle")).map(\.offset) == [11])
        try await store.close()
        let (again, found) = try await reopened()
        #expect(try found.savedCursor("needle").position?.offset == 11)
        try await again.close()
    }
    @Test func `whose stream cannot be looked at stands as it was committed, and that is told`()
        async throws
    {
        // Three openings, merged into one segment, whose header tells where each began.
        for number in 0..<3 {
            let store = try await Store.open(at: folder.path)
            let stream = try await store.stream(
                "s", creating: .init(compaction: CompactionPolicy()))
            try await stream.append(key: "\(number)", value: bytes("v"))
            try await stream.savedCursor("c\(number)").commit(upTo: Offset(1))
            _ = try await stream.compact(CompactionOptions(isNow: true))
            try await store.close()
        }
        let store = try await Store.open(at: folder.path, .read)
        let segment = try #require(try await store.stream("s").info().segments.first)
        try await store.close()
        let path = folder.path + "/" + segment.path
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false)
        let (again, stream) = try await reopened()
        #expect(try stream.savedCursor("c0").position?.offset == 1)
        let told = again.reports.filter { $0.detail.hasPrefix("its cursors stand") }
        #expect(told.map(\.stream) == ["s"])
        try await again.close()
    }
}
