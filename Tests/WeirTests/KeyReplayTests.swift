import Foundation
import Logging
import Testing
import Weir
import WeirTesting

@Suite("A replay by key")
struct KeyReplayTests {
    private let folder = TemporaryFolder()
    private static let keys = (0..<12).map { "key \($0)" }

    /// A store with one stream of random records, closed in good order.
    private func makeHistory(seed: UInt64, rounds: Int = 12) async throws {
        var random = SeededRandom(seed: seed)
        var store = try await Store.open(at: folder.path)
        var stream = try await store.stream("s", creating: .init(durability: .flushed))
        for _ in 0..<rounds {
            if random.oneIn(4) {
                try await store.close()
                store = try await Store.open(at: folder.path)
                stream = try await store.stream("s")
            }
            try await append(&random, to: stream)
        }
        try await store.close()
    }

    private func append(_ random: inout SeededRandom, to stream: LogStream) async throws {
        var batch = Batch()
        let hasKeys = !random.oneIn(5)
        for number in 0...random.below(400) {
            // Some keys are much more frequent than others.
            let key = Self.keys[random.below(random.below(Self.keys.count) + 1)]
            let value = random.oneIn(9) ? nil : bytes("value \(number)")
            let isKeyed = value == nil || hasKeys && !random.oneIn(3)
            _ = try batch.append(
                key: isKeyed ? bytes(key) : nil, headers: ["n": .int(Int64(number))],
                value: value)
        }
        try await stream.append(&batch)
    }

    private func answer(
        _ stream: LogStream, _ key: String, from start: StartPosition = .first
    ) throws -> (records: [Record], scanReason: String?) {
        var records = try stream.records(key: key, from: start)
        var found: [Record] = []
        while true {
            switch try records.next() {
            case .record(let record): found.append(record)
            case .gap(let gap): Issue.record("unexpected gap: \(gap)")
            case .end: return (found, records.scanReason)
            }
        }
    }

    /// Every key, from the start and from somewhere, against a walk over the stream. Says why the
    /// index was not used, if it was not.
    @discardableResult
    private func check(
        _ note: String, _ access: Store.Access = .read, index: IndexUse = .on
    ) throws -> String? {
        var logger = Logger(label: "weir")
        logger.logLevel = .critical
        let store = try Store.openBlocking(at: folder.path, access, index: index, logger: logger)
        let stream = try store.streamBlocking("s")
        let all = try stream.all()
        var reason: String?
        let middle = Offset(stream.endOffset.value / 2)
        for key in Self.keys + ["no such key"] {
            let expected = all.filter { $0.key == bytes(key) }
            let found = try answer(stream, key)
            #expect(found.records == expected, "\(note), \(key)")
            reason = reason ?? found.scanReason
            let later = try answer(stream, key, from: .offset(middle))
            #expect(later.records == expected.filter { $0.offset >= middle }, "\(note), \(key)")
        }
        try store.closeBlocking()
        return reason
    }

    private var file: URL { URL(filePath: folder.path + "/index-1.sqlite") }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func `gives what a walk over the stream gives`(seed: UInt64) async throws {
        try await makeHistory(seed: seed)
        #expect(try check("intact") == nil)
        #expect(try check("off", index: .off) != nil)
        try FileManager.default.removeItem(at: file)
        #expect(try check("deleted") == "there is no index yet")
    }

    @Test func `is complete while the index is behind`() async throws {
        try await makeHistory(seed: 21)
        let old = try Data(contentsOf: file)
        try await makeHistory(seed: 22)
        try old.write(to: file)
        try check("behind")
        // A writer sees that the file is of an older opening, and makes it anew.
        try check("being made anew", .write)
        let store = try await Store.open(at: folder.path, .read)
        #expect(store.indexReport().generation == 2)
        #expect(store.indexReport().lag == 0)
        try await store.close()
        #expect(try check("made anew") == nil)
    }

    @Test func `is complete with the index cut at any page`() async throws {
        try await makeHistory(seed: 31, rounds: 8)
        let whole = try Data(contentsOf: file)
        for byteCount in stride(from: 0, to: whole.count, by: 8192) {
            try whole.prefix(byteCount).write(to: file)
            try check("cut to \(byteCount) bytes")
        }
    }

    @Test func `is complete with a bit of the index flipped`() async throws {
        try await makeHistory(seed: 41, rounds: 3)
        let whole = try Data(contentsOf: file)
        var random = SeededRandom(seed: 42)
        for trial in 0..<200 {
            var bytes = whole
            bytes[random.below(bytes.count)] ^= 1 << random.below(8)
            try bytes.write(to: file)
            try check("seed 42, trial \(trial)")
        }
    }

