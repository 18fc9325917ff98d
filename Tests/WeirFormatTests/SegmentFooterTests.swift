import Testing
import WeirBase
import WeirFormat
import WeirTesting

private typealias Trailer = SegmentFooter.Trailer

private let segment = SegmentID(0xFEED)
private let place = FilePosition(8192)

private func sample() -> SegmentFooter {
    var summary = SegmentSummary(base: Offset(10))
    summary.add(header(offset: 10, records: 3, appended: 5, times: 1...9), at: FilePosition(4096))
    summary.add(
        header(offset: 13, records: 2, appended: 6, times: 4...5), at: FilePosition(80_000))
    var footer = SegmentFooter(
        segmentID: segment, summary: summary, logStart: Offset(4),
        configuration: StreamConfiguration(visibility: .flushed))
    footer.producers = [
        .init(name: "second", lastPublishingID: 7, offset: Offset(12)),
        .init(name: "first", lastPublishingID: 9, offset: Offset(11)),
    ]
    return footer
}

/// The footer's bytes with a checksum that holds, made by the document's rule.
private func resealed(_ bytes: [UInt8]) -> [UInt8] {
    let trailer = bytes.count - Trailer.end
    return bytes.setting(
        checksum(
            WeirFormatTests.bytes(segment.value), WeirFormatTests.bytes(place.value),
            Array(bytes[..<(trailer + Trailer.checksum)]),
            Array(bytes[(trailer + Trailer.magic)...])),
        at: trailer + Trailer.checksum)
}

private func failure(
    _ bytes: [UInt8], segment: SegmentID = segment, at position: FilePosition = place
) -> WeirError.Code? {
    code { () throws(WeirError) in
        _ = try SegmentFooter.decode(bytes, segment: segment, at: position)
    }
}

/// Where the table's entry of a section type begins.
private func tablePlace(_ bytes: [UInt8], _ type: UInt16) throws -> Int {
    let start = Int(
        bytes.number(UInt32.self, at: bytes.count - Trailer.end + Trailer.sectionsLength))
    let places = stride(from: start, to: bytes.count - Trailer.end, by: 16)
    return try #require(places.first { bytes.number(UInt16.self, at: $0) == type })
}

@Suite("A segment footer")
struct SegmentFooterTests {
    @Test func `is read back with its checksum`() throws {
        let footer = sample()
        let (bytes, sum) = footer.encode(at: place)
        #expect(bytes.count % 8 == 0)
        let found = try SegmentFooter.decode(bytes, segment: segment, at: place)
        #expect(found.footer == footer)
        #expect(found.checksum == sum)
        #expect(bytes == resealed(bytes))
    }

