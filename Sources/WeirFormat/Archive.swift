package import WeirBase

/// A stream's batches in one file or pipe, to be put into another store; little-endian.
///
///     | head | batch | batch | … | trailer |
///
/// Head, its length a multiple of eight:
///
///      0       8          12       16        18         20         24           32
///     | magic | checksum | length | version | reserved | incompat | archive id |
///      32         40          48             56           64              72
///     | store id | stream id | first offset | end offset | creation time | sections … |
///
/// The sections are the stream's name and its configuration, as in a segment's header. From `first`
/// to before `end` goes what was asked for; the first batch may begin before and the last may end
/// behind it, as an archive has whole batches.
///
/// A batch is what a segment has (`BatchHeader`), its body as it was. Its header checksum covers
/// the archive's id and the position in the archive, where that of a segment has the segment's.
///
/// Trailer, 56 bytes:
///
///      0       8          12         16            24             32           40
///     | magic | checksum | of all   | batch count | record count | end offset |
///      40               48         56
///     | bytes before it | reserved |
///
/// `of all` is the CRC-32C of every byte before the trailer, so that nothing is missing, doubled or
/// exchanged; the other checksums say where it went wrong.
///
/// That of a partitioned stream is a series: an archive of each partition, all of them whole, in
/// the order of their numbers. Each head has feature 1 then, and its configuration says which
/// partition of how many it is.
package struct ArchiveHead: Sendable, Hashable {
    package enum Field {
        package static let magic = 0, checksum = 8, length = 12, version = 16, reserved = 18
        package static let incompat = 20, archiveID = 24, storeID = 32, streamID = 40
        package static let first = 48, endOffset = 56, creationTime = 64, end = 72
    }
    private enum SectionType {
        static let name: UInt16 = 1, configuration: UInt16 = 2
    }
    /// "WEIRARC1" as its bytes stand in the file.
    package static let magic: UInt64 = 0x3143_5241_5249_4557
    package static let version: UInt16 = 1
    package static let byteCountMax = 64 << 10
    /// Of `incompat`: the archives of the other partitions stand before and behind.
    package static let series: UInt32 = 1

    package var archiveID: SegmentID
    package var storeID: StoreID
    package var streamID: StreamID
    package var first: Offset
    package var end: Offset
    package var creationTime: Timestamp
    package var name: StreamName
    package var configuration: StreamConfiguration
    /// All partitions are in the same file or pipe.
    package var isInSeries = false

    package init(
        archiveID: SegmentID, storeID: StoreID, streamID: StreamID, range: Range<Offset>,
        name: StreamName, configuration: StreamConfiguration, creationTime: Timestamp
    ) {
        self.archiveID = archiveID
        self.storeID = storeID
        self.streamID = streamID
        self.first = range.lowerBound
        self.end = range.upperBound
        self.name = name
        self.configuration = configuration
        self.creationTime = creationTime
    }

    package func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.put(ArchiveHead.magic)
        writer.zeros(Field.version - writer.count)
        writer.put(ArchiveHead.version)
        writer.zeros(Field.incompat - writer.count)
        writer.put(isInSeries ? ArchiveHead.series : 0)
        writer.put(archiveID)
        writer.put(storeID)
        writer.put(streamID)
        writer.put(first)
        writer.put(end)
        writer.put(creationTime)
        Section(type: SectionType.name, payload: Array(name.description.utf8)).encode(to: &writer)
        Section(
            type: SectionType.configuration, payload: ConfigurationCoding.encode(configuration)
        ).encode(to: &writer)
        precondition(writer.count <= ArchiveHead.byteCountMax, "an archive's head over its limit")
        writer.set(UInt32(writer.count), at: Field.length)
        writer.set(archiveChecksum(writer.bytes[...]), at: Field.checksum)
        return writer.bytes
    }

    /// The head's length, from its first `Field.version` bytes. Throws `damaged`.
    package static func byteCount(_ bytes: ArraySlice<UInt8>) throws(WeirError) -> Int {
        var reader = ByteReader(bytes, "archive's head")
        guard try reader.get(UInt64.self) == magic else {
            throw WeirError.damaged(
                "The input does not begin with WEIRARC1 as an archive of Weir does; give a file "
                    + "that `weir export --format archive` wrote, or name its format.")
        }
        _ = try reader.get(UInt32.self)
        let length = Int(try reader.get(UInt32.self))
        guard (Field.end...byteCountMax).contains(length), length % 8 == 0 else {
            throw WeirError.damaged(
                "The archive's head claims \(length) bytes at byte \(Field.length); expected "
                    + "\(Field.end) to \(byteCountMax), a multiple of eight.")
        }
        return length
    }

    /// Reads a head; `bytes` is exactly that. Throws `damaged`, or `newerFormat`.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(WeirError) -> ArchiveHead {
        var reader = ByteReader(bytes, "archive's head")
        _ = try reader.get(UInt64.self)
        let found: UInt32 = try reader.get()
        let expected = archiveChecksum(bytes)
        guard found == expected else {
            throw WeirError.damaged(
                "The archive's head has the checksum \(found) at byte \(Field.checksum), and its "
                    + "\(bytes.count) bytes have \(expected); fetch or make the archive again.")
        }
        _ = try reader.get(UInt32.self)
        let version: UInt16 = try reader.get()
        _ = try reader.get(UInt16.self)
        let incompat: UInt32 = try reader.get()
        guard version == ArchiveHead.version, incompat & ~series == 0 else {
            throw WeirError.newerFormat(
                "The archive has format version \(version) and features \(incompat); this version "
                    + "of Weir understands \(ArchiveHead.version), and 0 or \(series). Use a newer "
                    + "one.")
        }
        let archiveID = try reader.id(SegmentID.self)
        let storeID = try reader.id(StoreID.self)
        let streamID = try reader.id(StreamID.self)
        let first = try reader.offset()
        let end = try reader.offset()
        let creationTime = try reader.time()
        guard first <= end else {
            throw WeirError.damaged("The archive goes from offset \(first) back to \(end).")
        }
        let (name, configuration) = try decodeSections(bytes.dropFirst(Field.end))
        var head = ArchiveHead(
            archiveID: archiveID, storeID: storeID, streamID: streamID, range: first..<end,
            name: name, configuration: configuration, creationTime: creationTime)
        head.isInSeries = incompat == series
        guard !head.isInSeries || configuration.partition != nil else {
            throw WeirError.damaged(
                "The archive's head says that it is of one partition of several, and not of which.")
        }
        return head
    }

    /// Whether it may stand behind this one in a series, or at the beginning behind none.
    package func follows(_ previous: ArchiveHead?) -> Bool {
        guard isInSeries, let partition = configuration.partition else { return previous == nil }
        guard let previous, let before = previous.configuration.partition else {
            return partition.index == 0
        }
        return storeID == previous.storeID && partition.group == before.group
            && partition.count == before.count && partition.index == before.index + 1
    }

    /// No other is to follow.
    package var isLast: Bool {
        guard isInSeries, let partition = configuration.partition else { return true }
        return partition.index + 1 == partition.count
    }

    private static func decodeSections(
        _ bytes: ArraySlice<UInt8>
    ) throws(WeirError) -> (StreamName, StreamConfiguration) {
        var name: StreamName?
        var configuration = StreamConfiguration()
        let known: Set = [SectionType.name, SectionType.configuration]
        for section in try Section.decodeAll(bytes, known: known, "archive's head") {
            if section.type == SectionType.name {
                var text = ByteReader(section.payload, "archive's head")
                name = try text.streamName(byteCount: text.left)
            } else if section.type == SectionType.configuration {
                configuration = try ConfigurationCoding.decode(section.payload)
            }
        }
        guard let name else { throw WeirError.damaged("The archive names no stream.") }
        return (name, configuration)
    }
}

