import Testing
import WeirBase
import WeirFormat
import WeirTesting

private typealias Field = ManifestEdit.Field

let sealedSample: SealedSegment = {
    var summary = SegmentSummary(base: Offset(0))
    summary.add(header(offset: 0, records: 9, appended: 3, times: -5...5), at: FilePosition(4096))
    return SealedSegment(
        summary: summary, batchesEnd: FilePosition(8192), fileBytes: 9000, footerChecksum: .max)
}()

private func samples() throws -> [ManifestEdit] {
    let open = SegmentEntry(id: SegmentID(1), base: .zero, epoch: Epoch(1))
    let sealed = SegmentEntry(
        id: SegmentID(.max), base: Offset(9), epoch: Epoch(2), generation: 4, sealed: sealedSample)
    let close = CleanClose(
        epoch: Epoch(3), segment: SegmentID(1), position: FilePosition(5000), end: Offset(12),
        durableEnd: Offset(12), lastAppendTime: Timestamp(microseconds: 99))
    var empty = close
    empty.segment = nil
    return [
        .created(StreamID(5), try name("a"), StreamConfiguration()),
        .created(
            StreamID(5), try name(String(repeating: "x", count: 128)), .init(compression: .lz4)),
        .configured(StreamConfiguration(durability: .interval(milliseconds: 5))),
        .segmentAdded(open), .segmentAdded(sealed), .segmentSealed(SegmentID(1), sealedSample),
        .replaced(old: [SegmentID(1), SegmentID(2)], new: [sealed, open]),
        .replaced(old: [], new: []), .retired([]), .retired([SegmentID(1), SegmentID(7)]),
        .logStart(Offset(.max)), .opened(Epoch(8)), .closed(close), .closed(empty), .deleted,
        .several([.segmentSealed(SegmentID(1), sealedSample), .segmentAdded(sealed), .deleted]),
        .several([]),
    ]
}

/// The edit's bytes with a checksum that holds, made by the document's rule.
func resealedEdit(_ bytes: [UInt8]) -> [UInt8] {
    bytes.setting(
        checksum(Array(bytes[..<Field.checksum]), Array(bytes[Field.magic...])),
        at: Field.checksum)
}

private func failure(_ bytes: [UInt8]) -> WeirError.Code? {
    code { () throws(WeirError) in _ = try ManifestEdit.decode(bytes[...]) }
}

@Suite("A manifest edit")
struct ManifestEditTests {
    @Test func `of every type is read back`() throws {
        for edit in try samples() {
            let (bytes, sum) = edit.encode(sequence: 12, previous: 34)
            #expect(bytes.count % 8 == 0)
            let found = try ManifestEdit.decode((bytes + [1, 2, 3])[...])
            #expect(found.edit == edit)
            #expect(found.sequence == 12 && found.previous == 34)
            #expect(found.checksum == sum && found.byteCount == bytes.count)
        }
    }

    @Test func `has its fields where the table says`() {
        let (bytes, sum) = ManifestEdit.opened(Epoch(8)).encode(sequence: 12, previous: 34)
        #expect(bytes.number(UInt32.self, at: Field.length) == 40)
        #expect(bytes.number(UInt32.self, at: Field.checksum) == sum)
        #expect(Array(bytes[Field.magic..<Field.type]) == Array("WMAN".utf8))
        #expect(bytes.number(UInt16.self, at: Field.type) == 8)
        #expect(bytes.number(UInt16.self, at: Field.version) == 1)
        #expect(bytes.number(UInt64.self, at: Field.sequence) == 12)
        #expect(bytes.number(UInt32.self, at: Field.previous) == 34)
        #expect(bytes.number(UInt32.self, at: Field.payloadLength) == 8)
        #expect(bytes.number(UInt64.self, at: Field.end) == 8)
        #expect(bytes == resealedEdit(bytes))
    }

    @Test func `notices every flipped bit`() throws {
        for edit in try samples() {
            let (bytes, _) = edit.encode(sequence: 1, previous: 2)
            for bit in 0..<bytes.count * 8 {
                #expect(failure(bytes.flipping(bit: bit)) == .damaged, "bit \(bit) of \(edit)")
            }
        }
    }

