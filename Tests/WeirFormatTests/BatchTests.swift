import Testing
import WeirBase
import WeirFormat

/// A batch of three records in memory, sealed at a place.
func sealedBytes(
    _ builder: inout BatchBuilder, at place: BatchPlace, compression: Compression = .off
) -> [UInt8] {
    var scratch = ScratchMemory()
    let seal = BatchSeal(
        place: place, firstOffset: Offset(100), epoch: Epoch(7), durableEnd: Offset(90),
        appendTime: Timestamp(microseconds: 1_000_000))
    return Array(builder.seal(seal, compression: compression, scratch: &scratch).bytes)
}

func builder(_ values: [[UInt8]]) -> BatchBuilder {
    var builder = BatchBuilder()
    for value in values {
        let added = builder.append(value: value.span.bytes)
        #expect(added)
    }
    return builder
}

func defect(_ bytes: [UInt8], at place: BatchPlace) -> BatchHeader.Defect? {
    do throws(BatchHeader.Defect) {
        _ = try BatchHeader.decode(bytes.span.bytes, at: place)
        return nil
    } catch {
        return error
    }
}

func isWhole(_ header: BatchHeader, _ bytes: [UInt8]) -> Bool {
    SegmentScanner.isWhole(header, in: bytes.span.bytes, at: .zero)
}

let home = BatchPlace(segment: SegmentID(0xABCD), position: FilePosition(4096))

@Suite("A batch")
struct BatchTests {
    @Test func `round trips its header`() throws {
        var batch = builder([[1, 2, 3], [], Array(repeating: 9, count: 300)])
        let bytes = sealedBytes(&batch, at: home)
        let header = try BatchHeader.decode(bytes.span.bytes, at: home)
        #expect(header.recordCount == 3)
        #expect(header.entryCount == 3)
        #expect(header.firstOffset == Offset(100))
        #expect(header.endOffset == Offset(103))
        #expect(header.durableEnd == Offset(90))
        #expect(header.epoch == Epoch(7))
        #expect(header.storedByteCount == bytes.count)
        #expect(bytes.count % 8 == 0)
    }

    @Test func `is refused at another position or in another segment`() {
        var batch = builder([[1]])
        let bytes = sealedBytes(&batch, at: home)
        let moved = BatchPlace(segment: home.segment, position: FilePosition(4104))
        let copied = BatchPlace(segment: SegmentID(0xABCE), position: home.position)
        #expect(defect(bytes, at: home) == nil)
        #expect(defect(bytes, at: moved) == .checksum)
        #expect(defect(bytes, at: copied) == .checksum)
    }

    @Test func `notices every flipped bit of its header`() {
        var batch = builder([[1, 2, 3]])
        let bytes = sealedBytes(&batch, at: home)
        for bit in 0..<BatchHeader.byteCount * 8 {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << (bit % 8)
            #expect(defect(damaged, at: home) != nil, "bit \(bit)")
        }
    }

    @Test func `notices every flipped bit of its body`() throws {
        var batch = builder([[1, 2, 3], [4]])
        let bytes = sealedBytes(&batch, at: BatchPlace(segment: home.segment, position: .zero))
        let header = try BatchHeader.decode(
            bytes.span.bytes, at: BatchPlace(segment: home.segment, position: .zero))
        #expect(isWhole(header, bytes))
        for bit in header.bodyStart * 8..<(header.bodyStart + header.bodyLength) * 8 {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << (bit % 8)
            #expect(!isWhole(header, damaged))
        }
    }

    @Test(arguments: [Compression.off, .lz4, .automatic])
    func `gives back its records`(_ compression: Compression) throws {
        let values = (0..<100).map { Array(repeating: UInt8($0), count: $0 * 7) }
        var batch = builder(values)
        let bytes = sealedBytes(&batch, at: home, compression: compression)
        let header = try BatchHeader.decode(bytes.span.bytes, at: home)
        let isPacked = header.compat & BatchHeader.compatHasSubBatches != 0
        #expect(isPacked == (compression != .off))
        var unpacker = BodyUnpacker()
        let body = bytes.span.bytes.extracting(
            header.bodyStart..<header.bodyStart + header.bodyLength)
        let count = try unpacker.unpack(body, header: header)
        let raw = unpacker.bytes(count)
        var walker = RecordWalker(
            body: raw, table: raw.extracting(first: 0), firstOffset: header.firstOffset)
        var seen = 0
        while let record = walker.next() {
            let offset = record.offset
            #expect(offset == Offset(100 + UInt64(seen)))
            let value = record.value.array()
            #expect(value == values[seen])
            seen += 1
        }
        #expect(seen == 100)
        let isComplete = walker.isComplete
        #expect(isComplete)
    }

    @Test func `that hardly shrinks stays as it is under automatic`() throws {
        var state: UInt64 = 88_172_645_463_325_252
        let noise = (0..<4000).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state)
        }
        var batch = builder([noise])
        let bytes = sealedBytes(&batch, at: home, compression: .automatic)
        let header = try BatchHeader.decode(bytes.span.bytes, at: home)
        #expect(header.compat & BatchHeader.compatHasSubBatches == 0)
    }

    @Test func `takes no more than its limit`() {
        var batch = BatchBuilder(byteLimit: 1024)
        let value = [UInt8](repeating: 1, count: 500)
        let added = (0..<3).map { _ in batch.append(value: value.span.bytes) }
        #expect(added == [true, true, false])
        #expect(batch.recordCount == 2)
    }
}

extension RawSpan {
    func array() -> [UInt8] { withUnsafeBytes { Array($0) } }
}