/// What has gone through an archive so far; the trailer is its bytes.
package struct ArchiveTally: Sendable, Hashable {
    package enum Field {
        package static let magic = 0, checksum = 8, ofAll = 12, batchCount = 16, recordCount = 24
        package static let endOffset = 32, bytesBefore = 40, reserved = 48, end = 56
    }
    /// "WEIRAEND" as its bytes stand in the file; no batch begins like that.
    package static let magic: UInt64 = 0x444E_4541_5249_4557
    package static let byteCount = Field.end

    package private(set) var batchCount: UInt64 = 0
    package private(set) var recordCount: UInt64 = 0
    /// Behind the last batch; the head's first offset as long as there is none.
    package private(set) var end: Offset
    package private(set) var byteCount: UInt64 = 0
    package private(set) var checksum: UInt32 = 0
    /// Of the archives that stand before this one in the same file or pipe.
    package let bytesBefore: UInt64

    package init(_ head: ArchiveHead, behind bytesBefore: UInt64 = 0) {
        end = head.first
        self.bytesBefore = bytesBefore
    }

    package var position: FilePosition { FilePosition(byteCount) }
    /// In the file or pipe.
    package var place: UInt64 { bytesBefore + byteCount }

    package mutating func add(_ bytes: ArraySlice<UInt8>) {
        byteCount += UInt64(bytes.count)
        checksum = crc32c(bytes, seed: checksum)
    }

    package mutating func add(_ header: BatchHeader, _ bytes: ArraySlice<UInt8>) {
        batchCount += 1
        recordCount += UInt64(header.recordCount)
        end = header.endOffset
        add(bytes)
    }

    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: Field.end)
        writer.put(ArchiveTally.magic)
        writer.put(UInt32(0))
        writer.put(checksum)
        writer.put(batchCount)
        writer.put(recordCount)
        writer.put(end)
        writer.put(byteCount)
        writer.zeros(Field.end - writer.count)
        writer.set(archiveChecksum(writer.bytes[...]), at: Field.checksum)
        return writer.bytes
    }

    /// Compares a trailer with what came before it. Throws `damaged`.
    package func expect(_ trailer: ArraySlice<UInt8>) throws(WeirError) {
        var reader = ByteReader(trailer, "archive's trailer")
        _ = try reader.get(UInt64.self)
        guard try reader.get(UInt32.self) == archiveChecksum(trailer) else {
            throw WeirError.damaged(
                "The archive's trailer, at byte \(place), does not fit its checksum; every "
                    + "batch before it does.")
        }
        let foundChecksum: UInt32 = try reader.get()
        let batches: UInt64 = try reader.get()
        let records: UInt64 = try reader.get()
        let foundEnd = try reader.offset()
        let bytes: UInt64 = try reader.get()
        let found = [batches, records, foundEnd.value, bytes, UInt64(foundChecksum)]
        let expected = [batchCount, recordCount, end.value, byteCount, UInt64(checksum)]
        guard found == expected else {
            throw WeirError.damaged(
                "The archive's trailer, at byte \(place), tells of \(batches) batches with "
                    + "\(records) records up to offset \(foundEnd) in \(bytes) bytes with checksum "
                    + "\(foundChecksum); before it are \(batchCount) with \(recordCount) up to "
                    + "\(end) in \(byteCount) with \(checksum).")
        }
    }
}

/// CRC-32C over the magic and everything behind the checksum's own place.
private func archiveChecksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    let (start, place) = (bytes.startIndex, ArchiveHead.Field.checksum)
    let magic = crc32c(bytes[start..<start + place])
    return crc32c(bytes[(start + place + 4)...], seed: magic)
}
