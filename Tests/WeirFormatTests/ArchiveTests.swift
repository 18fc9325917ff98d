import Testing
import WeirBase
import WeirFormat
import WeirTesting

@Suite("An archive")
struct ArchiveTests {
    let parts: ArchiveParts
    let bytes: [UInt8]
    init() throws {
        parts = try Golden.archive()
        bytes = parts.bytes
    }

    @Test(arguments: [1, 7, 64, .max])
    func `is read in pieces of any size`(piece: Int) throws {
        let (items, error) = decodeArchive(bytes, piece: piece)
        #expect(error == nil)
        guard case .head(let head) = try #require(items.first) else {
            Issue.record("no head")
            return
        }
        #expect(head.name.description == "golden.v1")
        #expect(head.configuration == Golden.configuration)
        #expect(head.storeID == Golden.store)
        #expect(head.streamID == Golden.stream)
        #expect(head.first == Offset(100) && head.end == Offset(108))
        #expect(head.creationTime == Golden.time(400))
        #expect(items.last == .trailer)
        var batches: [ArchivedBatch] = []
        for case .batch(let batch) in items { batches.append(batch) }
        #expect(batches.map(\.header.firstOffset) == [Offset(100), Offset(107)])
        #expect(batches.map(\.header.appendTime) == [Golden.time(300), Golden.time(300)])
        let (first, second) = (batches[0], batches[1])
        #expect(BatchExtension.producers(in: second.sections).map(\.name) == ["loader"])
        #expect(first.body.byteCount == 2 * (4 + 5 + 3))
    }

    @Test func `is refused with any byte altered, and nothing is given of that part`() {
        for place in bytes.indices {
            var twin = bytes
            twin[place] ^= 0x10
            let (items, error) = decodeArchive(twin)
            // Of what stands before the altered part everything is given.
            let whole = parts.starts.count { $0 <= place }
            #expect(error?.code == .damaged, "byte \(place)")
            #expect(items.count == whole, "byte \(place)")
        }
    }

    @Test func `is refused when it is cut anywhere, and says where`() {
        for count in bytes.indices {
            let (items, error) = decodeArchive(Array(bytes.prefix(count)))
            #expect(error?.code == .damaged, "\(count) bytes")
            let whole = parts.starts.count { $0 <= count }
            #expect(items.count == whole, "\(count) bytes")
            guard let start = parts.starts.last(where: { $0 <= count }) else { continue }
            #expect(error?.message.hasPrefix("At byte \(start) of the archive") ?? false)
        }
    }

    @Test func `is refused with bytes behind its end`() {
        let (_, error) = decodeArchive(bytes + [0])
        #expect(error?.message.contains("1 bytes follow where the archive ends") ?? false)
        #expect(decodeArchive(bytes + [0], piece: bytes.count).error?.code == .damaged)
    }

    @Test func `is refused with a batch missing, doubled or exchanged`() {
        let (first, second, end) = (parts.starts[0], parts.starts[1], parts.starts[2])
        let head = bytes[..<first]
        let (one, two) = (bytes[first..<second], bytes[second..<end])
        let trailer = bytes[end...]
        for wrong in [
            head + two + trailer, head + one + trailer, head + trailer,
            head + one + one + two + trailer, head + two + one + trailer,
        ] {
            #expect(decodeArchive(Array(wrong)).error?.code == .damaged)
        }
    }

    @Test func `of a newer version says which is understood`() {
        for place in [ArchiveHead.Field.version, ArchiveHead.Field.incompat] {
            var twin = bytes
            twin[place] = 4
            let length = parts.starts[0]
            let checksum = crc32c(twin[12..<length], seed: crc32c(twin[0..<8]))
            for index in 0..<4 {
                twin[8 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * index))
            }
            let error = decodeArchive(twin).error
            #expect(error?.code == .newerFormat)
            #expect(error?.message.contains("understands 1, and 0 or 1") ?? false)
        }
    }

    @Test func `is told from another file by its first bytes`() {
        let (_, error) = decodeArchive(Array("{\"value\":\"x\"}\n{\"value\":\"y\"}\n".utf8))
        #expect(error?.message.contains("does not begin with WEIRARC1") ?? false)
    }

    @Test func `whose head claims too much is refused before it is waited for`() {
        var twin = bytes
        twin[ArchiveHead.Field.length + 3] = 0x7F
        let (_, error) = decodeArchive(Array(twin.prefix(16)))
        #expect(error?.message.contains("claims") ?? false)
    }

    @Test func `of random bytes never traps`() {
        var random = SeededRandom(seed: 31)
        for _ in 0..<5_000 {
            var twin = bytes
            for _ in 0...random.below(4) {
                twin[random.below(twin.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.oneIn(4) { twin.removeLast(random.below(twin.count)) }
            if random.oneIn(8) { twin = Array(bytes.prefix(parts.starts[0])) + twin }
            _ = decodeArchive(twin, piece: 1 + random.below(200))
        }
    }

    @Test(arguments: [[0, 0], [1, 0], [0, 8], [0], [0, 1, 2]] as [[UInt32]])
    func `with a table of offsets that do not rise within the batch is refused`(
        _ offsets: [UInt32]
    ) throws {
        var maker = SegmentMaker()
        var batch = builder([[1], [2]])
        let sections = BatchExtension.encode(offsets: offsets, keeping: RawSpan())
        maker.add(&batch, extension: sections, span: 8)
        guard case .head(let head)? = decodeArchive(bytes).items.first,
            case .batch(let header, let position)? = steps(
                maker.bytes, maker.header.segmentID, from: maker.positions[0]
            ).first
        else { throw WeirError.damaged("no batch") }
        var encoder = ArchiveEncoder(head)
        let start = Int(position.value)
        let forged =
            encoder.begin()
            + encoder.put(
                header,
                stored: maker.bytes.span.bytes.extracting(start..<start + header.storedByteCount))
            + encoder.end()
        let (items, error) = decodeArchive(forged)
        #expect(items.count == 1 && error?.code == .damaged)
        #expect(error?.message.contains("table of offsets") ?? false)
    }

    @Test func `goes on behind what an interrupted writer left`() throws {
        var decoder = ArchiveDecoder()
        decoder.add(Array(bytes.prefix(parts.starts[1] + 9)))
        var head: ArchiveHead?
        while let item = try decoder.next() {
            if case .head(let found) = item { head = found }
        }
        let tally = try #require(decoder.tally)
        #expect(tally.byteCount == UInt64(parts.starts[1]))
        #expect(tally.end == Offset(102))
        var encoder = ArchiveEncoder(try #require(head), after: tally)
        guard case .batch(let last) = decodeArchive(bytes).items[2] else { return }
        let rest = encoder.put(last.header, stored: last.bytes.span.bytes) + encoder.end()
        #expect(Array(bytes.prefix(parts.starts[1])) + rest == bytes)
    }
}