    @Test func `says its length in the file's last 32 bytes`() throws {
        let (bytes, _) = sample().encode(at: place)
        let trailer = Array(bytes.suffix(32))
        #expect(Array(trailer.suffix(8)) == Array("WEIREND1".utf8))
        #expect(try SegmentFooter.byteCount(trailer: trailer, segment: segment) == bytes.count)
        #expect(try SegmentFooter.byteCount(trailer: trailer, segment: SegmentID(1)) == nil)
        #expect(
            try SegmentFooter.byteCount(trailer: Array(trailer.dropLast()), segment: segment) == nil
        )
        for length: UInt32 in [0, 31, 64 << 20 | 1, .max] {
            let claim = trailer.setting(length, at: 0)
            #expect(try SegmentFooter.byteCount(trailer: claim, segment: segment) == nil)
        }
    }

    @Test func `is refused in another segment or at another place`() {
        let (bytes, _) = sample().encode(at: place)
        #expect(failure(bytes, segment: SegmentID(0xFEEE)) == .damaged)
        #expect(failure(bytes, at: FilePosition(8200)) == .damaged)
    }

    @Test func `notices every flipped bit`() {
        let (bytes, _) = sample().encode(at: place)
        for bit in 0..<bytes.count * 8 {
            #expect(failure(bytes.flipping(bit: bit)) == .damaged, "bit \(bit)")
        }
    }

    @Test func `that ends early is damaged`() {
        let (bytes, _) = sample().encode(at: place)
        for count in 0..<bytes.count {
            #expect(failure(Array(bytes[..<count])) == .damaged)
            #expect(failure(Array(bytes[(bytes.count - count)...])) == .damaged)
        }
    }

    @Test func `of another version is a newer format's`() {
        let (bytes, _) = sample().encode(at: place)
        let newer = bytes.setting(UInt16(2), at: bytes.count - Trailer.end + Trailer.version)
        #expect(failure(resealed(newer)) == .newerFormat)
    }

    @Test func `with a table that does not fit is damaged`() throws {
        let (bytes, _) = sample().encode(at: place)
        let trailer = bytes.count - Trailer.end
        for count: UInt16 in [0, 4, 6, .max] {
            let wrong = bytes.setting(count, at: trailer + Trailer.sectionCount)
            #expect(failure(resealed(wrong)) == .damaged)
        }
        let entry = try tablePlace(bytes, SegmentFooter.SectionType.keys)
        #expect(failure(resealed(bytes.setting(UInt32.max, at: entry + 4))) == .damaged)
        #expect(failure(resealed(bytes.setting(UInt64.max, at: entry + 8))) == .damaged)
        #expect(failure(resealed(bytes.setting(UInt64(bytes.count), at: entry + 8))) == .damaged)
    }

    @Test func `with an unknown section is read, unless that is critical`() throws {
        let (bytes, _) = sample().encode(at: place)
        let entry = try tablePlace(bytes, SegmentFooter.SectionType.keys)
        let unknown = resealed(bytes.setting(UInt16(77), at: entry))
        #expect(try SegmentFooter.decode(unknown, segment: segment, at: place).footer == sample())
        #expect(failure(resealed(unknown.setting(UInt16(1), at: entry + 2))) == .newerFormat)
    }

    @Test(arguments: [1, 2, 5] as [UInt16])
    func `without a part that every footer has is damaged`(_ type: UInt16) throws {
        let (bytes, _) = sample().encode(at: place)
        let entry = try tablePlace(bytes, type)
        #expect(failure(resealed(bytes.setting(UInt16(77), at: entry))) == .damaged)
    }

    @Test func `that claims more blocks than it has is damaged`() {
        // Once wrapped: 2^59 blocks of 32 bytes are no bytes at all.
        let (bytes, _) = sample().encode(at: place)
        let claim = bytes.number(UInt64.self, at: 104) | 1 << 59
        #expect(failure(resealed(bytes.setting(claim, at: 104))) == .damaged)
    }

    @Test func `forgets the producers with the lowest offsets`() throws {
        var footer = sample()
        footer.producers = (0..<Limits.producersMax + 5).map {
            .init(name: "p\($0)", lastPublishingID: UInt64($0), offset: Offset(UInt64($0)))
        }
        let (bytes, _) = footer.encode(at: place)
        let found = try #require(
            SegmentFooter.decode(bytes, segment: segment, at: place).footer.producers)
        #expect(found.count == Limits.producersMax)
        #expect(found.map(\.offset).min() == Offset(5))
    }

    @Test func `may leave it to others to tell of producers`() throws {
        var footer = sample()
        footer.producers = nil
        let (bytes, _) = footer.encode(at: place)
        #expect(try SegmentFooter.decode(bytes, segment: segment, at: place).footer == footer)
    }

    @Test func `with a producer's name over its limit is damaged`() throws {
        let (bytes, _) = sample().encode(at: place)
        let entry = try tablePlace(bytes, SegmentFooter.SectionType.producers)
        let start = Int(bytes.number(UInt64.self, at: entry + 8))
        for claim: UInt64 in [.max, 4097] {
            #expect(failure(resealed(bytes.setting(claim, at: start))) == .damaged)
        }
        #expect(failure(resealed(bytes.setting(UInt16(256), at: start + 24))) == .damaged)
    }

    @Test func `of scrambled bytes behind a right checksum never traps`() {
        let (bytes, _) = sample().encode(at: place)
        var random = SeededRandom(seed: 2)
        for _ in 0..<20_000 {
            let found = failure(resealed(bytes.scrambled(&random)))
            #expect(found == nil || found == .damaged || found == .newerFormat)
        }
    }
}