    @Test func `is complete beside an index of another store or version`() async throws {
        try await makeHistory(seed: 51)
        let own = try Data(contentsOf: file)
        let other = TemporaryFolder()
        let store = try await Store.open(at: other.path)
        let stream = try await store.stream("s", creating: .init())
        try await stream.append(key: "key 1", value: bytes("of the other"))
        try await store.close()
        try Data(contentsOf: URL(filePath: other.path + "/index-1.sqlite")).write(to: file)
        #expect(try check("of another store")?.contains("index is of store") == true)

        // The user version stands in bytes 60 to 63 of an SQLite file.
        var newer = own
        newer[63] = 9
        try newer.write(to: file)
        #expect(try check("of a newer version")?.contains("version 9") == true)
        try check("being made anew", .write)
        #expect(try check("made anew") == nil)
    }

    @Test func `is complete with an index that is ahead of its log`() async throws {
        try await makeHistory(seed: 61, rounds: 4)
        let early = TemporaryFolder()
        try FileManager.default.copyItem(atPath: folder.path, toPath: early.path)
        try await makeHistory(seed: 62, rounds: 4)
        let late = try Data(contentsOf: file)
        try FileManager.default.removeItem(atPath: folder.path)
        try FileManager.default.copyItem(atPath: early.path, toPath: folder.path)
        try late.write(to: file)
        try check("ahead")
        try check("being made anew", .write)
        #expect(try check("made anew") == nil)
    }

    @Test func `in the writing process has a damaged index made anew`() async throws {
        try await makeHistory(seed: 71)
        var damaged = try Data(contentsOf: file)
        // Keys fill the pages from the fourth on.
        for place in stride(from: 5 * 8192, to: damaged.count, by: 100) { damaged[place] ^= 0x10 }
        try damaged.write(to: file)
        try check("damaged", .write)
        let store = try await Store.open(at: folder.path, .read)
        #expect(store.indexReport().generation == 2)
        #expect(store.indexReport().lag == 0)
        try await store.close()
        #expect(try check("made anew") == nil)
    }

    @Test func `beside the writer is complete for a reader`() async throws {
        try await makeHistory(seed: 81, rounds: 3)
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s")
        let reading = try await Store.open(at: folder.path, .read)
        let read = try await reading.stream("s")
        var random = SeededRandom(seed: 82)
        for _ in 0..<20 {
            try await append(&random, to: stream)
            let key = Self.keys[random.below(4)]
            let found = try answer(read, key).records
            #expect(found == (try stream.all().filter { $0.key == bytes(key) }))
        }
        try await reading.close()
        try await store.close()
    }

    @Test func `opens an index anew that nobody wrote when it was opened`() async throws {
        try await makeHistory(seed: 85, rounds: 8)
        let reading = try await Store.open(at: folder.path, .read)
        let read = try await reading.stream("s")
        #expect(try answer(read, "key 0").scanReason == nil)
        // A writer comes, changes most of the file, and goes.
        try await makeHistory(seed: 86, rounds: 8)
        let own = try await Store.open(at: folder.path, .read)
        let all = try await own.stream("s").all()
        try await own.close()
        for key in Self.keys {
            // What it sees may grow while it is asked.
            let end = read.endOffset
            let found = try answer(read, key).records.filter { $0.offset < end }
            #expect(found == all.filter { $0.key == bytes(key) && $0.offset < end })
        }
        #expect(try answer(read, "key 0").scanReason == nil)
        try await reading.close()
    }

    @Test func `goes on with the index of a writer that vanished`() async throws {
        try await makeHistory(seed: 91, rounds: 3)
        do {
            // Dropped without a close.
            let store = try Store.openBlocking(at: folder.path)
            let stream = try store.streamBlocking("s")
            var random = SeededRandom(seed: 92)
            for _ in 0..<5 { try await append(&random, to: stream) }
        }
        try check("after that", .write)
        #expect(try check("intact") == nil)
        #expect(try await Store.open(at: folder.path, .read).indexReport().generation == 1)
    }

    @Test func `sees what was appended a moment ago`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init())
        for number in 0..<50 {
            let receipt = try await stream.append(key: "k", value: bytes("\(number)"))
            let found = try Array(keyed: stream, "k")
            #expect(found.count == number + 1)
            #expect(found.last?.offset == receipt.offset)
        }
        try await store.close()
    }

    @Test func `reads the log of a stream whose keys are not indexed`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init(keyIndex: false))
        try await stream.append(key: "k", value: bytes("v"))
        #expect(try Array(keyed: stream, "k").count == 1)
        #expect(store.indexReport().streams.isEmpty)
        try await store.close()
        let again = try await Store.open(at: folder.path)
        #expect(try await again.stream("s").configuration.keyIndex == false)
        try await again.close()
    }
}

extension Array where Element == Record {
    /// The records of a key.
    init(keyed stream: LogStream, _ key: String) throws {
        self = []
        var records = try stream.records(key: key)
        while case .record(let record) = try records.next() { append(record) }
    }
}
