import Testing
import WeirBase
import WeirFormat
import WeirTesting

private typealias Field = SegmentHeader.Field

private func sample() throws -> SegmentHeader {
    var header = SegmentHeader(
        segmentID: SegmentID(0x1112_1314_1516_1718), streamID: StreamID(0x2122_2324_2526_2728),
        epoch: Epoch(7), base: Offset(1000), creationTime: Timestamp(microseconds: 1_700_000_000),
        logStart: Offset(900), name: try name("orders.eu"),
        configuration: StreamConfiguration(durability: .flushed, compression: .lz4))
    header.generation = 3
    header.replaced = [SegmentID(1), SegmentID(.max)]
    header.epochStarts = [
        EpochStart(epoch: Epoch(8), offset: Offset(1000)),
        EpochStart(epoch: Epoch(11), offset: Offset(1500)),
    ]
    return header
}

/// The header's bytes with a checksum that holds, made by the document's rule.
private func resealed(_ bytes: [UInt8]) -> [UInt8] {
    let length = min(Int(bytes.number(UInt32.self, at: Field.length)), bytes.count)
    guard length >= Field.end else { return bytes }
    return bytes.setting(
        checksum(Array(bytes[..<Field.checksum]), Array(bytes[Field.length..<length])),
        at: Field.checksum)
}

private func failure(_ bytes: [UInt8]) -> WeirError.Code? {
    code { () throws(WeirError) in _ = try SegmentHeader.decode(bytes) }
}

@Suite("A segment header")
struct SegmentHeaderTests {
    @Test func `is read back, and batches begin at 4096`() throws {
        let header = try sample()
        let bytes = header.encode()
        let found = try SegmentHeader.decode(bytes)
        #expect(found.header == header)
        #expect(found.batchesStart == FilePosition(4096))
        #expect(bytes.count == 4096)
    }

    @Test func `has its fields where the table says`() throws {
        let bytes = try sample().encode()
        #expect(Array(bytes[..<8]) == Array("WEIRSEG1".utf8))
        #expect(bytes.number(UInt16.self, at: Field.version) == 1)
        #expect(bytes.number(UInt64.self, at: Field.segmentID) == 0x1112_1314_1516_1718)
        #expect(bytes.number(UInt64.self, at: Field.streamID) == 0x2122_2324_2526_2728)
        #expect(bytes.number(UInt64.self, at: Field.epoch) == 7)
        #expect(bytes.number(UInt64.self, at: Field.base) == 1000)
        #expect(bytes.number(UInt64.self, at: Field.creationTime) == 1_700_000_000)
        #expect(bytes.number(UInt64.self, at: Field.logStart) == 900)
        #expect(bytes.number(UInt32.self, at: Field.generation) == 3)
        #expect(bytes == resealed(bytes))
    }

    @Test func `notices every flipped bit`() throws {
        let header = try sample()
        let bytes = header.encode()
        let length = Int(bytes.number(UInt32.self, at: Field.length))
        for bit in 0..<length * 8 {
            #expect(failure(bytes.flipping(bit: bit)) == .damaged, "bit \(bit)")
        }
        // The zeros behind are no part of it.
        #expect(try SegmentHeader.decode(bytes.flipping(bit: length * 8)).header == header)
    }

    @Test func `that ends early is damaged`() throws {
        let bytes = try sample().encode()
        for count in 0..<Int(bytes.number(UInt32.self, at: Field.length)) {
            #expect(failure(Array(bytes[..<count])) == .damaged, "cut at \(count)")
        }
    }

    @Test(arguments: [0, 87, 65_537, UInt32.max])
    func `that claims a length outside its limits is damaged`(_ length: UInt32) throws {
        let bytes = try sample().encode() + [UInt8](repeating: 0, count: 70_000)
        #expect(failure(resealed(bytes.setting(length, at: Field.length))) == .damaged)
    }

    @Test func `of another version is a newer format's`() throws {
        let bytes = try sample().encode().setting(UInt16(2), at: Field.version)
        #expect(failure(resealed(bytes)) == .newerFormat)
        let text = message { () throws(WeirError) in
            _ = try SegmentHeader.decode(resealed(bytes))
        }
        #expect(text.contains("version 2") && text.contains("understands 1"))
    }

