import Foundation
import Testing
import WeirBase
import WeirTesting

@testable import WeirIndex

@Suite("An index")
struct IndexFileTests {
    private let folder = Folder()
    private let stream = StreamID(0xFFFF_0000_0000_0001)
    private let identity = IndexIdentity(
        store: StoreID(1 << 63), epoch: Epoch(3), opened: Timestamp(microseconds: 7))
    private let next = IndexIdentity(
        store: StoreID(1 << 63), epoch: Epoch(4), opened: Timestamp(microseconds: 9))

    /// A folder of a test's own, removed with the last reference.
    final class Folder: Sendable {
        let path = NSTemporaryDirectory() + "weir-index-" + UUID().uuidString
        var file: String { path + "/index.sqlite" }
        init() {
            do {
                try FileManager.default.createDirectory(
                    atPath: path, withIntermediateDirectories: false)
            } catch {
                Issue.record(error)
            }
        }
        deinit {
            do {
                try FileManager.default.removeItem(atPath: path)
            } catch {
                Issue.record(error)
            }
        }
    }

    private func reader(isFrozen: Bool = false) throws -> IndexReader {
        try IndexReader(path: folder.file, store: identity.store, isFrozen: isFrozen)
    }

    private func run(_ range: Range<UInt64>, keys: (UInt64) -> UInt64) -> KeyRun {
        KeyRun(
            stream: stream, first: Offset(range.lowerBound), end: Offset(range.upperBound),
            entries: range.map { KeyEntry(hash: keys($0), offset: Offset($0)) })
    }

    /// All offsets of a hash, asked for page by page.
    private func offsets(_ reader: IndexReader, _ hash: UInt64, limit: Int = 10) throws -> [UInt64]
    {
        var found: [UInt64] = []
        var place = Offset.zero
        while case .offsets(let offsets, let upTo) = try reader.offsets(
            of: hash, in: stream, from: place, limit: limit, writtenBy: reader.owner)
        {
            found += offsets.map(\.value)
            place = upTo
        }
        return found
    }

    @Test(arguments: [UInt64(1), 7, 1000])
    func `finds each key's offsets over many runs`(_ step: UInt64) throws {
        let writer = try IndexWriter.create(path: folder.file, identity)
        let reader = try reader()
        var next: UInt64 = 0
        for size in [1, 50, 3000, 2, 200, 4000, 1] as [UInt64] {
            try writer.append([run(next..<next + size) { UInt64.max - $0 % step }])
            if size > 200 { while try writer.tidy(.idle) {} }
            next += size
        }
        #expect(writer.coverage(of: stream) == 0..<Offset(next))
        #expect(try reader.coverage(of: stream) == 0..<Offset(next))
        for remainder in 0..<min(step, 20) {
            let expected = (0..<next).filter { $0 % step == remainder }
            #expect(try offsets(reader, UInt64.max - remainder) == expected)
        }
        #expect(try offsets(reader, 5) == [])
        #expect(try reader.counts(of: stream).runs <= 3)
        try reader.close()
        try writer.close()
    }

    @Test func `says what it does not know`() throws {
        let writer = try IndexWriter.create(path: folder.file, identity)
        let hole = KeyRun(stream: stream, first: 20, end: 30, entries: [], isUnread: true)
        try writer.append([run(10..<20) { $0 }, hole, run(30..<40) { $0 }])
        let reader = try reader()
        let ask = { (offset: UInt64) in
            try reader.offsets(
                of: 35, in: stream, from: Offset(offset), limit: 9, writtenBy: identity)
        }
        #expect(try ask(0) == .unknown(upTo: 10))
        #expect(try ask(10) == .offsets([], upTo: 20))
        #expect(try ask(20) == .unknown(upTo: 30))
        #expect(try ask(30) == .offsets([35], upTo: 40))
        #expect(try ask(40) == .unknown(upTo: nil))
        try reader.close()
        try writer.close()
    }

