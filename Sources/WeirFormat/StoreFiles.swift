package import WeirBase

/// All names in a store's directory, in one place.
package enum StoreLayout {
    package static let header = "WEIR"
    package static let lock = "LOCK"
    package static let epochs = "EPOCHS"
    package static let tail = "tail"
    package static let streams = "streams"
    /// The writer's socket; it holds nothing, and a writer that was killed leaves it behind.
    package static let control = "control"
    /// Room that is kept for when the disk is full; nobody reads it.
    package static let reserve = "reserve"
    package static let manifestName = "MANIFEST"
    package static let manifestNewName = "MANIFEST.new"
    package static let quarantineName = "quarantine"
    /// A file of zeros that the next segment will take; it never holds anything.
    package static let nextSegmentName = "next"
    /// A segment that compaction is making; it gets its own name when it is whole and synced.
    package static let compactingName = "compacting"
    package static let creationPrefix = "new-"

    /// The index, derived from everything else; a rebuilt one has the next generation.
    package static func index(generation: UInt64) -> String { "index-\(generation).sqlite" }

    /// What SQLite keeps beside its file.
    package static let indexCompanions = ["-wal", "-shm", "-journal"]

    /// The generation of an index, from its file's name; `nil` for all other names.
    package static func generation(indexName name: String) -> UInt64? {
        guard name.hasPrefix("index-"), name.hasSuffix(".sqlite") else { return nil }
        let digits = name.dropFirst("index-".count).dropLast(".sqlite".count)
        // There is one after it, always.
        return UInt64(digits).flatMap { $0 < .max && index(generation: $0) == name ? $0 : nil }
    }

    /// The generation of an index, from its file's name or that of one that SQLite keeps beside it.
    package static func generation(ofIndexFile name: String) -> UInt64? {
        let companion = indexCompanions.first { name.hasSuffix($0) } ?? ""
        return generation(indexName: String(name.dropLast(companion.count)))
    }

    /// A folder of what `repair` removed or wrote over, and in it a list of that.
    package static let repairPrefix = "repair-"
    package static let repairListName = "CONTENTS"

    package static func stream(_ id: StreamID) -> String { "streams/\(id)" }
    /// A stream's directory while it is being made; renamed when it is whole.
    package static func creation(_ id: StreamID) -> String { "streams/new-\(id)" }
    package static func manifest(_ id: StreamID) -> String { "streams/\(id)/MANIFEST" }
    package static func newManifest(_ id: StreamID) -> String { "streams/\(id)/MANIFEST.new" }
    package static func quarantine(_ id: StreamID) -> String { "streams/\(id)/quarantine" }

    package static func nextSegment(_ id: StreamID) -> String { "streams/\(id)/next" }
    package static func compacting(_ id: StreamID) -> String { "streams/\(id)/compacting" }

    package static func segment(_ stream: StreamID, _ id: SegmentID, base: Offset) -> String {
        "streams/\(stream)/" + segmentName(id, base: base)
    }

    /// `<base offset, 20 digits>-<segment id>.segment`
    package static func segmentName(_ id: SegmentID, base: Offset) -> String {
        let digits = "\(base.value)"
        return String(repeating: "0", count: 20 - digits.count) + digits + "-\(id).segment"
    }

    /// Reads the path of a file in a stream's directory back; `nil` for any other path.
    package static func parse(streamPath path: String) -> (stream: StreamID, name: String)? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, parts[0] == streams, let id = StreamID(hexadecimal: parts[1])
        else { return nil }
        return (id, parts[2])
    }

    /// Reads a segment's name back; `nil` for any other name.
    package static func parse(segmentName name: String) -> (base: Offset, id: SegmentID)? {
        let bytes = Array(name.utf8)
        let suffix = Array(".segment".utf8)
        guard bytes.count == 20 + 1 + 16 + suffix.count, bytes[20] == UInt8(ascii: "-"),
            bytes.suffix(suffix.count).elementsEqual(suffix),
            bytes[..<20].allSatisfy({ (48...57).contains($0) }),
            let base = UInt64(String(decoding: bytes[..<20], as: UTF8.self)),
            let id = SegmentID(hexadecimal: String(decoding: bytes[21..<37], as: UTF8.self))
        else { return nil }
        return (Offset(base), id)
    }
}

