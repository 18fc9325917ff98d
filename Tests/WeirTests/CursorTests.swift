import Foundation
import Testing
import Weir
import WeirBase

@Suite("A cursor")
struct CursorTests {
    private let folder = TemporaryFolder()

    /// A stream of records `0`, `1`, … in batches of one.
    private func open(
        _ count: Int = 10, durability: Durability = .durable
    ) async throws -> (Store, LogStream) {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(durability: durability))
        for number in 0..<count { try await stream.append(value: bytes("\(number)")) }
        return (store, stream)
    }

    private func reopened(_ access: Store.Access = .write) async throws -> (Store, LogStream) {
        let store = try await Store.open(at: folder.path, access)
        return (store, try await store.stream("s"))
    }

    @Test func `stands nowhere before its first commit, and then there, also after a close`()
        async throws
    {
        let (store, stream) = try await open()
        let cursor = try stream.savedCursor("c")
        #expect(try cursor.position == nil)
        try await cursor.commit(upTo: 4)
        let position = try #require(try cursor.position)
        #expect(position.offset == 4 && position.epoch == Epoch(1))
        try await store.close()
        let (again, found) = try await reopened()
        #expect(try found.savedCursor("c").position == position)
        try await again.close()
    }

    @Test func `goes back only when it is forced`() async throws {
        let (store, stream) = try await open()
        let cursor = try stream.savedCursor("c")
        try await cursor.commit(upTo: 4)
        let error = await #expect(throws: WeirError.self) { try await cursor.commit(upTo: 3) }
        #expect(error?.code == .unexpectedOffset)
        #expect(error?.place?.stream == "s")
        try await cursor.commit(upTo: 3, force: true)
        #expect(try cursor.position?.offset == 3)
        try await store.close()
    }

    @Test func `stands nowhere beyond the stream's end`() async throws {
        let (store, stream) = try await open()
        let cursor = try stream.savedCursor("c")
        try await cursor.commit(upTo: 10)
        let error = await #expect(throws: WeirError.self) { try await cursor.commit(upTo: 11) }
        #expect(error?.code == .invalidArgument)
        #expect(try cursor.position?.offset == 10)
        try await store.close()
    }

    @Test func `is gone when it is removed, and when its stream is deleted`() async throws {
        let (store, stream) = try await open()
        for name in ["a", "b"] { try await stream.savedCursor(name).commit(upTo: 4) }
        try await stream.savedCursor("a").remove()
        #expect(try await store.cursors().map(\.name) == ["b"])
        let error = await #expect(throws: WeirError.self) {
            try await stream.savedCursor("a").remove()
        }
        #expect(error?.code == .notFound)
        try await store.deleteStream("s")
        let late = await #expect(throws: WeirError.self) {
            try await stream.savedCursor("b").commit(upTo: 5)
        }
        #expect(late?.code == .closed)
        let anew = try await store.stream("s", creating: .init())
        #expect(try anew.savedCursor("b").position == nil)
        // Of each a commit and a tombstone.
        #expect(try await store.stream("weir.cursors").endOffset == 4)
        try await store.close()
        #expect(try Store.cursors(ofStoreAt: folder.path).isEmpty)
    }

    @Test func `tells how far it lags`() async throws {
        let (store, stream) = try await open()
        let cursor = try stream.savedCursor("c")
        let all = try await cursor.lag()
        #expect(all.records == 10)
        try await cursor.commit(upTo: 7)
        let lag = try await cursor.lag()
        #expect(lag.records == 3)
        // Three batches at least, and no more than all of them; a marker may have come meanwhile.
        #expect(lag.bytes >= 3 * 128 && lag.bytes <= all.bytes + 1024)
        #expect(try #require(lag.time) >= .zero)
        try await cursor.commit(upTo: 10)
        let none = try await cursor.lag()
        #expect(none.records == 0 && none.bytes == 0 && none.time == nil)
        try await store.close()
    }

    @Test(arguments: ["", "a b", "-a", String(repeating: "x", count: 129)])
    func `has a name like a stream's`(name: String) async throws {
        let (store, stream) = try await open(0)
        let error = #expect(throws: WeirError.self) { try stream.savedCursor(name) }
        #expect(error?.code == .invalidArgument)
        let start = #expect(throws: WeirError.self) { try stream.subscribe(from: .cursor(name)) }
        #expect(start?.code == .invalidArgument)
        try await store.close()
    }

    @Test func `is where a subscription begins, and the first record before its first commit`()
        async throws
    {
        let (store, stream) = try await open()
        #expect(try stream.all(from: .cursor("c")).count == 10)
        try await stream.savedCursor("c").commit(upTo: 8)
        #expect(try stream.all(from: .cursor("c")).map(\.offset) == [8, 9])
        let batch = try await stream.subscribe(from: .cursor("c")).nextBatch()
        #expect(batch?.firstOffset == 8)
        try await store.close()
    }

    @Test func `gives again what was processed and not committed, and nothing else`() async throws {
        var (store, stream) = try await open(20)
        var processed: [String: Int] = [:]
        var random = SystemRandomNumberGenerator()
        var deaths = 0
        life: while true {
            let cursor = try stream.savedCursor("c")
            let subscription = try stream.subscribe(from: .cursor("c"), as: "c")
            var done = try cursor.position?.offset ?? .zero
            while done < 20 {
                let batch = try #require(try await subscription.nextBatch())
                for record in batch { processed[text(record.value), default: 0] += 1 }
                done = batch.endOffset
                // It dies between its work and its commit.
                if Int.random(in: 0..<4, using: &random) == 0, deaths < 12 {
                    deaths += 1
                    subscription.cancel()
                    try await store.close()
                    (store, stream) = try await reopened()
                    continue life
                }
                try await cursor.commit(upTo: done)
            }
            break
        }
        #expect(processed.count == 20)
        // Once, and once more for each death, which costs the one batch that was under way.
        #expect(processed.values.reduce(0, +) == 20 + deaths)
        try await store.close()
    }

    @Test func `takes commits of many tasks at once, and stands at the last`() async throws {
        let (store, stream) = try await open(200)
        let cursor = try stream.savedCursor("c")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for offset in 1...200 {
                group.addTask {
                    do {
                        try await cursor.commit(upTo: Offset(UInt64(offset)))
                    } catch let error as WeirError where error.code == .unexpectedOffset {
                        // A later one was durable already.
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try cursor.position?.offset == 200)
        try await store.close()
    }

    @Test func `is committed by a reading process through the one that writes`() async throws {
        let (store, stream) = try await open()
        let (reader, seen) = try await reopened(.read)
        let cursor = try seen.savedCursor("c")
        #expect(try cursor.position == nil)
        // Made since the reader was opened, as is the stream that keeps it.
        try await cursor.commit(upTo: 3)
        #expect(try stream.savedCursor("c").position?.offset == 3)
        #expect(try cursor.position?.offset == 3)
        try await stream.savedCursor("c").commit(upTo: 5)
        #expect(try cursor.position?.offset == 5)
        #expect(try cursor.lagBlocking().records == 5)
        let error = await #expect(throws: WeirError.self) { try await cursor.commit(upTo: 2) }
        #expect(error?.code == .unexpectedOffset)
        try await cursor.remove()
        #expect(try cursor.position == nil)
        try await store.close()
        let alone = await #expect(throws: WeirError.self) { try await cursor.commit(upTo: 6) }
        #expect(alone?.code == .notFound)
        try await reader.close()
    }

    @Test func `of a store is set, listed and removed, with a writer and without one`()
        async throws
    {
        let (store, _) = try await open()
        let path = folder.path
        for step in 0..<2 {
            try Store.setCursor("c", of: "s", to: .offset(2), ofStoreAt: path)
            try Store.setCursor("c", of: "s", to: .next, ofStoreAt: path)
            let found = try #require(try Store.cursors(ofStoreAt: path, stream: "s").first)
            #expect(found.offset == 10 && found.lagRecords == 0)
            let error = #expect(throws: WeirError.self) {
                try Store.setCursor("c", of: "s", to: .first, ofStoreAt: path)
            }
            #expect(error?.code == .unexpectedOffset)
            try Store.removeCursor("c", of: "s", ofStoreAt: path)
            let missing = #expect(throws: WeirError.self) {
                try Store.removeCursor("c", of: "s", ofStoreAt: path)
            }
            #expect(missing?.code == .notFound)
            if step == 0 { try await store.close() }
        }
    }

    @Test func `stands where it did, or stays gone, when its stream was compacted`() async throws {
        let (store, stream) = try await open(30)
        let (reader, seen) = try await reopened(.read)
        for offset: Offset in [5, 10, 15, 20, 25, 30] {
            for name in ["a", "b", "c"] { try await stream.savedCursor(name).commit(upTo: offset) }
        }
        // It has read the commits that the tombstone ends, and asks again when both are gone.
        #expect(try seen.savedCursor("c").position?.offset == 30)
        try await stream.savedCursor("c").remove()
        let own = try await store.stream("weir.cursors")
        #expect(try own.all().count == 19)
        try await own.compact(.init(isNow: true))
        #expect(try own.all().count == 2)
        #expect(try seen.savedCursor("c").position == nil)
        #expect(try await reader.cursors().map(\.offset) == [30, 30])
        try await stream.savedCursor("b").commit(upTo: 30, force: true)
        try await reader.close()
        try await store.close()
        for file in try FileManager.default.contentsOfDirectory(atPath: folder.path)
        where file.hasPrefix("index-") {
            try FileManager.default.removeItem(atPath: folder.path + "/" + file)
        }
        let (again, found) = try await reopened()
        #expect(try await again.cursors().map(\.name) == ["a", "b"])
        #expect(try found.savedCursor("a").position?.offset == 30)
        #expect(try found.savedCursor("c").position == nil)
        try await again.close()
    }

    @Test func `keeps its stream from users`() async throws {
        let (store, stream) = try await open()
        try await stream.savedCursor("c").commit(upTo: 1)
        let own = try await store.stream("weir.cursors")
        for attempt in 0..<5 {
            let error = await #expect(throws: WeirError.self) {
                switch attempt {
                case 0: try await own.append(value: bytes("x"))
                case 1: _ = try own.syncWriter()
                case 2: try await store.deleteStream("weir.cursors")
                case 3: _ = try await store.stream("weir.other", creating: .init())
                default: _ = try own.savedCursor("c")
                }
            }
            #expect(error?.code == .invalidArgument, "attempt \(attempt)")
        }
        #expect(try own.all().count == 1)
        try await store.close()
    }
}
