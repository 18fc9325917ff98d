import WeirBase
import WeirFormat

/// The golden files of format version 1, made from fixed ids and times.
///
/// A store of one stream with a sealed and an unsealed segment, a small segment for the document,
/// and damaged twins. `GoldenTests` compares them with `Tests/Fixtures/v1`.
enum Golden {
    static let store = StoreID(0x5701_0000_0000_0001)
    static let stream = StreamID(0x5702_0000_0000_0002)
    static let sealedID = SegmentID(0x5703_0000_0000_0003)
    static let unsealedID = SegmentID(0x5704_0000_0000_0004)
    static let smallID = SegmentID(0x0123_4567_89AB_CDEF)
    static let boot = BootID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF)
    /// 2013-01-01T05:00:00Z.
    static let start: Int64 = 1_357_016_400_000_000
    static var configuration: StreamConfiguration {
        StreamConfiguration(
            durability: .interval(milliseconds: 250), compression: .automatic,
            visibility: .flushed, segmentBytes: 64 << 20, batchBytesMax: 256 << 10,
            commitAlignment: 4096)
    }

    static func time(_ seconds: Int64) -> Timestamp {
        Timestamp(microseconds: start + seconds * 1_000_000)
    }

    static var files: [String: [UInt8]] {
        get throws {
            let parts = try Parts()
            let manifest = try parts.manifest
            let snapshot = try snapshot().encode()
            let streamPath = "store/" + StoreLayout.stream(stream) + "/"
            let sealedName = StoreLayout.segmentName(sealedID, base: .zero)
            let unsealedName = StoreLayout.segmentName(unsealedID, base: parts.sealed.endOffset)
            return [
                "small.segment": parts.small, "producers.segment": try producers(),
                "merged.segment": try merged(),
                "small.archive": try archive().bytes, "series.archive": try series().bytes,
                "store/WEIR": storeHeader, "store/LOCK": lock,
                "store/EPOCHS": epochs,
                "store/tail": parts.tail, streamPath + "MANIFEST": manifest,
                streamPath + sealedName: parts.sealedBytes,
                streamPath + unsealedName: parts.unsealed.bytes,
                "backup/" + BackupLayout.snapshot(snapshotName): snapshot,
                "damaged/snapshot-bit.snapshot": snapshot.flipping(bit: 100 * 8),
                "damaged/merged-bit.segment":
                    try merged().flipping(bit: mergedStartPlace * 8),
                "damaged/header-bit.segment": parts.headerBit,
                "damaged/body-bit.segment": parts.bodyBit,
                "damaged/torn-tail.segment": parts.tornTail,
                "damaged/footer.segment": parts.damagedFooter,
                "damaged/MANIFEST-torn": Array(manifest.dropLast(20)),
                "damaged/MANIFEST-middle": manifest.flipping(bit: 180 * 8),
            ]
        }
    }

    static var storeHeader: [UInt8] {
        StoreHeader(storeID: store, creationTime: time(-60)).encode()
    }

    static var lock: [UInt8] {
        LockNote(processID: 4711, host: "golden", program: "weir", since: time(-60)).encode()
    }

    static var epochs: [UInt8] {
        var bytes: [UInt8] = []
        var previous: UInt32 = 0
        let rows: [(EpochRecord.Kind, UInt64, Int64)] = [
            (.opened, 1, -60), (.closedClean, 1, 100), (.opened, 2, 200),
        ]
        for (kind, epoch, seconds) in rows {
            let record = EpochRecord(
                kind: kind, epoch: Epoch(epoch), bootID: boot, time: time(seconds))
            let (encoded, checksum) = record.encode(previous: previous)
            bytes += encoded
            previous = checksum
        }
        return bytes
    }

    static func header(_ id: SegmentID, base: Offset, epoch: UInt64) throws -> SegmentHeader {
        SegmentHeader(
            segmentID: id, streamID: stream, epoch: Epoch(epoch), base: base,
            creationTime: time(0), logStart: .zero, name: try StreamName("golden.v1"),
            configuration: configuration)
    }
}

/// Every file in parts that depend on each other.
struct Parts {
    let sealed: SealedSegment
    let sealedBytes: [UInt8]
    let sealedPositions: [FilePosition]
    let unsealed: SegmentMaker
    let small: [UInt8]

