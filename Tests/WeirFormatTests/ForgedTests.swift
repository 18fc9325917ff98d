import Testing
import WeirBase
import WeirFormat

/// Bytes whose checksums hold and that no writer of Weir makes.
@Suite("A forged structure")
struct ForgedTests {
    @Test func `with an enormous count of blocks is damage`() {
        var counts = ByteWriter()
        for _ in 0..<13 { counts.put(UInt64(0)) }
        // Times 32 it overflows to 32.
        counts.put(UInt64(1) << 59 | 1)
        let index = [UInt8](repeating: 0, count: 32)
        let found = code { () throws(WeirError) in
            _ = try SegmentSummary.decode(counts: counts.bytes[...], index: index[...])
        }
        #expect(found == .damaged)
    }

    @Test func `manifest that begins with the greatest number goes on`() throws {
        let created = ManifestEdit.created(
            StreamID(1), try StreamName("s"), StreamConfiguration())
        let bytes = created.encode(sequence: .max, previous: 0).bytes
        var (state, ending) = try #require(try ManifestState.decodeAll(bytes))
        #expect(ending == .whole)
        #expect(!(try state.encode([.logStart(Offset(3))])).isEmpty)
    }

    @Test(arguments: [.max, .max - 7, 1 << 63, UInt64(Int64.max), 1 << 40] as [UInt64])
    func `place of a block far beyond the file is an end`(_ position: UInt64) {
        let bytes = [UInt8](repeating: 0, count: 8192)
        let place = FilePosition(position)
        #expect(steps(bytes, SegmentID(1), from: place) == [.end(at: place)])
    }

    @Test(
        arguments: [
            [0x83, 0, 0, 0, 0, 0, 0, 0, 9], [0xA1, 1, 0x39], [0x40], [0xC0, 2, 1, 0x40],
        ] as [[UInt8]])
    func `time of a foreign type leaves the record its key`(_ time: [UInt8]) {
        var batch = BatchBuilder()
        let entry = Golden.annotated(key: [0xA1, 1, 0x6B], time: time)
        let added = batch.append(entry: entry.span.bytes)
        #expect(added)
        #expect(batch.keyedCount == 1)
        #expect(batch.timedCount == 0)
        let body = batch.body
        var walker = RecordWalker(body: body, table: RawSpan(), firstOffset: .zero)
        let record = walker.next()
        let value = record?.value.array()
        #expect(value == [0x76])
    }
}