/// The file `WEIR`: that this is a store, which one, and which versions may open it; 64 bytes.
///
///      0       8         12         16       20         24         28     32         40     60
///     | magic | version | reserved | compat | roCompat | incompat | res. | store id | time | crc |
package struct StoreHeader: Sendable, Hashable {
    package enum Field {
        package static let magic = 0, version = 8, compat = 16, roCompat = 20, incompat = 24
        package static let storeID = 32, creationTime = 40, checksum = 60, end = 64
    }
    /// "WEIRSTO1" as its bytes stand in the file.
    package static let magic: UInt64 = 0x314F_5453_5249_4557
    package static let version: UInt32 = 1

    package let storeID: StoreID
    package let creationTime: Timestamp
    /// Features of a newer version that allow reading but not writing; none that this one sets.
    package var roCompat: UInt32 = 0

    package init(storeID: StoreID, creationTime: Timestamp) {
        self.storeID = storeID
        self.creationTime = creationTime
    }

    /// Whoever opens the store for writing asks this first. Throws `newerFormat`.
    package func expectWritable() throws(WeirError) {
        guard roCompat == 0 else {
            throw WeirError.newerFormat(
                "The store has features \(roCompat) that this version of Weir does not know and "
                    + "may read but not write. Use a newer one, or read only.")
        }
    }

    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: Field.end)
        writer.put(StoreHeader.magic)
        writer.put(StoreHeader.version)
        writer.zeros(Field.roCompat - writer.count)
        writer.put(roCompat)
        writer.zeros(Field.storeID - writer.count)
        writer.put(storeID)
        writer.put(creationTime)
        writer.zeros(Field.checksum - writer.count)
        writer.put(crc32c(writer.bytes))
        return writer.bytes
    }

    /// Throws `newerFormat`, or `damaged` for what is no store's header.
    package static func decode(_ bytes: [UInt8]) throws(WeirError) -> StoreHeader {
        var reader = ByteReader(bytes, "store's WEIR file")
        guard bytes.count == Field.end, try reader.get(UInt64.self) == magic else {
            throw WeirError.damaged(
                "The file WEIR has \(bytes.count) bytes that are not a store's; expected "
                    + "\(Field.end) bytes that begin with WEIRSTO1. Restore it from a backup.")
        }
        guard crc32c(bytes[..<Field.checksum]) == crc32cField(bytes) else {
            throw WeirError.damaged(
                "The checksum of the file WEIR does not hold; restore it from a backup.")
        }
        let version: UInt32 = try reader.get()
        _ = try reader.take(Field.roCompat - 12)
        let roCompat: UInt32 = try reader.get()
        let incompat: UInt32 = try reader.get()
        guard version == StoreHeader.version, incompat == 0 else {
            throw WeirError.newerFormat(
                "The store has format version \(version) and features \(incompat); this version "
                    + "of Weir understands \(StoreHeader.version) and 0. Use a newer one.")
        }
        _ = try reader.get(UInt32.self)
        var header = StoreHeader(
            storeID: try reader.id(StoreID.self), creationTime: try reader.time())
        header.roCompat = roCompat
        return header
    }

    private static func crc32cField(_ bytes: [UInt8]) -> UInt32 {
        bytes[Field.checksum..<Field.end].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}

