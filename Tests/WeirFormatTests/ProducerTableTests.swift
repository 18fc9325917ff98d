import Testing
import WeirBase
import WeirFormat
import WeirTesting

private func row(_ name: ProducerName, _ id: UInt64, at offset: UInt64) -> ProducerRow {
    ProducerRow(name: name, lastPublishingID: id, offset: Offset(offset))
}

@Suite("A stream's table of producers")
struct ProducerTableTests {
    @Test func `knows each producer's last append`() {
        var table = ProducerTable()
        table.note(row("a", 1, at: 0))
        table.note(row("b", 7, at: 1))
        table.note(row("a", 5, at: 3))
        #expect(table["a"] == .init(lastPublishingID: 5, offset: Offset(3)))
        #expect(table["b"] == .init(lastPublishingID: 7, offset: Offset(1)))
        #expect(table["c"] == nil)
    }

    @Test func `forgets whose last append is the oldest`() {
        var table = ProducerTable(capacity: 2)
        table.note(row("a", 1, at: 0))
        table.note(row("b", 1, at: 1))
        table.note(row("a", 2, at: 2))
        table.note(row("c", 1, at: 3))
        #expect(table["b"] == nil)
        #expect(table["a"]?.lastPublishingID == 2)
        #expect(table.count == 2)
    }

    @Test func `lets a producer that was forgotten begin anew`() {
        var table = ProducerTable(capacity: 1)
        table.note(row("a", 100, at: 0))
        table.note(row("b", 1, at: 1))
        table.note(row("a", 1, at: 2))
        #expect(table["a"] == .init(lastPublishingID: 1, offset: Offset(2)))
    }

    @Test func `is the same from whichever footer on it is made`() {
        var random = SeededRandom(seed: 11)
        let appends = (0..<400).map {
            row("p\(random.below(40))", UInt64($0), at: UInt64($0) * 3)
        }
        let whole = ProducerTable(appends, capacity: 16)
        for place in stride(from: 0, to: appends.count, by: 7) {
            let footer = ProducerTable(Array(appends[..<place]), capacity: 16).rows
            var table = ProducerTable(footer, capacity: 16)
            for append in appends[place...] { table.note(append) }
            #expect(table == whole, "from append \(place) on")
        }
    }

    @Test func `tells names apart that a text takes for equal`() throws {
        let (one, two) = ("caf\u{E9}", "cafe\u{301}")
        #expect(one == two)
        var table = ProducerTable()
        table.note(ProducerRow(name: try .init(one), lastPublishingID: 4, offset: .zero))
        #expect(try table[ProducerName(two)] == nil)
    }

    @Test(arguments: ["", String(repeating: "x", count: 256), String(repeating: "é", count: 128)])
    func `has no name that is empty or over 255 bytes`(_ text: String) {
        let error = #expect(throws: WeirError.self) { try ProducerName(text) }
        #expect(error?.code == .invalidArgument)
    }
}

@Suite("Rows of producers")
struct ProducerRowTests {
    private let rows = [row("loader", 41, at: 3), row("zähler", .max, at: .max)]

    @Test func `stand as the document says`() {
        let bytes = ProducerRow.encode([row("ab", 0x0102, at: 0x0304)])
        #expect(
            bytes == [
                1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 2, 0, 97,
                98,
            ])
    }

    @Test func `are read back from a batch's extension`() {
        let bytes = BatchExtension.encode(producers: rows)
        #expect(bytes.count % 8 == 0)
        #expect(BatchExtension.producers(in: bytes.span.bytes) == rows)
        #expect(BatchExtension.examine(bytes.span.bytes) == .understood)
        // Not critical: a reader that does not know it steps over it.
        #expect(bytes.number(UInt16.self, at: 0) == 1)
        #expect(bytes.number(UInt16.self, at: 2) == 0)
        #expect(BatchExtension.producers(in: [UInt8]().span.bytes).isEmpty)
    }

    @Test func `that do not fit are none`() {
        let bytes = BatchExtension.encode(producers: rows)
        for claim: UInt64 in [3, 4097, .max] {
            let wrong = bytes.setting(claim, at: 8)
            #expect(BatchExtension.producers(in: wrong.span.bytes).isEmpty)
        }
        #expect(
            BatchExtension.producers(in: bytes.setting(UInt16(256), at: 32).span.bytes).isEmpty)
        var random = SeededRandom(seed: 4)
        for _ in 0..<5_000 {
            // Whatever they hold: it neither traps nor takes more than is there.
            let found = BatchExtension.producers(in: bytes.scrambled(&random).span.bytes)
            #expect(found.count <= 2)
        }
    }

    @Test(arguments: [Compression.off, .lz4])
    func `go in front of a batch's records`(_ compression: Compression) throws {
        let place = BatchPlace(segment: home.segment, position: .zero)
        let values = (0..<50).map { [UInt8](repeating: UInt8($0), count: 40) }
        var made = builder(values)
        var scratch = ScratchMemory()
        let sections = BatchExtension.encode(producers: rows)
        let seal = BatchSeal(
            place: place, firstOffset: .zero, epoch: Epoch(1), durableEnd: .zero,
            appendTime: Timestamp(microseconds: 5))
        let sealed = made.seal(
            seal, compression: compression, extension: sections, scratch: &scratch)
        let bytes = Array(sealed.bytes)
        var scanner = SegmentScanner(segment: home.segment, position: .zero)
        guard case .batch(let header, _) = scanner.next(in: bytes.span.bytes) else {
            Issue.record("the batch does not hold")
            return
        }
        #expect(header.recordCount == 50)
        #expect(header.storedByteCount == bytes.count)
        #expect(Array(bytes[152..<header.bodyStart]) == sections)
        // But for the extension it is the batch that it would be without.
        var plainScratch = ScratchMemory()
        let plain = Array(
            made.seal(seal, compression: compression, scratch: &plainScratch).bytes)
        #expect(
            bytes[header.bodyStart..<header.bodyStart + header.bodyLength]
                == plain[152..<152 + header.bodyLength])
    }
}
