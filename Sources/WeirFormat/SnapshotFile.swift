package import WeirBase

/// All names in a backup's directory. Segments have the paths that they have in a store.
///
///     backup/
///       LOCK                        held by the one backup that is being made
///       snapshots/<time>.snapshot   what one backup consists of, written last and renamed
///       streams/<id>/<base offset>-<id>.segment
package enum BackupLayout {
    package static let snapshots = "snapshots"
    package static let snapshotSuffix = ".snapshot"
    /// Behind the name of whatever is being made.
    package static let unfinishedSuffix = ".new"
    package static let own: Set<String> = [
        StoreLayout.lock, snapshots, StoreLayout.streams,
    ]

    package static func snapshot(_ name: String) -> String {
        snapshots + "/" + name + snapshotSuffix
    }

    /// `2026-11-27T16-10-11.123456Z`: sorts by time, and every file system takes it.
    package static func snapshotName(_ time: Timestamp) -> String {
        let rest = time.microseconds % 1_000_000
        let fraction = String(rest < 0 ? rest + 1_000_000 : rest)
        let zeros = String(repeating: "0", count: 6 - fraction.count)
        let second = time.description.prefix { $0 != "." && $0 != "Z" }
        return second.map { $0 == ":" ? "-" : String($0) }.joined() + "." + zeros + fraction + "Z"
    }
}

/// What a backup has of a segment's file: its first bytes, or all of them.
package struct StoredSegment: Sendable, Hashable {
    package var byteCount: UInt64
    /// CRC-32C of these bytes.
    package var checksum: UInt32

    package init(byteCount: UInt64, checksum: UInt32) {
        self.byteCount = byteCount
        self.checksum = checksum
    }
}