/// One opening or closing of the store by a writer, 64 bytes; the file `EPOCHS` is a row of them.
///
///      0       4      8       16        32     40         44     60
///     | magic | kind | epoch | boot id | time | previous | zero | checksum |
package struct EpochRecord: Sendable, Hashable {
    package enum Kind: UInt32, Sendable {
        case opened = 1
        /// The writer of the same epoch closed every stream in good order.
        case closedClean = 2
    }
    /// "WEPO" as its bytes stand in the file.
    package static let magic: UInt32 = 0x4F50_4557
    package enum Field {
        package static let magic = 0, kind = 4, epoch = 8, bootID = 16, time = 32
        package static let previous = 40, reserved = 44, checksum = 60, end = 64
    }
    package static let byteCount = Field.end

    package var kind: Kind
    package var epoch: Epoch
    package var bootID: BootID
    package var time: Timestamp

    package init(kind: Kind, epoch: Epoch, bootID: BootID, time: Timestamp) {
        self.kind = kind
        self.epoch = epoch
        self.bootID = bootID
        self.time = time
    }

    package func encode(previous: UInt32) -> (bytes: [UInt8], checksum: UInt32) {
        var writer = ByteWriter(capacity: EpochRecord.byteCount)
        writer.put(EpochRecord.magic)
        writer.put(kind.rawValue)
        writer.put(epoch)
        writer.put(bootID.high)
        writer.put(bootID.low)
        writer.put(time)
        writer.put(previous)
        writer.zeros(Field.checksum - writer.count)
        let checksum = crc32c(writer.bytes)
        writer.put(checksum)
        return (writer.bytes, checksum)
    }

    /// What the file says, as far as it holds.
    package struct History: Sendable, Hashable {
        package var records: [EpochRecord] = []
        package var lastChecksum: UInt32 = 0
        /// Where the next record goes: behind the last good one.
        package var end = 0
        /// Bad bytes stand between good records, or a record does not follow the one before it.
        package var isDamaged = false
        /// The highest epoch that any record names, damaged neighbourhood or not.
        package var last = Epoch(0)

        /// The last opening; `nil` if the file does not tell of it.
        package var lastOpening: EpochRecord? {
            records.last { $0.kind == .opened && $0.epoch == last }
        }
    }

    /// Reads all records. A torn last one is left out and will be overwritten; a bad one in the
    /// middle is stepped over, so that no epoch is ever given twice.
    package static func decodeAll(_ bytes: [UInt8]) -> History {
        var history = History()
        var place = 0
        while place + byteCount <= bytes.count {
            if let found = decode(bytes[place..<place + byteCount]) {
                if place != history.end || found.previous != history.lastChecksum {
                    history.isDamaged = true
                }
                if let record = found.record { history.records.append(record) }
                history.last = max(history.last, found.epoch)
                history.lastChecksum = found.checksum
                history.end = place + byteCount
            }
            place += byteCount
        }
        return history
    }

    /// A record as it was written; `record` is `nil` for a kind that a newer version brought, whose
    /// epoch counts all the same.
    private struct Found {
        var record: EpochRecord?
        var epoch: Epoch
        var previous: UInt32
        var checksum: UInt32
    }

    private static func decode(_ bytes: ArraySlice<UInt8>) -> Found? {
        var reader = ByteReader(bytes, "EPOCHS record")
        do throws(WeirError) {
            let expected = crc32c(bytes.dropLast(byteCount - Field.checksum))
            guard try reader.get(UInt32.self) == magic else { return nil }
            let kind = Kind(rawValue: try reader.get())
            let epoch = try reader.epoch()
            let bootID = BootID(high: try reader.get(), low: try reader.get())
            let time = try reader.time()
            let previous: UInt32 = try reader.get()
            _ = try reader.take(Field.checksum - Field.reserved)
            guard try reader.get(UInt32.self) == expected else { return nil }
            let record = kind.map {
                EpochRecord(kind: $0, epoch: epoch, bootID: bootID, time: time)
            }
            return Found(record: record, epoch: epoch, previous: previous, checksum: expected)
        } catch {
            return nil
        }
    }
}
