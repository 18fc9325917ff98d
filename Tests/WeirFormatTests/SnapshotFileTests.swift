import Testing
import WeirBase
import WeirFormat
import WeirTesting

private func snapshot() throws -> SnapshotFile {
    var streams: [SnapshotFile.Stream] = []
    for (number, name) in ["orders", "weir.cursors"].enumerated() {
        var state = ManifestState(
            streamID: StreamID(UInt64(number + 1)), name: try StreamName(name),
            configuration: StreamConfiguration(compression: .lz4))
        let id = SegmentID(UInt64(number + 77))
        try state.apply(.logStart(5))
        try state.apply(.segmentAdded(SegmentEntry(id: id, base: 5, epoch: Epoch(3))))
        try state.apply(.opened(Epoch(3)))
        streams.append(
            .init(
                manifest: state, durableEnd: 9,
                files: [id: StoredSegment(byteCount: 4248, checksum: 0xC0FFEE)]))
    }
    return SnapshotFile(
        storeID: StoreID(0xABC), time: Timestamp(microseconds: 1_795_000_000_000_001),
        epoch: Epoch(4), streams: streams)
}

private func failure(_ bytes: [UInt8]) -> WeirError.Code? {
    code { () throws(WeirError) in _ = try SnapshotFile.decode(bytes) }
}

private func resealed(_ bytes: [UInt8]) -> [UInt8] {
    bytes.setting(
        crc32c(bytes[SnapshotFile.Field.version...], seed: crc32c(bytes[..<8])), at: 8)
}

@Suite("A snapshot of a backup")
struct SnapshotFileTests {
    @Test func `is read back`() throws {
        let written = try snapshot()
        let bytes = try written.encode()
        #expect(Array(bytes[..<8]) == Array("WEIRBAK1".utf8))
        let read = try SnapshotFile.decode(bytes)
        #expect(read.storeID == written.storeID && read.time == written.time)
        #expect(read.epoch == written.epoch && read.streams.count == 2)
        for (one, other) in zip(read.streams, written.streams) {
            #expect(one.files == other.files && one.durableEnd == other.durableEnd)
            #expect(one.manifest.segments == other.manifest.segments)
            #expect(one.manifest.name == other.manifest.name)
            #expect(one.manifest.configuration == other.manifest.configuration)
            #expect(one.manifest.logStart == 5)
        }
        #expect(try read.encode() == bytes)
    }

    @Test func `notices every flipped bit`() throws {
        let bytes = try snapshot().encode()
        for bit in 0..<bytes.count * 8 {
            #expect(failure(bytes.flipping(bit: bit)) == .damaged, "bit \(bit)")
        }
    }

    @Test func `of another length is damaged`() throws {
        let bytes = try snapshot().encode()
        for count in 0..<bytes.count { #expect(failure(Array(bytes[..<count])) == .damaged) }
        #expect(failure(bytes + [0]) == .damaged)
    }

    @Test func `of a newer version, or with features that forbid it, is a newer format's`() throws {
        let bytes = try snapshot().encode()
        #expect(failure(resealed(bytes)) == nil)
        #expect(failure(resealed(bytes.setting(UInt32(2), at: 12))) == .newerFormat)
        #expect(failure(resealed(bytes.setting(UInt32(1), at: 16))) == .newerFormat)
    }

    @Test func `that claims what it cannot hold is damaged, whatever its checksum says`() throws {
        let bytes = try snapshot().encode()
        for place in stride(from: SnapshotFile.Field.streamCount, to: bytes.count - 8, by: 8) {
            let forged = resealed(bytes.setting(UInt64.max / 3, at: place))
            // Some fields may have any value, such as an offset; none traps.
            #expect([nil, .damaged, .newerFormat].contains(failure(forged)), "byte \(place)")
        }
        let counted = bytes.setting(UInt64.max, at: SnapshotFile.Field.streamCount)
        #expect(failure(resealed(counted)) == .damaged)
    }

    @Test func `whose files are larger than any can be is damaged: their sum must fit`() throws {
        var forged = try snapshot()
        for index in forged.streams.indices {
            forged.streams[index].files = forged.streams[index].files.mapValues { _ in
                StoredSegment(byteCount: UInt64(Int64.max), checksum: 0)
            }
        }
        #expect(failure(try forged.encode()) == .damaged)
    }

    @Test func `that has a stream twice is damaged`() throws {
        var twice = try snapshot()
        twice.streams[1] = twice.streams[0]
        #expect(failure(try twice.encode()) == .damaged)
    }

    @Test func `has a name that sorts by its time`() {
        let times = [-1, 0, 1, 999_999, 1_000_000, 1_795_000_000_000_000].map {
            BackupLayout.snapshotName(Timestamp(microseconds: $0))
        }
        #expect(times[1] == "1970-01-01T00-00-00.000000Z")
        #expect(times[0] == "1969-12-31T23-59-59.999999Z")
        #expect(times == times.sorted())
    }
}
