package import WeirBase

/// A segment as the manifest knows it.
package struct SegmentEntry: Sendable, Hashable {
    package var id: SegmentID
    package var base: Offset
    package var epoch: Epoch
    package var generation: UInt32
    package var sealed: SealedSegment?

    package init(
        id: SegmentID, base: Offset, epoch: Epoch, generation: UInt32 = 0,
        sealed: SealedSegment? = nil
    ) {
        self.id = id
        self.base = base
        self.epoch = epoch
        self.generation = generation
        self.sealed = sealed
    }
}

/// What the manifest says of a sealed segment: enough to open a store without reading any.
package struct SealedSegment: Sendable, Hashable {
    package var endOffset: Offset
    /// Where the batches end and the footer begins.
    package var batchesEnd: FilePosition
    package var fileBytes: UInt64
    package var recordCount: UInt64
    package var rawBytes: UInt64
    package var firstAppendTime: Timestamp
    package var lastAppendTime: Timestamp
    package var minRecordTime: Timestamp
    package var maxRecordTime: Timestamp
    package var footerChecksum: UInt32

    package init(
        summary: SegmentSummary, batchesEnd: FilePosition, fileBytes: UInt64,
        footerChecksum: UInt32
    ) {
        self.endOffset = summary.endOffset
        self.batchesEnd = batchesEnd
        self.fileBytes = fileBytes
        self.recordCount = summary.recordCount
        self.rawBytes = summary.rawBytes
        self.firstAppendTime = summary.firstAppendTime
        self.lastAppendTime = summary.lastAppendTime
        self.minRecordTime = summary.minRecordTime
        self.maxRecordTime = summary.maxRecordTime
        self.footerChecksum = footerChecksum
    }
}

/// Where a writer stood when it closed in good order: the next one goes on there without a scan.
package struct CleanClose: Sendable, Hashable {
    package var epoch: Epoch
    package var segment: SegmentID?
    package var position: FilePosition
    package var end: Offset
    package var durableEnd: Offset
    package var lastAppendTime: Timestamp

    package init(
        epoch: Epoch, segment: SegmentID?, position: FilePosition, end: Offset,
        durableEnd: Offset, lastAppendTime: Timestamp
    ) {
        self.epoch = epoch
        self.segment = segment
        self.position = position
        self.end = end
        self.durableEnd = durableEnd
        self.lastAppendTime = lastAppendTime
    }
}