/// One backup: which streams there were, how far they were durable, and which files hold them.
///
///      0       8          12        16         20         24         32     40      48       56
///     | magic | checksum | version | incompat | reserved | store id | time | epoch | length | … |
///      56              64
///     | stream count  | streams …
///
///     stream    durable end u64  length u64  manifest  count u64  files
///     manifest  edits, as in the file MANIFEST (`ManifestEdit`)
///     file      segment id  bytes u64  checksum u64
///
/// Little-endian. The checksum (CRC-32C) covers every byte but its own four. A segment that the
/// manifest lists and that has no file was missing when the backup was made. A file may be longer
/// than what is said here: a later backup has added to it.
package struct SnapshotFile: Sendable, Hashable {
    package enum Field {
        package static let magic = 0, checksum = 8, version = 12, incompat = 16, reserved = 20
        package static let storeID = 24, time = 32, epoch = 40, length = 48, streamCount = 56
        package static let end = 64
    }
    /// "WEIRBAK1" as its bytes stand in the file.
    package static let magic: UInt64 = 0x314B_4142_5249_4557
    package static let version: UInt32 = 1
    /// Of one file, and far beyond any segment: so the sum over all that a snapshot can name fits.
    private static let byteCountMax: UInt64 = 1 << 37

    package struct Stream: Sendable, Hashable {
        package var manifest: ManifestState
        package var durableEnd: Offset
        package var files: [SegmentID: StoredSegment]

        package init(
            manifest: ManifestState, durableEnd: Offset, files: [SegmentID: StoredSegment]
        ) {
            self.manifest = manifest
            self.durableEnd = durableEnd
            self.files = files
        }
    }

    package var storeID: StoreID
    package var time: Timestamp
    /// The highest that the store had given to a writer.
    package var epoch: Epoch
    package var streams: [Stream]

    package init(storeID: StoreID, time: Timestamp, epoch: Epoch, streams: [Stream]) {
        self.storeID = storeID
        self.time = time
        self.epoch = epoch
        self.streams = streams
    }

    package func encode() throws(WeirError) -> [UInt8] {
        var writer = ByteWriter(capacity: 4096)
        writer.put(SnapshotFile.magic)
        writer.put(UInt32(0))
        writer.put(SnapshotFile.version)
        writer.zeros(Field.storeID - writer.count)
        writer.put(storeID)
        writer.put(time)
        writer.put(epoch)
        writer.put(UInt64(0))
        writer.put(UInt64(streams.count))
        for stream in streams {
            let manifest = try stream.manifest.rewritten().bytes
            writer.put(stream.durableEnd)
            writer.put(UInt64(manifest.count))
            writer.put(manifest)
            writer.put(UInt64(stream.files.count))
            for (id, stored) in stream.files.sorted(by: { $0.key.value < $1.key.value }) {
                writer.put(id)
                writer.put(stored.byteCount)
                writer.put(UInt64(stored.checksum))
            }
        }
        guard writer.count <= Limits.snapshotBytesMax else {
            throw WeirError(
                .tooLarge,
                "The snapshot has \(writer.count) bytes; at most \(Limits.snapshotBytesMax) fit. "
                    + "Spread the streams over several stores.")
        }
        writer.set(UInt64(writer.count), at: Field.length)
        writer.set(SnapshotFile.checksum(writer.bytes), at: Field.checksum)
        return writer.bytes
    }

    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        crc32c(bytes[Field.version...], seed: crc32c(bytes[..<Field.checksum]))
    }

    /// Reads a whole file. Throws `damaged` or `newerFormat`.
    package static func decode(_ bytes: [UInt8]) throws(WeirError) -> SnapshotFile {
        var reader = ByteReader(bytes, "snapshot")
        guard try reader.get(UInt64.self) == magic else {
            throw WeirError.damaged("The file does not begin like a snapshot of Weir.")
        }
        let found: UInt32 = try reader.get()
        let version: UInt32 = try reader.get()
        let incompat: UInt32 = try reader.get()
        _ = try reader.get(UInt32.self)
        let storeID = try reader.id(StoreID.self)
        let time = try reader.time()
        let epoch = try reader.epoch()
        let length: UInt64 = try reader.get()
        guard length == UInt64(bytes.count) else {
            throw WeirError.damaged(
                "The snapshot has \(bytes.count) bytes and claims \(length).")
        }
        guard checksum(bytes) == found else {
            throw WeirError.damaged("The snapshot's checksum does not hold.")
        }
        guard version == SnapshotFile.version, incompat == 0 else {
            throw WeirError.newerFormat(
                "The snapshot has format version \(version) and features \(incompat); this version "
                    + "of Weir understands \(SnapshotFile.version) and 0. Use a newer one.")
        }
        let count = try reader.count(reader.left)
        var streams: [Stream] = []
        for _ in 0..<count { streams.append(try stream(&reader)) }
        guard reader.isAtEnd else {
            throw WeirError.damaged("The snapshot has \(reader.left) bytes behind its streams.")
        }
        guard Set(streams.map(\.manifest.streamID)).count == count,
            Set(streams.map(\.manifest.name)).count == count
        else { throw WeirError.damaged("The snapshot has a stream twice.") }
        return SnapshotFile(storeID: storeID, time: time, epoch: epoch, streams: streams)
    }

    private static func stream(_ reader: inout ByteReader) throws(WeirError) -> Stream {
        let durableEnd = try reader.offset()
        let length = try reader.count(reader.left)
        let bytes = Array(try reader.take(length))
        guard let (manifest, ending) = try ManifestState.decodeAll(bytes), ending == .whole else {
            throw WeirError.damaged("A manifest in the snapshot does not hold.")
        }
        let count = try reader.count(reader.left / 24)
        var files: [SegmentID: StoredSegment] = [:]
        for _ in 0..<count {
            let id = try reader.id(SegmentID.self)
            let byteCount: UInt64 = try reader.get()
            let checksum: UInt64 = try reader.get()
            guard let checksum = UInt32(exactly: checksum), byteCount <= byteCountMax else {
                throw WeirError.damaged("The snapshot's file of segment \(id) does not hold.")
            }
            files[id] = StoredSegment(byteCount: byteCount, checksum: checksum)
        }
        guard Set(files.keys).isSubset(of: manifest.segments.map(\.id)), files.count == count else {
            throw WeirError.damaged("The snapshot names a file of no segment.")
        }
        return Stream(manifest: manifest, durableEnd: durableEnd, files: files)
    }
}
