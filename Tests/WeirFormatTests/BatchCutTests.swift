import Testing
import WeirBase
import WeirFormat

/// A batch of numbered records, and what the cut of it reads as.
private struct CutBatch {
    private(set) var maker = SegmentMaker()

    mutating func add(
        _ count: Int, compression: Compression = .off, extension sections: [UInt8] = [],
        span: Int? = nil
    ) {
        var made = builder((0..<count).map { Array("value number \($0)".utf8) })
        maker.add(&made, compression: compression, extension: sections, span: span)
    }

    /// Offsets and values of the cut, which stands where the batch stood.
    func cut(before end: UInt64) throws -> (offsets: [UInt64], values: [String], end: Offset) {
        let position = try #require(maker.positions.last)
        let place = BatchPlace(segment: maker.header.segmentID, position: position)
        let stored = Array(maker.bytes[Int(position.value)...])
        let header = try BatchHeader.decode(stored.span.bytes, at: place)
        let head = try BatchCut.head(
            of: header, in: stored.span.bytes, before: Offset(end), at: place)
        var scanner = SegmentScanner(segment: place.segment, position: position)
        var found: (offsets: [UInt64], values: [String], end: Offset) = ([], [], head.endOffset)
        while case .batch(let header, let at) = scanner.next(
            in: head.bytes.span.bytes, origin: position)
        {
            #expect(header.appendTime == maker.appendTime)
            let start = at - position
            try read(header, Array(head.bytes[start..<start + header.storedByteCount]), &found)
        }
        #expect(scanner.position - position == head.bytes.count)
        return found
    }

    private func read(
        _ header: BatchHeader, _ stored: [UInt8],
        _ found: inout (offsets: [UInt64], values: [String], end: Offset)
    ) throws {
        let span = stored.span.bytes
        let body = span.extracting(header.bodyStart..<header.bodyStart + header.bodyLength)
        var unpacker = BodyUnpacker()
        let count = try unpacker.unpack(body, header: header)
        var walker = RecordWalker(
            body: unpacker.bytes(count), table: RawSpan(), firstOffset: header.firstOffset)
        while let record = walker.next() {
            found.offsets.append(record.offset.value)
            let value = record.value
            found.values.append(
                value.withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
        }
    }
}

@Suite("A batch that is cut")
struct BatchCutTests {
    @Test(arguments: [Compression.off, .lz4])
    func `keeps the records before the offset`(compression: Compression) throws {
        var batch = CutBatch()
        batch.add(10)
        batch.add(100, compression: compression)
        for count: UInt64 in [1, 2, 50, 99] {
            let found = try batch.cut(before: 10 + count)
            #expect(found.offsets == Array(10..<10 + count))
            #expect(found.values == (0..<count).map { "value number \($0)" })
            #expect(found.end == Offset(10 + count))
        }
    }

    @Test func `before its first record is nothing`() throws {
        var batch = CutBatch()
        batch.add(10)
        let found = try batch.cut(before: 0)
        #expect(found.offsets.isEmpty && found.end == 0)
    }

    @Test func `keeps the holes that compaction left`() throws {
        var table = ByteWriter()
        for offset: UInt32 in [0, 1, 5, 9] { table.put(offset) }
        var sections = ByteWriter()
        Section(type: BatchExtension.SectionType.offsetTable, payload: table.bytes)
            .encode(to: &sections)
        var batch = CutBatch()
        batch.add(4, extension: sections.bytes, span: 12)
        for (end, offsets): (UInt64, [UInt64]) in [
            (1, [0]), (4, [0, 1]), (5, [0, 1]), (9, [0, 1, 5]), (11, [0, 1, 5, 9]),
        ] {
            let found = try batch.cut(before: end)
            #expect(found.offsets == offsets)
            // Offsets of the hole were given, and are not given again.
            #expect(found.end == Offset(end))
        }
    }
}
