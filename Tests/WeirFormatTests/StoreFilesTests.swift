import Testing
import WeirBase
import WeirFormat
import WeirTesting

private let storeHeader = StoreHeader(
    storeID: StoreID(0x0102_0304_0506_0708), creationTime: Timestamp(microseconds: 1_700))

private func resealed(_ bytes: [UInt8]) -> [UInt8] {
    bytes.setting(crc32c(bytes[..<60]), at: 60)
}

private func failure(_ bytes: [UInt8]) -> WeirError.Code? {
    code { () throws(WeirError) in _ = try StoreHeader.decode(bytes) }
}

@Suite("The file WEIR")
struct StoreHeaderTests {
    private typealias Field = StoreHeader.Field

    @Test func `is read back`() throws {
        let bytes = storeHeader.encode()
        #expect(bytes.count == 64)
        #expect(Array(bytes[..<8]) == Array("WEIRSTO1".utf8))
        #expect(bytes.number(UInt32.self, at: Field.version) == 1)
        #expect(bytes.number(UInt64.self, at: Field.storeID) == 0x0102_0304_0506_0708)
        #expect(bytes.number(Int64.self, at: Field.creationTime) == 1_700)
        #expect(try StoreHeader.decode(bytes) == storeHeader)
        try storeHeader.expectWritable()
    }

    @Test func `notices every flipped bit`() {
        let bytes = storeHeader.encode()
        for bit in 0..<bytes.count * 8 {
            #expect(failure(bytes.flipping(bit: bit)) == .damaged, "bit \(bit)")
        }
    }

    @Test func `of another length is damaged`() {
        let bytes = storeHeader.encode()
        for count in 0..<64 { #expect(failure(Array(bytes[..<count])) == .damaged) }
        #expect(failure(bytes + [0]) == .damaged)
    }

    @Test func `of a newer version or with features that forbid it is a newer format's`() {
        let bytes = storeHeader.encode()
        #expect(failure(resealed(bytes.setting(UInt32(2), at: Field.version))) == .newerFormat)
        #expect(failure(resealed(bytes.setting(UInt32(8), at: Field.incompat))) == .newerFormat)
    }

    @Test func `may be read but not written with unknown features of that kind`() throws {
        let bytes = storeHeader.encode()
        let newer = resealed(bytes.setting(UInt32(8), at: Field.roCompat))
        let found = try StoreHeader.decode(newer)
        #expect(found.storeID == storeHeader.storeID)
        #expect(code { () throws(WeirError) in try found.expectWritable() } == .newerFormat)
        #expect(found.encode() == newer)
    }

    @Test func `with unknown compatible features is read and written`() throws {
        let bytes = storeHeader.encode()
        let newer = resealed(bytes.setting(UInt32.max, at: Field.compat))
        try StoreHeader.decode(newer).expectWritable()
    }
}

private func record(_ epoch: UInt64, _ kind: EpochRecord.Kind = .opened) -> EpochRecord {
    EpochRecord(
        kind: kind, epoch: Epoch(epoch), bootID: BootID(high: 1, low: 2),
        time: Timestamp(microseconds: 5))
}

private func chained(_ records: [EpochRecord]) -> [[UInt8]] {
    var previous: UInt32 = 0
    return records.map { record in
        let (bytes, checksum) = record.encode(previous: previous)
        previous = checksum
        return bytes
    }
}

@Suite("The file EPOCHS")
struct EpochRecordTests {
    private let records = [record(1), record(1, .closedClean), record(2), record(3)]
    private var pieces: [[UInt8]] { chained(records) }

    @Test func `is read back`() {
        let history = EpochRecord.decodeAll(Array(pieces.joined()))
        #expect(history.records == records)
        #expect(history.last == Epoch(3) && history.end == 256 && !history.isDamaged)
        #expect(EpochRecord.decodeAll([]).last == Epoch(0))
    }

    @Test func `cut anywhere loses the record that was cut`() {
        let whole = Array(pieces.joined())
        for count in 0..<whole.count {
            let history = EpochRecord.decodeAll(Array(whole[..<count]))
            #expect(history.records == Array(records[..<(count / 64)]))
            #expect(history.end == count / 64 * 64 && !history.isDamaged)
        }
    }

