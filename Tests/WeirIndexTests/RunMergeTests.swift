import Foundation
import Testing
import WeirBase
import WeirTesting

@testable import WeirIndex

@Suite("A merge of runs")
struct RunMergeTests {
    private let folder = IndexFileTests.Folder()
    private let stream = StreamID(5)
    private let identity = IndexIdentity(
        store: StoreID(1), epoch: Epoch(3), opened: Timestamp(microseconds: 3))
    private let next = IndexIdentity(
        store: StoreID(1), epoch: Epoch(4), opened: Timestamp(microseconds: 4))
    /// Two runs of so many entries take more than one piece.
    private static let size: UInt64 = 40_000
    private static let keys: UInt64 = 10_000

    private func run(from first: UInt64, _ count: UInt64 = size) -> KeyRun {
        KeyRun(
            stream: stream, first: Offset(first), end: Offset(first + count),
            entries: (first..<first + count).map {
                KeyEntry(hash: $0 % Self.keys, offset: Offset($0))
            })
    }

    private func check(_ reader: IndexReader, end: UInt64) throws {
        for hash in [0, 1, 4_999, 9_999] as [UInt64] {
            let expected = stride(from: hash, to: end, by: Int(Self.keys)).map { Offset($0) }
            let found = try reader.offsets(
                of: hash, in: stream, from: 0, limit: 1000, writtenBy: reader.owner)
            #expect(found == .offsets(expected, upTo: Offset(end)))
        }
    }

    private func reader() throws -> IndexReader {
        try IndexReader(path: folder.file, store: identity.store, isFrozen: false)
    }

    /// Numbers of runs that have leaves.
    private func leafRuns() throws -> [UInt64] {
        let connection = try IndexConnection(path: folder.file, isReadOnly: true)
        let runs = try connection.read { try IndexSchema.leafRuns(in: $0) }
        try connection.close()
        return runs
    }

    @Test func `leaves answers as they are after every piece, also of what is added`() throws {
        let writer = try IndexWriter.create(path: folder.file, identity)
        let reader = try reader()
        try writer.append([run(from: 0), run(from: Self.size)])
        try check(reader, end: 2 * Self.size)
        var end = 2 * Self.size
        var pieces = 0
        while try writer.tidy(.idle) {
            pieces += 1
            try check(reader, end: end)
            guard pieces < 4 else { continue }
            try writer.append([run(from: end, 100)])
            end += 100
            try check(reader, end: end)
        }
        #expect(pieces > 2)
        #expect(try reader.counts(of: stream).runs <= 2)
        #expect(try reader.counts(of: stream).entries == Int(end))
        #expect(try leafRuns().count <= 2)
        try reader.close()
        try writer.close()
    }

    @Test func `that a crash ended begins again, and what it left is removed`() throws {
        let first = try IndexWriter.create(path: folder.file, identity)
        try first.append([run(from: 0), run(from: Self.size)])
        #expect(try first.tidy(.idle))
        try first.close()
        #expect(try leafRuns() == [1, 2, 3])
        let writer = try IndexWriter.open(path: folder.file, next, after: identity) { _, _ in false
        }
        let reader = try reader()
        try check(reader, end: 2 * Self.size)
        while try writer.tidy(.idle) { try check(reader, end: 2 * Self.size) }
        #expect(try leafRuns() == [4])
        #expect(try reader.counts(of: stream).runs == 1)
        try reader.close()
        try writer.close()
    }

    /// A piece writes some 65,536 entries, or removes as many; there are 400,000 in all.
    @Test func `of many runs writes each entry once`() throws {
        let writer = try IndexWriter.create(path: folder.file, identity)
        for number in 0..<200 as Range<UInt64> {
            try writer.append([run(from: 2_000 * number, 2_000)])
        }
        var pieces = 0
        while try writer.tidy(.idle) { pieces += 1 }
        #expect(pieces <= 20)
        let reader = try reader()
        #expect(try reader.counts(of: stream).runs == 1)
        try check(reader, end: 400_000)
        try reader.close()
        try writer.close()
    }

    @Test func `ends with its stream`() throws {
        let writer = try IndexWriter.create(path: folder.file, identity)
        try writer.append([run(from: 0), run(from: Self.size)])
        #expect(try writer.tidy(.idle))
        try writer.forget([stream])
        while try writer.tidy(.idle) {}
        #expect(try leafRuns() == [])
        try writer.append([run(from: 7, 10)])
        #expect(writer.coverage(of: stream) == 7..<17)
        try writer.close()
    }

    @Test func `tells damage in what it reads, and changes nothing`() throws {
        let writer = try IndexWriter.create(path: folder.file, identity)
        try writer.append([run(from: 0, 1000), run(from: 1000, 1000)])
        #expect(try writer.checkpoint())
        try writer.close()
        var bytes = try Data(contentsOf: URL(filePath: folder.file))
        for place in stride(from: 4 * 8192, to: bytes.count, by: 100) { bytes[place] ^= 0x10 }
        try bytes.write(to: URL(filePath: folder.file))
        let error = #expect(throws: WeirError.self) {
            let again = try IndexWriter.open(path: folder.file, next, after: identity) { _, _ in
                false
            }
            while try again.tidy(.idle) {}
        }
        #expect(error?.code == .damaged)
    }
}
