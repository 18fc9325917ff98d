import Testing
import WeirBase
import WeirCompaction

@testable import Weir

/// Keys that the API would refuse, in entries that a client framed itself, and keys without bytes.
@Suite("Keys of no bytes and of a mebibyte")
struct LongKeyTests {
    private let folder = TemporaryFolder()
    /// Two that differ in their last byte only.
    private static let long = [UInt8](repeating: 7, count: 1 << 20)
    private static let other: [UInt8] = long.dropLast() + [8]

    /// An AMQP message: the key as an annotation, and a value, or none for a tombstone.
    private static func entry(_ key: [UInt8], _ value: String?) -> [UInt8] {
        func big(_ number: Int) -> [UInt8] {
            withUnsafeBytes(of: UInt32(number).bigEndian) { Array($0) }
        }
        let name = Array("x-opt-partition-key".utf8)
        let items = [0xA3, UInt8(name.count)] + name + [0xB0] + big(key.count) + key
        let annotations = [0x00, 0x53, 0x72, 0xD1] + big(items.count + 4) + big(2) + items
        guard let value else { return annotations + [0x00, 0x53, 0x77, 0x40] }
        return annotations + [0x00, 0x53, 0x75, 0xB0] + big(value.utf8.count) + Array(value.utf8)
    }

    private static let appended: [(key: [UInt8], value: String?)] = [
        (long, "old"), ([], "old"), (other, "old"), (long, "new"), ([], "new"),
        (bytes("k"), "old"), (other, nil), (bytes("k"), "new"),
    ]
    /// What a dictionary keeps of them.
    private static let kept = ["new", "new", "new"]

    private func open() throws -> (Store, LogStream) {
        let store = try Store.openBlocking(at: folder.path)
        store.pauseUpkeep()
        let stream = try store.streamBlocking(
            "s",
            creating: .init(
                durability: .flushed, batchBytesMax: 4 << 20,
                compaction: CompactionPolicy(tombstoneSecondsMin: 0)))
        let writer = try stream.syncWriter()
        for record in Self.appended {
            var batch = Batch(byteLimit: writer.batchBytesMax)
            let isAdded = batch.append(entry: Self.entry(record.key, record.value).span.bytes)
            #expect(isAdded)
            try writer.append(&batch)
        }
        return (store, stream)
    }

    private func values(_ records: [Record]) -> [String] { records.map { text($0.value) } }

    /// What replay by key answers, by the index where that has come so far.
    private func values(of key: [UInt8], _ stream: LogStream) throws -> [String] {
        var found: [String] = []
        var records = try stream.records(key: key)
        while case .record(let record) = try records.next() { found.append(text(record.value)) }
        return found
    }

    private func check(_ stream: LogStream) throws {
        #expect(values(try stream.all()) == Self.kept)
        #expect(try stream.all().map(\.key) == [Self.long, [], bytes("k")])
        #expect(try values(of: Self.long, stream) == ["new"])
        #expect(try values(of: [], stream) == ["new"])
        #expect(try values(of: Self.other, stream) == [])
    }

    @Test func `are compacted, read, found by key and verified as any others`() throws {
        let (store, stream) = try open()
        #expect(try values(of: Self.long, stream) == ["old", "new"])
        let report = try stream.compactBlocking(.init(isNow: true))
        #expect(report.keys == 4)
        #expect(report.recordsWithLongKeys == 0)
        try check(stream)
        try store.closeBlocking()
        let again = try Store.openBlocking(at: folder.path)
        try check(try again.streamBlocking("s"))
        try again.closeBlocking()
        #expect(try Store.verify(at: folder.path, deep: true).findings.isEmpty)
        let index = try Store.checkIndex(ofStoreAt: folder.path, everyKey: true)
        #expect(index.findings.isEmpty)
        #expect(index.keyCount == 3)
    }

    /// The map holds one of the long keys at a time: it takes passes, and no more memory.
    @Test func `are compacted in passes where the map is small`() throws {
        let (store, stream) = try open()
        let report = try compact(stream, mapBytes: 3 << 19)
        #expect(report.passes > 1)
        #expect(report.recordsWithLongKeys == 0)
        try check(stream)
        try store.closeBlocking()
    }

    /// Their records stay then, and are told of; a tombstone among them as well.
    @Test func `stay where no map of that size holds them`() throws {
        let (store, stream) = try open()
        let report = try compact(stream, mapBytes: 64 << 10)
        #expect(report.recordsWithLongKeys == 4)
        #expect(values(try stream.all()) == ["old", "old", "new", "new", "", "new"])
        #expect(try values(of: Self.long, stream) == ["old", "new"])
        try store.closeBlocking()
    }

    private func compact(_ stream: LogStream, mapBytes: Int) throws -> CompactionReport {
        try stream.committer?.sealActive()
        var request = CompactionRequest(policy: CompactionPolicy(tombstoneSecondsMin: 0))
        request.policy.lagSecondsMin = 0
        request.takesAll = true
        request.mapBytes = mapBytes
        return try stream.parts.upkeep.compact(stream.open, request)
    }

    @Test func `are refused by the API where they are too long`() throws {
        let (store, stream) = try open()
        let error = #expect(throws: WeirError.self) {
            try stream.enqueue(key: Self.long, value: [1])
        }
        #expect(error?.message == "The key has 1048576 bytes; expected at most 65536.")
        try store.closeBlocking()
    }
}