    @Test func `is refused for features that forbid it, and only for those`() throws {
        let bytes = try sample().encode()
        let forbidden = resealed(bytes.setting(UInt32(1 << 31), at: Field.incompat))
        #expect(failure(forbidden) == .newerFormat)
        let ignored = resealed(bytes.setting(UInt32.max, at: Field.compat))
        #expect(try SegmentHeader.decode(ignored).header == sample())
        let readable = resealed(bytes.setting(UInt32(4), at: Field.roCompat))
        #expect(try SegmentHeader.decode(readable).header.roCompat == 4)
    }

    @Test func `without a stream's name, or with a bad one, is damaged`() throws {
        let bytes = try sample().encode()
        let typePlace = Field.end
        #expect(failure(resealed(bytes.setting(UInt16(99), at: typePlace))) == .damaged)
        let textPlace = Field.end + Section.headByteCount
        for byte in [UInt8(ascii: "/"), 0, 0xFF] {
            #expect(failure(resealed(bytes.setting(byte, at: textPlace))) == .damaged)
        }
    }

    @Test func `with an unknown critical section is a newer format's`() throws {
        let bytes = try sample().encode().setting(UInt32(0x0001_0063), at: Field.end)
        #expect(failure(resealed(bytes)) == .newerFormat)
    }

    @Test(arguments: [(8, 1501), (7, 1501), (12, 999), (12, 1499)])
    func `with epochs that do not rise, or start before one another, is damaged`(
        epoch: UInt64, offset: UInt64
    ) throws {
        var header = try sample()
        header.epochStarts.append(EpochStart(epoch: Epoch(epoch), offset: Offset(offset)))
        #expect(failure(header.encode()) == .damaged)
    }

    @Test func `with half a start of an epoch is damaged`() throws {
        let bytes = try sample().encode()
        let payload = 2 * SegmentHeader.epochStartByteCount
        let length = Int(bytes.number(UInt32.self, at: Field.length))
        let place = length - payload - 4
        #expect(bytes.number(UInt32.self, at: place) == UInt32(payload))
        #expect(failure(resealed(bytes.setting(UInt32(payload - 8), at: place))) == .damaged)
    }

    @Test func `says how much more fits before batches at 4096`() throws {
        var header = try sample()
        header.replaced = []
        header.epochStarts = []
        let count = header.byteCountLeft / SegmentHeader.epochStartByteCount
        header.replaced = [SegmentID(1)]
        header.epochStarts = (0..<UInt64(count)).map {
            EpochStart(epoch: Epoch(8 + $0), offset: Offset(1000))
        }
        header.epochStarts.removeLast()
        #expect(header.encode().count == 4096)
        header.epochStarts += [EpochStart(epoch: Epoch(900), offset: Offset(1000))]
        header.replaced += [SegmentID(2), SegmentID(3)]
        #expect(header.encode().count == 8192)
    }

    @Test(arguments: [(492, 8192), (7000, 57_344)])
    func `of many replaced segments moves the batches back`(
        _ count: Int, _ start: UInt64
    ) throws {
        var header = try sample()
        header.replaced = (0..<UInt64(count)).map { SegmentID($0) }
        let bytes = header.encode()
        let found = try SegmentHeader.decode(bytes)
        #expect(found.header.replaced.count == count)
        #expect(found.batchesStart == FilePosition(start))
        #expect(bytes.count == Int(start))
    }

    @Test func `of scrambled bytes behind a right checksum never traps`() throws {
        let bytes = try sample().encode()
        let length = Int(bytes.number(UInt32.self, at: Field.length))
        var random = SeededRandom(seed: 1)
        for _ in 0..<20_000 {
            let scrambled = Array(bytes[..<length]).scrambled(&random, keeping: 0..<8)
            let found = failure(resealed(scrambled))
            #expect(found == nil || found == .damaged || found == .newerFormat)
        }
    }
}
