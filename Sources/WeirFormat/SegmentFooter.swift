package import WeirBase

/// What stands behind the batches of a sealed segment: sections, their table, a trailer.
///
///     | section payloads, each padded to 8 | table: 16 bytes a section | trailer: 32 bytes |
///
///     table:    0 type  2 flags  4 length  8 position from the footer's start
///     trailer:  0 footer length  4 sections length  8 segment id  16 version  18 section count
///               20 checksum  24 magic "WEIREND1"
///
/// The checksum covers segment id, the footer's position in the file, and every byte of the footer
/// but its own four. Derived: a damaged footer is rebuilt by scanning the batches.
package struct SegmentFooter: Sendable, Hashable {
    package enum Trailer {
        package static let footerLength = 0, sectionsLength = 4, segmentID = 8, version = 16
        package static let sectionCount = 18, checksum = 20, magic = 24, end = 32
    }
    package enum SectionType {
        package static let counts: UInt16 = 1, blockIndex: UInt16 = 2, producers: UInt16 = 3
        package static let keys: UInt16 = 4, settings: UInt16 = 5
        static let known: Set<UInt16> = [1, 2, 3, 4, 5]
    }
    /// "WEIREND1" as its bytes stand in the file.
    package static let magic: UInt64 = 0x3144_4E45_5249_4557
    package static let version: UInt16 = 1

    package var segmentID: SegmentID
    package var summary: SegmentSummary
    /// Of the whole log up to this segment's end. At most `Limits.producersMax`; those with the
    /// lowest offsets are forgotten first. `nil` if it does not tell: then the footer before it,
    /// and the batches behind that one, do.
    package var producers: [ProducerRow]? = []
    package var logStart: Offset
    package var configuration: StreamConfiguration

    package init(
        segmentID: SegmentID, summary: SegmentSummary, logStart: Offset,
        configuration: StreamConfiguration
    ) {
        self.segmentID = segmentID
        self.summary = summary
        self.logStart = logStart
        self.configuration = configuration
    }

    /// The footer's bytes, to stand at `position`, and its checksum.
    package func encode(at position: FilePosition) -> (bytes: [UInt8], checksum: UInt32) {
        var writer = ByteWriter(capacity: 4096)
        var table = ByteWriter()
        func section(_ type: UInt16, _ payload: [UInt8]) {
            table.put(type)
            table.put(UInt16(0))
            table.put(UInt32(payload.count))
            table.put(UInt64(writer.count))
            writer.put(payload)
            writer.pad(to: 8)
        }
        section(SectionType.counts, summary.encodeCounts())
        section(SectionType.blockIndex, summary.encodeIndex())
        if let producers {
            let kept = producers.sorted { $0.offset > $1.offset }.prefix(Limits.producersMax)
            section(SectionType.producers, ProducerRow.encode(Array(kept)))
        }
        var keys = ByteWriter()
        keys.put(summary.keyedCount)
        keys.put(summary.tombstoneCount)
        section(SectionType.keys, keys.bytes)
        var settings = ByteWriter()
        settings.put(logStart)
        settings.put(ConfigurationCoding.encode(configuration))
        section(SectionType.settings, settings.bytes)
        let sectionsLength = writer.count
        let sectionCount = table.count / 16
        writer.put(table.bytes)
        let trailer = writer.count
        writer.put(UInt32(trailer + Trailer.end))
        writer.put(UInt32(sectionsLength))
        writer.put(segmentID)
        writer.put(SegmentFooter.version)
        writer.put(UInt16(sectionCount))
        writer.put(UInt32(0))
        writer.put(SegmentFooter.magic)
        let checksum = SegmentFooter.checksum(writer.bytes[...], segmentID, position)
        writer.set(checksum, at: trailer + Trailer.checksum)
        return (writer.bytes, checksum)
    }

    private static func checksum(
        _ footer: ArraySlice<UInt8>, _ segment: SegmentID, _ position: FilePosition
    ) -> UInt32 {
        var place = ByteWriter(capacity: 16)
        place.put(segment)
        place.put(position)
        let field = footer.endIndex - Trailer.end + Trailer.checksum
        var checksum = crc32c(place.bytes)
        checksum = crc32c(footer[..<field], seed: checksum)
        return crc32c(footer[(field + 4)...], seed: checksum)
    }

    /// How long the footer is that a file's last 32 bytes belong to; `nil` if they are no trailer.
    package static func byteCount(trailer: [UInt8], segment: SegmentID) throws(WeirError) -> Int? {
        guard trailer.count == Trailer.end else { return nil }
        var reader = ByteReader(trailer, "footer")
        let length: UInt32 = try reader.get()
        _ = try reader.get(UInt32.self)
        let id = try reader.id(SegmentID.self)
        _ = try reader.get(UInt64.self)
        let magic: UInt64 = try reader.get()
        guard magic == SegmentFooter.magic, id == segment,
            (Trailer.end...Limits.footerBytesMax).contains(Int(length))
        else { return nil }
        return Int(length)
    }

    /// Reads a whole footer that stands at `position`. Throws `damaged` or `newerFormat`.
    package static func decode(
        _ bytes: [UInt8], segment: SegmentID, at position: FilePosition
    ) throws(WeirError) -> (footer: SegmentFooter, checksum: UInt32) {
        guard bytes.count >= Trailer.end else {
            throw WeirError.damaged("The footer has only \(bytes.count) bytes.")
        }
        var reader = ByteReader(bytes[(bytes.count - Trailer.end)...], "footer")
        let length = Int(try reader.get(UInt32.self))
        let sectionsLength = Int(try reader.get(UInt32.self))
        let id = try reader.id(SegmentID.self)
        let version: UInt16 = try reader.get()
        let sectionCount = Int(try reader.get(UInt16.self))
        let found: UInt32 = try reader.get()
        let magic: UInt64 = try reader.get()
        guard magic == SegmentFooter.magic, id == segment, length == bytes.count,
            checksum(bytes[...], segment, position) == found
        else { throw WeirError.damaged("The footer's checksum does not hold.") }
        guard version == SegmentFooter.version else {
            throw WeirError.newerFormat(
                "The footer has version \(version); this version of Weir understands "
                    + "\(SegmentFooter.version). Use a newer one.")
        }
        guard sectionsLength + sectionCount * 16 + Trailer.end == length else {
            throw WeirError.damaged("The footer's table of contents does not fit its length.")
        }
        let table = bytes[sectionsLength..<sectionsLength + sectionCount * 16]
        let payloads = try sections(table, in: bytes[..<sectionsLength])
        return (try decode(payloads, segment), found)
    }

    private static func sections(
        _ table: ArraySlice<UInt8>, in bytes: ArraySlice<UInt8>
    ) throws(WeirError) -> [UInt16: ArraySlice<UInt8>] {
        var reader = ByteReader(table, "footer's table")
        var payloads: [UInt16: ArraySlice<UInt8>] = [:]
        while !reader.isAtEnd {
            let type: UInt16 = try reader.get()
            let flags: UInt16 = try reader.get()
            let length = Int(try reader.get(UInt32.self))
            let start = try reader.count(bytes.count)
            guard length <= bytes.count - start else {
                throw WeirError.damaged("A section of the footer goes beyond its end.")
            }
            guard flags & Section.critical == 0 || SectionType.known.contains(type) else {
                let newest = SectionType.known.max() ?? 0
                throw WeirError.newerFormat(
                    "The footer has a part of type \(type) that must be understood; this version "
                        + "of Weir knows types up to \(newest). Use a newer one.")
            }
            payloads[type] = bytes[start..<start + length]
        }
        return payloads
    }

    private static func decode(
        _ payloads: [UInt16: ArraySlice<UInt8>], _ segment: SegmentID
    ) throws(WeirError) -> SegmentFooter {
        guard let counts = payloads[SectionType.counts],
            let index = payloads[SectionType.blockIndex],
            let settings = payloads[SectionType.settings]
        else { throw WeirError.damaged("The footer lacks a part that every footer has.") }
        var reader = ByteReader(settings, "footer's settings")
        let logStart = try reader.offset()
        let rest = try reader.take(reader.left)
        var footer = SegmentFooter(
            segmentID: segment, summary: try SegmentSummary.decode(counts: counts, index: index),
            logStart: logStart, configuration: try ConfigurationCoding.decode(rest))
        let producers = payloads[SectionType.producers]
        footer.producers = try producers.map { rows throws(WeirError) in
            try ProducerRow.decode(rows, "footer's producers")
        }
        return footer
    }
}