/// One change to what a stream consists of. An edit is synced before what it announces is used.
///
///      0        4          8       12     14        16         24         28        32
///     | length | checksum | magic | type | version | sequence | previous | payload | payload …
///                                                                          length    padded to 8
///
/// `previous` is the checksum of the edit before, so lost, doubled or exchanged edits show.
package enum ManifestEdit: Sendable, Hashable {
    case created(StreamID, StreamName, StreamConfiguration)
    case configured(StreamConfiguration)
    case segmentAdded(SegmentEntry)
    case segmentSealed(SegmentID, SealedSegment)
    case replaced(old: [SegmentID], new: [SegmentEntry])
    /// Retention, or a deletion, let these go: their files may be removed.
    case retired([SegmentID])
    case logStart(Offset)
    /// A writer of this epoch is about to append; until `closed`, the tail is not to be trusted.
    case opened(Epoch)
    case closed(CleanClose)
    case deleted
    /// Changes that hold together or not at all, such as the two of a roll: one edit, and so one
    /// checksum, since power loss may leave the second half of a write without the first.
    case several([ManifestEdit])
    /// Compaction has looked at everything before this offset.
    case compacted(Offset)

    package enum Field {
        package static let length = 0, checksum = 4, magic = 8, type = 12, version = 14
        package static let sequence = 16, previous = 24, payloadLength = 28, end = 32
    }
    /// "WMAN" as its bytes stand in the file.
    package static let magic: UInt32 = 0x4E41_4D57
    package static let version: UInt16 = 1
    static let severalType: UInt16 = 11
    static let newestType: UInt16 = 12
    static let knownTypes: ClosedRange<UInt16> = 1...newestType

    package var type: UInt16 {
        switch self {
        case .created: 1
        case .configured: 2
        case .segmentAdded: 3
        case .segmentSealed: 4
        case .replaced: 5
        case .retired: 6
        case .logStart: 7
        case .opened: 8
        case .closed: 9
        case .deleted: 10
        case .several: ManifestEdit.severalType
        case .compacted: 12
        }
    }

    /// The edit's bytes and its checksum, which the next edit repeats.
    package func encode(
        sequence: UInt64, previous: UInt32
    ) -> (bytes: [UInt8], checksum: UInt32) {
        let payload = encodePayload()
        var writer = ByteWriter(capacity: Field.end + payload.count + 8)
        let length = roundedUp(Field.end + payload.count, to: 8)
        writer.put(UInt32(length))
        writer.put(UInt32(0))
        writer.put(ManifestEdit.magic)
        writer.put(type)
        writer.put(ManifestEdit.version)
        writer.put(sequence)
        writer.put(previous)
        writer.put(UInt32(payload.count))
        writer.put(payload)
        writer.pad(to: 8)
        let checksum = ManifestEdit.checksum(writer.bytes[...])
        writer.set(checksum, at: Field.checksum)
        return (writer.bytes, checksum)
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        let start = bytes.startIndex
        let head = crc32c(bytes[start..<start + Field.checksum])
        return crc32c(bytes[(start + Field.magic)...], seed: head)
    }

    /// An edit that was read, with what chains it to its neighbours.
    package struct Chained: Sendable, Hashable {
        package let edit: ManifestEdit
        package let sequence: UInt64
        package let previous: UInt32
        package let checksum: UInt32
        package let byteCount: Int
    }

    /// Whether an edit stands at the beginning of `bytes` as it was written, whatever it says.
    package static func isWhole(_ bytes: ArraySlice<UInt8>) -> Bool {
        do throws(WeirError) {
            _ = try frame(bytes)
            return true
        } catch {
            return false
        }
    }

    /// The bytes of the edit at the beginning of `bytes`; its checksum holds.
    private static func frame(
        _ bytes: ArraySlice<UInt8>
    ) throws(WeirError) -> (whole: ArraySlice<UInt8>, checksum: UInt32) {
        var reader = ByteReader(bytes, "manifest edit")
        let length = Int(try reader.get(UInt32.self))
        let found: UInt32 = try reader.get()
        guard length % 8 == 0, (Field.end...Limits.manifestEditBytesMax).contains(length),
            length <= bytes.count
        else { throw WeirError.damaged("A manifest edit claims \(length) bytes.") }
        let whole = bytes[bytes.startIndex..<bytes.startIndex + length]
        guard try reader.get(UInt32.self) == magic, checksum(whole) == found else {
            throw WeirError.damaged("A manifest edit's checksum does not hold.")
        }
        return (whole, found)
    }

    /// Reads the edit at the beginning of `bytes`. Throws `damaged` or `newerFormat`.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(WeirError) -> Chained {
        let (whole, found) = try frame(bytes)
        let length = whole.count
        var reader = ByteReader(whole, "manifest edit")
        _ = try reader.take(Field.type)
        let type: UInt16 = try reader.get()
        let version: UInt16 = try reader.get()
        let sequence: UInt64 = try reader.get()
        let previous: UInt32 = try reader.get()
        let payloadLength = Int(try reader.get(UInt32.self))
        guard version == ManifestEdit.version, knownTypes.contains(type) else {
            throw unknown(type, version: version)
        }
        guard roundedUp(Field.end + payloadLength, to: 8) == length else {
            throw WeirError.damaged(
                "A manifest edit of \(length) bytes claims a payload of \(payloadLength).")
        }
        var payload = ByteReader(try reader.take(payloadLength), "manifest edit")
        return Chained(
            edit: try decode(type, &payload), sequence: sequence, previous: previous,
            checksum: found, byteCount: length)
    }

    static func unknown(_ type: UInt16, version: UInt16) -> WeirError {
        WeirError.newerFormat(
            "The manifest has an edit of type \(type), version \(version); this version of Weir "
                + "understands types up to \(newestType), version \(ManifestEdit.version). Use a "
                + "newer one.")
    }
}
