import Testing
import WeirBase
import WeirFormat
import WeirTesting

/// A body of one sub-batch, and what unpacking says of it.
private struct Packed {
    var codec: UInt8 = SubBatchHead.codecLZ4
    var records = 20
    var raw = Packed.rawBytes
    var declared = Packed.rawBytes
    var frame = Golden.lz4Frame

    static let rawBytes = builder((0..<20).map { Array("packed record number \($0)".utf8) })
        .bodyByteCount

    var body: [UInt8] {
        Golden.subBatchHead(codec: codec, records: records, raw: raw, stored: frame.count) + frame
    }

    func unpack() -> Result<[UInt8], WeirError> { WeirFormatTests.unpack(body, raw: declared) }
    var code: WeirError.Code? {
        if case .failure(let error) = unpack() { error.code } else { nil }
    }
}

private func unpack(_ body: [UInt8], raw: Int) -> Result<[UInt8], WeirError> {
    var header = BatchHeader(
        kind: .records, firstOffset: .zero, epoch: Epoch(1), durableEnd: .zero,
        appendTime: .distantPast)
    header.rawBodyLength = raw
    var unpacker = BodyUnpacker()
    do throws(WeirError) {
        let count = try unpacker.unpack(body.span.bytes, header: header)
        return .success(unpacker.bytes(count).array())
    } catch {
        return .failure(error)
    }
}

private func lz4(_ bytes: [UInt8]) -> [UInt8] {
    var target = [UInt8](repeating: 0, count: LZ4Frame.bound(bytes.count))
    let count = bytes.withUnsafeBytes { source in
        target.withUnsafeMutableBytes { LZ4Frame.compress(source, into: $0) }
    }
    return Array(target.prefix(count))
}

private func values(_ body: [UInt8]) -> (count: Int, isComplete: Bool) {
    var walker = RecordWalker(body: body.span.bytes, table: RawSpan(), firstOffset: .zero)
    var count = 0
    while let record = walker.next() {
        _ = record.value.byteCount
        record.forEachHeader { _, _ in }
        count += 1
    }
    return (count, walker.isComplete)
}

@Suite("A sub-batch")
struct SubBatchTests {
    @Test func `gives back its records`() throws {
        let body = try Packed().unpack().get()
        #expect(body.count == Packed.rawBytes)
        #expect(values(body) == (20, true))
    }

    @Test(arguments: [-600, -64, -1, 1, 64, 100_000])
    func `that declares another raw length is refused`(_ difference: Int) {
        var packed = Packed()
        packed.raw += difference
        packed.declared = max(packed.raw, packed.declared)
        #expect(packed.code == .damaged)
    }

    @Test func `that unpacks to more than its batch declares is refused`() {
        var packed = Packed()
        packed.declared = Packed.rawBytes - packed.body.count - 1
        #expect(packed.code == .damaged)
    }

    @Test func `whose frame is cut anywhere is refused`() {
        let whole = Packed()
        for count in 0..<whole.frame.count {
            var packed = whole
            packed.frame = Array(whole.frame.prefix(count))
            #expect(packed.code == .damaged, "\(count) bytes")
        }
    }

    @Test func `with bytes behind its frame is refused`() {
        for tail in [[0], [0, 0, 0, 0], Golden.lz4Frame] as [[UInt8]] {
            var packed = Packed()
            packed.frame += tail
            #expect(packed.code == .damaged)
        }
    }

    @Test func `that would unpack to very much is refused at its declared length`() {
        var packed = Packed()
        packed.frame = lz4([UInt8](repeating: 0, count: 32 << 20))
        #expect(packed.frame.count < 200_000)
        #expect(packed.code == .damaged)
        packed.raw = Limits.decodedRawBytesMax + 1
        #expect(packed.code == .damaged)
    }

    @Test(arguments: [0, 158, 65_535])
    func `with more records than can be in it is no sub-batch`(_ records: Int) {
        var packed = Packed()
        packed.records = records
        #expect(packed.code == .damaged)
    }

    @Test func `inside another stays packed and is one record`() throws {
        let inner = Packed().body
        var outer = Packed()
        outer.frame = lz4(inner)
        outer.raw = inner.count
        outer.declared = inner.count
        let body = try outer.unpack().get()
        #expect(body == inner)
        #expect(values(body) == (1, true))
    }

    @Test(arguments: [1, 2, 4, 5, 7] as [UInt8])
    func `in a codec that is not built in stays as it is`(_ codec: UInt8) throws {
        var packed = Packed()
        packed.codec = codec
        let body = try packed.unpack().get()
        #expect(body == packed.body)
        #expect(values(body) == (1, true))
    }

    @Test func `stored without a codec has its declared length`() throws {
        let raw = builder([[1], [2]]).body.array()
        var packed = Packed(codec: 0, records: 2, raw: raw.count, declared: raw.count, frame: raw)
        #expect(try packed.unpack().get() == raw)
        packed.raw += 1
        #expect(packed.code == .damaged)
    }

    @Test func `never traps on damage`() {
        var random = SeededRandom(seed: 9)
        let plain = builder([[1, 2], [3]]).body.array()
        let whole = plain + Packed().body + plain
        for _ in 0..<50_000 {
            var body = whole
            for _ in 0...random.below(3) {
                body[random.below(body.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.oneIn(3) { body.removeLast(random.below(body.count)) }
            let raw = Packed.rawBytes + 2 * plain.count
            if case .success(let unpacked) = unpack(body, raw: raw) {
                #expect(unpacked.count <= raw + body.count)
                _ = values(unpacked)
            }
            _ = values(body)
        }
    }
}

@Suite("Compression")
struct CompressionTests {
    private func stored(_ values: [[UInt8]], _ compression: Compression) throws -> BatchHeader {
        var batch = builder(values)
        let bytes = sealedBytes(&batch, at: home, compression: compression)
        return try BatchHeader.decode(bytes.span.bytes, at: home)
    }

    private var noise: [UInt8] {
        var random = SeededRandom(seed: 11)
        return (0..<4000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    @Test func `lz4 packs what grows, and auto leaves it`() throws {
        let forced = try stored([noise], .lz4)
        #expect(forced.compat == BatchHeader.compatHasSubBatches)
        #expect(forced.bodyLength > forced.rawBodyLength)
        let automatic = try stored([noise], .automatic)
        #expect(automatic.compat == 0)
        #expect(automatic.bodyLength == automatic.rawBodyLength)
    }

    @Test func `auto packs what shrinks by a tenth`() throws {
        let header = try stored([noise, [UInt8](repeating: 0, count: 1000)], .automatic)
        #expect(header.compat == BatchHeader.compatHasSubBatches)
        #expect(header.bodyLength <= header.rawBodyLength - header.rawBodyLength / 10)
        #expect(header.entryCount == 1)
        #expect(header.recordCount == 2)
    }

    @Test func `leaves a small batch as it is`() throws {
        for compression in Compression.allCases {
            #expect(try stored([[1, 2, 3]], compression).compat == 0)
        }
    }
}