    @Test func `notices every flipped bit of its last record, and takes it for torn`() {
        for bit in 0..<512 {
            let damaged = pieces[..<3] + [pieces[3].flipping(bit: bit)]
            let history = EpochRecord.decodeAll(Array(damaged.joined()))
            #expect(history.last == Epoch(2) && history.end == 192 && !history.isDamaged)
        }
    }

    @Test func `with a bad record in the middle gives no epoch twice, and says so`() {
        for index in 0..<3 {
            var damaged = pieces
            damaged[index] = damaged[index].flipping(bit: 77)
            let history = EpochRecord.decodeAll(Array(damaged.joined()))
            #expect(history.last == Epoch(3) && history.end == 256 && history.isDamaged)
        }
    }

    @Test func `notices records that were lost or exchanged`() {
        let lost = [pieces[0], pieces[2], pieces[3]]
        #expect(EpochRecord.decodeAll(Array(lost.joined())).isDamaged)
        let exchanged = [pieces[0], pieces[2], pieces[1], pieces[3]]
        #expect(EpochRecord.decodeAll(Array(exchanged.joined())).isDamaged)
    }

    @Test func `counts the epoch of a record of a newer kind`() {
        let field = EpochRecord.Field.checksum
        var newer = pieces[3].setting(UInt32(9), at: EpochRecord.Field.kind)
        newer = newer.setting(crc32c(newer[..<field]), at: field)
        let history = EpochRecord.decodeAll(Array((pieces[..<3] + [newer]).joined()))
        #expect(history.last == Epoch(3) && history.end == 256 && !history.isDamaged)
        #expect(history.records.count == 3)
    }
}

@Suite("The layout of a store")
struct StoreLayoutTests {
    @Test func `names a stream and a segment`() {
        let (stream, segment) = (StreamID(0xAB), SegmentID(.max))
        #expect(StoreLayout.manifest(stream) == "streams/00000000000000ab/MANIFEST")
        #expect(StoreLayout.creation(stream) == "streams/new-00000000000000ab")
        #expect(
            StoreLayout.segment(stream, segment, base: Offset(42))
                == "streams/00000000000000ab/00000000000000000042-ffffffffffffffff.segment")
    }

    @Test(arguments: [0, 1, 12_345, .max] as [UInt64])
    func `reads a segment's name back`(_ base: UInt64) {
        let text = StoreLayout.segmentName(SegmentID(base ^ 7), base: Offset(base))
        let found = StoreLayout.parse(segmentName: text)
        #expect(found?.base == Offset(base))
        #expect(found?.id == SegmentID(base ^ 7))
    }

    @Test(arguments: [
        "", "MANIFEST", "0-0.segment", "0000000000000000042-00000000000000ab.segment",
        "00000000000000000042-00000000000000AB.segment",
        "00000000000000000042_00000000000000ab.segment",
        "00000000000000000042-00000000000000ab.segmen",
        "00000000000000000042-00000000000000ab.segment~",
        "+0000000000000000042-00000000000000ab.segment",
        "99999999999999999999-00000000000000ab.segment",
        "00000000000000000042-0000000000000 ab.segment",
        "0000000000000000004२-000000000000ab.segment",
    ])
    func `takes no other name for a segment's`(_ text: String) {
        #expect(StoreLayout.parse(segmentName: text) == nil)
    }
}

@Suite("The name of an index")
struct IndexNameTests {
    @Test(
        arguments: [
            ("index-1.sqlite", 1), ("index-18446744073709551614.sqlite", UInt64.max - 1),
            ("index-18446744073709551615.sqlite", nil), ("index-01.sqlite", nil),
            ("index-1.sqlite-wal", nil), ("index-.sqlite", nil), ("index--1.sqlite", nil),
        ] as [(String, UInt64?)])
    func `tells a generation that has a next one`(_ name: String, _ generation: UInt64?) {
        #expect(StoreLayout.generation(indexName: name) == generation)
    }
}