    @Test func `takes runs that it has already as if they were not there`() throws {
        let writer = try IndexWriter.create(path: folder.file, identity)
        try writer.append([run(0..<10) { $0 }])
        try writer.append([run(0..<10) { $0 }, run(10..<12) { $0 }])
        let reader = try reader()
        #expect(try reader.counts(of: stream).entries == 12)
        try reader.close()
        try writer.close()
    }

    @Test func `is opened by the next opening of its store and by no other`() throws {
        let writer = try IndexWriter.create(path: folder.file, identity)
        try writer.append([run(0..<10) { $0 }])
        try writer.close()
        for (store, epoch, opened) in [(1 << 63, 2, 7), (1 << 63, 3, 8), (9, 3, 7)]
            as [(UInt64, UInt64, Int64)]
        {
            let other = IndexIdentity(
                store: StoreID(store), epoch: Epoch(epoch),
                opened: Timestamp(microseconds: opened))
            let error = #expect(throws: WeirError.self) {
                try IndexWriter.open(path: folder.file, next, after: other) { _, _ in false }
            }
            #expect(error?.code == .damaged)
        }
        let again = try IndexWriter.open(path: folder.file, next, after: identity) { _, _ in false }
        #expect(again.coverage(of: stream) == 0..<10)
        try again.append([run(10..<20) { $0 }])
        try again.close()
        let frozen = try reader(isFrozen: true)
        #expect(try offsets(frozen, 15) == [15])
        try frozen.close()
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(names == ["index.sqlite"])
    }

    @Test func `is left alone by a writer that another one overtook`() throws {
        let overtaken = try IndexWriter.create(path: folder.file, identity)
        try overtaken.append([run(0..<10) { $0 }])
        let writer = try IndexWriter.open(path: folder.file, next, after: identity) { _, _ in false
        }
        let append = #expect(throws: WeirError.self) {
            try overtaken.append([run(10..<20) { $0 }])
        }
        #expect(append?.code == .locked)
        let reader = try reader()
        #expect(try reader.coverage(of: stream) == 0..<10)
        try reader.close()
        try writer.close()
        try overtaken.close()
    }

    @Test func `is damaged where it tells of an earlier opening than the one that writes`() throws {
        let writer = try IndexWriter.create(path: folder.file, next)
        let other = try IndexConnection(path: folder.file, isReadOnly: false)
        try other.write { try IndexSchema.write(identity, in: $0) }
        try other.close()
        let error = #expect(throws: WeirError.self) { try writer.append([run(0..<10) { $0 }]) }
        #expect(error?.code == .damaged)
        try writer.close()
    }

    @Test func `is damaged where a run ends before it begins, and not while it is made`() throws {
        let writer = try IndexWriter.create(path: folder.file, identity)
        let other = try IndexConnection(path: folder.file, isReadOnly: false)
        let backward = RunRow(
            number: 9, stream: stream, first: 10, end: 5, entryCount: 0, isUnread: false)
        try other.write { try IndexSchema.insert(backward, in: $0) }
        let reader = try reader()
        let error = #expect(throws: WeirError.self) { try reader.coverage(of: stream) }
        #expect(error?.code == .damaged)
        try reader.close()
        try other.write { try SQLStatement($0, "PRAGMA application_id = 0").run() }
        let early = #expect(throws: WeirError.self) { try self.reader() }
        #expect(early?.code == .system)
        try other.close()
        try writer.close()
    }

    @Test func `forgets what is stale when it is opened`() throws {
        let first = try IndexWriter.create(path: folder.file, identity)
        try first.append([run(0..<10) { $0 }])
        try first.close()
        let writer = try IndexWriter.open(path: folder.file, next, after: identity) { id, covered in
            id == stream && covered == 0..<10
        }
        #expect(writer.coverage(of: stream) == nil)
        try writer.append([run(4..<6) { $0 }])
        let reader = try reader()
        #expect(try reader.coverage(of: stream) == 4..<6)
        #expect(reader.owner == next)
        let ofAnEarlierOpening = try reader.offsets(
            of: 5, in: stream, from: 4, limit: 9, writtenBy: identity)
        #expect(ofAnEarlierOpening == .unknown(upTo: nil))
        try reader.close()
        try writer.close()
    }

    private func journalBytes() throws -> Int {
        let journal = folder.file + "-wal"
        let size = try FileManager.default.attributesOfItem(atPath: journal)[.size]
        return try #require(size as? Int)
    }

    @Test func `cuts its journal to nothing when asked, once nobody looks in it`() throws {
        let writer = try IndexWriter.create(path: folder.file, identity)
        try writer.append([run(0..<9) { $0 }])
        let looking = try IndexConnection(path: folder.file, isReadOnly: true)
        try looking.read { database in
            try SQLStatement(database, "SELECT * FROM owner").rows { _ in true }
            try writer.append([run(9..<12) { $0 }])
            #expect(try !writer.checkpoint())
            #expect(try journalBytes() > 0)
            try writer.append([run(12..<20) { $0 }])
        }
        #expect(try writer.checkpoint())
        #expect(try journalBytes() == 0)
        let reader = try reader()
        #expect(try offsets(reader, 10) == [10])
        try looking.close()
        try writer.append([run(20..<24) { $0 }])
        #expect(try offsets(reader, 21) == [21])
        try reader.close()
        try writer.close()
    }

    @Test func `keeps its journal short while much is written, and cuts it when asked`() throws {
        let writer = try IndexWriter.create(path: folder.file, identity)
        let reader = try reader()
        var sizes: [Int] = []
        // A run of one record writes a page of leaves and one of runs at least.
        let count = UInt64(IndexLimits.journalBytesMax / IndexLimits.pageBytes * 5 / 8)
        for offset in 0..<count {
            try writer.append([run(offset..<offset + 1) { $0 }])
            if offset % 64 == 0 { sizes.append(try journalBytes()) }
            guard offset % 1000 == 0 else { continue }
            while try writer.tidy(.idle) {}
            #expect(try offsets(reader, offset) == [offset])
        }
        let most = try #require(sizes.max())
        #expect(most > IndexLimits.journalBytesMax / 4 && most <= IndexLimits.journalBytesMax)
        #expect(try writer.checkpoint())
        #expect(try journalBytes() == 0)
        #expect(try offsets(reader, count - 1) == [count - 1])
        try reader.close()
        try writer.close()
    }

    /// Whatever bits are wrong, what it answers is right, or it says that it is damaged; also while
    /// runs are merged.
    @Test(arguments: [0, 1, 9])
    func `gives no wrong answer with bits flipped anywhere`(tidyCount: Int) throws {
        let seed: UInt64 = 20_260_101
        var random = SeededRandom(seed: seed)
        let writer = try IndexWriter.create(path: folder.file, identity)
        var next: UInt64 = 0
        for size in [40_000, 30_000, 900, 100, 30, 8] as [UInt64] {
            try writer.append([run(next..<next + size) { $0 % 5000 }])
            next += size
        }
        for _ in 0..<tidyCount { _ = try writer.tidy(.idle) }
        try writer.close()
        let whole = try Data(contentsOf: URL(filePath: folder.file))
        var refused = 0
        for trial in 0..<150 {
            var bytes = whole
            for _ in 0...random.below(random.below(300) + 1) {
                bytes[random.below(bytes.count)] ^= 1 << random.below(8)
            }
            try bytes.write(to: URL(filePath: folder.file))
            let hash = UInt64(random.below(5000))
            do {
                let reader = try reader(isFrozen: true)
                let found = try offsets(reader, hash)
                // What is not covered is read from the log.
                let end = try reader.coverage(of: stream)?.upperBound.value ?? 0
                let expected = (0..<end).filter { $0 % 5000 == hash }
                #expect(found == expected, "seed \(seed), trial \(trial)")
                try reader.close()
            } catch let error as WeirError {
                #expect(error.code == .damaged, "seed \(seed), trial \(trial): \(error)")
                refused += 1
            }
        }
        #expect(refused > 0)
    }
}