    init() throws {
        var maker = SegmentMaker(
            try Golden.header(Golden.sealedID, base: .zero, epoch: 1), appendTime: Golden.time(0))
        try maker.addGoldenRecords()
        var footer = maker.footer()
        footer.producers = [
            .init(name: "sensor-7", lastPublishingID: 41, offset: Offset(3)),
            .init(name: "zähler", lastPublishingID: 7, offset: Offset(2)),
        ]
        (sealedBytes, sealed) = maker.sealed(footer)
        sealedPositions = maker.positions

        var open = SegmentMaker(
            try Golden.header(Golden.unsealedID, base: sealed.endOffset, epoch: 2),
            appendTime: Golden.time(200))
        open.add(values: [Array("first of the open segment".utf8), Array("second".utf8)])
        open.appendTime = Golden.time(201)
        open.durableEnd = open.summary.endOffset
        open.addEmpty(.marker)
        open.add(values: [Array("behind the marker".utf8)])
        unsealed = open

        var tiny = SegmentMaker(
            try Golden.header(Golden.smallID, base: Offset(1000), epoch: 7),
            appendTime: Golden.time(0))
        var batch = builder([Array("hello".utf8)])
        _ = try batch.append(
            key: Array("k1".utf8).span.bytes, time: Golden.time(-1),
            value: Array("world".utf8).span.bytes
        ) { $0.add("n", Int64(5)) }
        tiny.add(&batch)
        small = tiny.sealed(tiny.footer()).bytes
    }

    var tail: [UInt8] {
        var slot = [UInt8](repeating: 0, count: TailSlot.byteCount)
        slot.withUnsafeMutableBytes { memory in
            guard let base = memory.baseAddress else { return }
            TailSlot(
                streamID: Golden.stream, flushedEnd: unsealed.summary.endOffset,
                durableEnd: unsealed.durableEnd, epoch: Epoch(2), segment: Golden.unsealedID,
                writtenEnd: unsealed.position
            ).encode(to: base, generation: 5)
        }
        return TailSlot.header(Golden.store) + slot
            + [UInt8](repeating: 0, count: TailSlot.byteCount)
    }

    var manifest: [UInt8] {
        get throws {
            let first = SegmentEntry(id: Golden.sealedID, base: .zero, epoch: Epoch(1))
            let second = SegmentEntry(
                id: Golden.unsealedID, base: sealed.endOffset, epoch: Epoch(2))
            let strange = SegmentEntry(
                id: SegmentID(0xAAAA), base: Offset(5), epoch: Epoch(1), sealed: sealed)
            let merged = SegmentEntry(
                id: SegmentID(0xBBBB), base: Offset(5), epoch: Epoch(1), generation: 1,
                sealed: sealed)
            let close = CleanClose(
                epoch: Epoch(1), segment: Golden.sealedID, position: sealed.batchesEnd,
                end: sealed.endOffset, durableEnd: sealed.endOffset,
                lastAppendTime: sealed.lastAppendTime)
            let edits: [ManifestEdit] = [
                .created(
                    Golden.stream, try StreamName("golden.v1"), StreamConfiguration()),
                .configured(Golden.configuration), .opened(Epoch(1)), .segmentAdded(first),
                .logStart(Offset(1)), .segmentAdded(strange),
                .replaced(old: [strange.id], new: [merged]), .retired([merged.id]),
                .closed(close), .opened(Epoch(2)),
                .several([.segmentSealed(first.id, sealed), .segmentAdded(second)]),
            ]
            var bytes: [UInt8] = []
            var previous: UInt32 = 0
            for (index, edit) in edits.enumerated() {
                let (encoded, checksum) = edit.encode(
                    sequence: UInt64(index + 1), previous: previous)
                bytes += encoded
                previous = checksum
            }
            return bytes
        }
    }

    // MARK: damaged twins

    /// A bit of the second batch's record count.
    var headerBit: [UInt8] {
        let place = Int(sealedPositions[1].value) + BatchHeader.Field.recordCount
        return sealedBytes.flipping(bit: place * 8 + 1)
    }
    /// A bit in the second batch's body.
    var bodyBit: [UInt8] {
        let place = Int(sealedPositions[1].value) + BatchHeader.byteCount + 40
        return sealedBytes.flipping(bit: place * 8 + 6)
    }
    /// The last batch of the unsealed segment ends early, and room of zeros follows.
    var tornTail: [UInt8] {
        Array(unsealed.bytes.dropLast(17)) + [UInt8](repeating: 0, count: 512)
    }
    var damagedFooter: [UInt8] { sealedBytes.flipping(bit: (sealedBytes.count - 90) * 8) }
}