    @Test func `that ends early is damaged`() throws {
        for edit in try samples() {
            let (bytes, _) = edit.encode(sequence: 1, previous: 2)
            for count in 0..<bytes.count { #expect(failure(Array(bytes[..<count])) == .damaged) }
        }
    }

    @Test func `whose payload ends early is damaged, whatever its checksum`() throws {
        for edit in try samples() {
            let (bytes, _) = edit.encode(sequence: 1, previous: 2)
            let length = Int(bytes.number(UInt32.self, at: Field.payloadLength))
            for count in stride(from: 0, to: length, by: 8) {
                let end = Field.end + count
                let cut = Array(bytes[..<end]).setting(UInt32(end), at: Field.length)
                    .setting(UInt32(count), at: Field.payloadLength)
                let found = failure(resealedEdit(cut))
                #expect(found == .damaged || found == nil, "\(edit) cut at \(count)")
            }
        }
    }

    @Test(arguments: [0, 24, 33, 1 << 20 | 8, .max] as [UInt32])
    func `that claims a length outside its limits is damaged`(_ length: UInt32) {
        let (bytes, _) = ManifestEdit.deleted.encode(sequence: 1, previous: 0)
        let long = bytes + [UInt8](repeating: 0, count: 2 << 20)
        #expect(failure(resealedEdit(long.setting(length, at: Field.length))) == .damaged)
    }

    @Test func `does not reach into the next one`() {
        let (bytes, _) = ManifestEdit.retired([SegmentID(1)]).encode(sequence: 1, previous: 0)
        let greedy = resealedEdit(bytes.setting(UInt32(24), at: Field.payloadLength))
        #expect(failure(greedy + [UInt8](repeating: 0, count: 64)) == .damaged)
    }

    @Test(arguments: [(0, 1), (13, 1), (.max, 1), (10, 0), (10, 2)] as [(UInt16, UInt16)])
    func `of an unknown type or version is a newer format's`(_ type: UInt16, _ version: UInt16) {
        let (bytes, _) = ManifestEdit.deleted.encode(sequence: 1, previous: 0)
        let changed = bytes.setting(type, at: Field.type).setting(version, at: Field.version)
        #expect(failure(resealedEdit(changed)) == .newerFormat)
    }

    @Test func `of several knows the types that it may hold`() {
        let (bytes, _) = ManifestEdit.several([.deleted]).encode(sequence: 1, previous: 0)
        #expect(failure(resealedEdit(bytes.setting(UInt32(13), at: Field.end))) == .newerFormat)
        for type: UInt32 in [0, 11, .max] {
            #expect(failure(resealedEdit(bytes.setting(type, at: Field.end))) == .damaged)
        }
    }

    @Test(arguments: [2, 1 << 61, .max] as [UInt64])
    func `that claims more ids than it has is damaged`(_ count: UInt64) {
        let (bytes, _) = ManifestEdit.retired([SegmentID(1)]).encode(sequence: 1, previous: 0)
        #expect(failure(resealedEdit(bytes.setting(count, at: Field.end))) == .damaged)
        let (two, _) = ManifestEdit.replaced(old: [], new: []).encode(sequence: 1, previous: 0)
        #expect(failure(resealedEdit(two.setting(count, at: Field.end + 8))) == .damaged)
    }

    @Test func `with a name that is none is damaged`() throws {
        let (bytes, _) = try samples()[0].encode(sequence: 1, previous: 0)
        #expect(failure(resealedEdit(bytes.setting(UInt8(0), at: Field.end + 16))) == .damaged)
        #expect(failure(resealedEdit(bytes.setting(UInt64(0), at: Field.end + 8))) == .damaged)
        #expect(failure(resealedEdit(bytes.setting(UInt64(129), at: Field.end + 8))) == .damaged)
    }

    @Test func `of scrambled bytes behind a right checksum never traps`() throws {
        var random = SeededRandom(seed: 3)
        let encoded = try samples().map { $0.encode(sequence: 1, previous: 0).bytes }
        for round in 0..<20_000 {
            let bytes = encoded[round % encoded.count]
            let scrambled = bytes.scrambled(&random, keeping: 0..<Field.type)
            let found = failure(resealedEdit(scrambled))
            #expect(found == nil || found == .damaged || found == .newerFormat)
        }
    }
}
