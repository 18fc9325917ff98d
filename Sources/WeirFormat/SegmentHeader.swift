package import WeirBase

/// The first bytes of a segment file; little-endian. Batches begin at the next multiple of 4096.
///
///      0       8          12       16        18         20       24         28
///     | magic | checksum | length | version | reserved | compat | roCompat | incompat |
///      32           40          48      56            64              72          80
///     | segment id | stream id | epoch | base offset | creation time | log start |
///      80           84         88
///     | generation | reserved | sections …: stream name, configuration, replaced segments,
///                               starts of later epochs
///
/// With it, names, configuration and replacements can be rebuilt when the manifest is lost.
package struct SegmentHeader: Sendable, Hashable {
    package enum Field {
        package static let magic = 0, checksum = 8, length = 12, version = 16, reserved = 18
        package static let compat = 20, roCompat = 24, incompat = 28
        package static let segmentID = 32, streamID = 40, epoch = 48, base = 56
        package static let creationTime = 64, logStart = 72, generation = 80, end = 88
    }
    package enum SectionType {
        package static let name: UInt16 = 1, configuration: UInt16 = 2, replaced: UInt16 = 3
        package static let epochStarts: UInt16 = 4
    }
    /// "WEIRSEG1" as its bytes stand in the file.
    package static let magic: UInt64 = 0x3147_4553_5249_4557
    package static let version: UInt16 = 1
    package static let byteCountMax = 64 << 10
    package static let alignment = 4096

    package var segmentID: SegmentID
    package var streamID: StreamID
    package var epoch: Epoch
    package var base: Offset
    package var creationTime: Timestamp
    package var logStart: Offset
    package var generation: UInt32 = 0
    package var name: StreamName
    package var configuration: StreamConfiguration
    package var replaced: [SegmentID] = []
    /// Of neighbours that were merged, where those began that are of a later epoch than the first:
    /// epochs rise, offsets never fall.
    package var epochStarts: [EpochStart] = []
    /// Features of a newer version: batches may be read and none may be added to the file.
    package var roCompat: UInt32 = 0

    package init(
        segmentID: SegmentID, streamID: StreamID, epoch: Epoch, base: Offset,
        creationTime: Timestamp, logStart: Offset, name: StreamName,
        configuration: StreamConfiguration
    ) {
        self.segmentID = segmentID
        self.streamID = streamID
        self.epoch = epoch
        self.base = base
        self.creationTime = creationTime
        self.logStart = logStart
        self.name = name
        self.configuration = configuration
    }

    /// Of all that is merged in the segment.
    package var lastEpoch: Epoch { epochStarts.last?.epoch ?? epoch }

    /// What each replaced segment, and each epoch's start, adds to the header.
    package static let replacedByteCount = 8
    package static let epochStartByteCount = 16

    /// How much of these fits before batches that begin at `alignment`, as readers expect whom
    /// nothing but the segment's name tells where they begin.
    package var byteCountLeft: Int {
        var bare = self
        (bare.replaced, bare.epochStarts) = ([], [])
        return SegmentHeader.alignment - bare.sections().count - 2 * Section.headByteCount
    }

    /// Asked before a byte is added to the file. Throws `newerFormat`.
    package static func expectWritable(_ roCompat: UInt32, path: String) throws(WeirError) {
        guard roCompat == 0 else {
            throw WeirError.newerFormat(
                "The segment has features \(roCompat) that this version of Weir does not know and "
                    + "may read but not write. Use a newer one, or read only.", path: path)
        }
    }

    /// The header with zeros up to where batches begin.
    package func encode() -> [UInt8] {
        var writer = sections()
        precondition(writer.count <= SegmentHeader.byteCountMax, "a segment header over its limit")
        writer.set(UInt32(writer.count), at: Field.length)
        writer.set(SegmentHeader.checksum(writer.bytes[...]), at: Field.checksum)
        writer.pad(to: SegmentHeader.alignment)
        return writer.bytes
    }

    /// All of it but its length and its checksum.
    private func sections() -> ByteWriter {
        var writer = ByteWriter(capacity: SegmentHeader.alignment)
        writer.put(SegmentHeader.magic)
        writer.put(UInt32(0))
        writer.put(UInt32(0))
        writer.put(SegmentHeader.version)
        writer.put(UInt16(0))
        writer.zeros(Field.roCompat - writer.count)
        writer.put(roCompat)
        writer.zeros(Field.segmentID - writer.count)
        writer.put(segmentID)
        writer.put(streamID)
        writer.put(epoch)
        writer.put(base)
        writer.put(creationTime)
        writer.put(logStart)
        writer.put(generation)
        writer.put(UInt32(0))
        Section(type: SectionType.name, payload: Array(name.description.utf8)).encode(to: &writer)
        Section(
            type: SectionType.configuration, payload: ConfigurationCoding.encode(configuration)
        ).encode(to: &writer)
        if !replaced.isEmpty {
            var ids = ByteWriter()
            for id in replaced { ids.put(id) }
            Section(type: SectionType.replaced, payload: ids.bytes).encode(to: &writer)
        }
        if !epochStarts.isEmpty {
            var starts = ByteWriter()
            for start in epochStarts {
                starts.put(start.epoch)
                starts.put(start.offset)
            }
            Section(type: SectionType.epochStarts, payload: starts.bytes).encode(to: &writer)
        }
        return writer
    }

    /// `bytes` is exactly the header, `length` bytes long.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        let start = bytes.startIndex
        let magic = crc32c(bytes[start..<start + Field.checksum])
        return crc32c(bytes[(start + Field.length)...], seed: magic)
    }

    /// Reads a header; `bytes` is the file's beginning, up to `byteCountMax` of it.
    ///
    /// Also gives where the batches begin. Throws `damaged`, or `newerFormat`.
    package static func decode(
        _ bytes: [UInt8]
    ) throws(WeirError) -> (header: SegmentHeader, batchesStart: FilePosition) {
        var reader = ByteReader(bytes, "segment header")
        guard try reader.get(UInt64.self) == magic else {
            throw WeirError.damaged("The file does not begin like a segment of Weir.")
        }
        let found: UInt32 = try reader.get()
        let length = Int(try reader.get(UInt32.self))
        guard (Field.end...byteCountMax).contains(length), length <= bytes.count else {
            throw WeirError.damaged("The segment header claims \(length) bytes.")
        }
        guard checksum(bytes[0..<length]) == found else {
            throw WeirError.damaged("The segment header's checksum does not hold.")
        }
        let version: UInt16 = try reader.get()
        _ = try reader.get(UInt16.self)
        _ = try reader.get(UInt32.self)
        let roCompat: UInt32 = try reader.get()
        let incompat: UInt32 = try reader.get()
        guard version == SegmentHeader.version, incompat == 0 else {
            throw WeirError.newerFormat(
                "The segment has format version \(version) and features \(incompat); this version "
                    + "of Weir understands \(SegmentHeader.version) and 0. Use a newer one.")
        }
        let segmentID = try reader.id(SegmentID.self)
        let streamID = try reader.id(StreamID.self)
        let epoch = try reader.epoch()
        let base = try reader.offset()
        let creationTime = try reader.time()
        let logStart = try reader.offset()
        let generation: UInt32 = try reader.get()
        let sections = try Section.decodeAll(
            bytes[Field.end..<length], known: [1, 2, 3, 4], "segment header")
        let (name, configuration) = try decode(sections)
        var header = SegmentHeader(
            segmentID: segmentID, streamID: streamID, epoch: epoch, base: base,
            creationTime: creationTime, logStart: logStart, name: name,
            configuration: configuration)
        header.generation = generation
        for section in sections { try header.take(section) }
        header.roCompat = roCompat
        return (header, FilePosition(UInt64(roundedUp(length, to: alignment))))
    }

    private static func decode(
        _ sections: [Section]
    ) throws(WeirError) -> (StreamName, StreamConfiguration) {
        var name: StreamName?
        var configuration = StreamConfiguration()
        for section in sections {
            switch section.type {
            case SectionType.name:
                var text = ByteReader(section.payload, "segment header")
                name = try text.streamName(byteCount: text.left)
            case SectionType.configuration:
                configuration = try ConfigurationCoding.decode(section.payload)
            default: break
            }
        }
        guard let name else { throw WeirError.damaged("The segment header has no stream name.") }
        return (name, configuration)
    }

    /// What compaction tells of the segments that it merged.
    private mutating func take(_ section: Section) throws(WeirError) {
        var payload = ByteReader(section.payload, "segment header")
        switch section.type {
        case SectionType.replaced:
            while !payload.isAtEnd { replaced.append(try payload.id(SegmentID.self)) }
        case SectionType.epochStarts:
            while !payload.isAtEnd {
                let start = EpochStart(epoch: try payload.epoch(), offset: try payload.offset())
                let before = epochStarts.last ?? EpochStart(epoch: epoch, offset: base)
                guard start.epoch > before.epoch, start.offset >= before.offset else {
                    throw WeirError.damaged(
                        "The segment header has epoch \(start.epoch) begin at \(start.offset), "
                            + "behind epoch \(before.epoch) at \(before.offset).")
                }
                epochStarts.append(start)
            }
        default: break
        }
    }
}

/// The first offset that an epoch may have given to a record.
package struct EpochStart: Sendable, Hashable {
    package let epoch: Epoch
    package let offset: Offset

    package init(epoch: Epoch, offset: Offset) {
        self.epoch = epoch
        self.offset = offset
    }
}
