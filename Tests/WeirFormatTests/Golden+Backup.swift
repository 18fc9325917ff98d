import WeirBase
import WeirFormat

extension Golden {
    static let snapshotName = "2013-01-01T05-05-00.000007Z"

    /// A backup of the golden store: its stream up to behind the marker's batch, and one without a
    /// segment.
    static func snapshot() throws -> SnapshotFile {
        let parts = try Parts()
        var state = ManifestState(
            streamID: stream, name: try StreamName("golden.v1"), configuration: configuration)
        let sealed = SegmentEntry(
            id: sealedID, base: .zero, epoch: Epoch(1), sealed: parts.sealed)
        let open = SegmentEntry(id: unsealedID, base: parts.sealed.endOffset, epoch: Epoch(2))
        for edit: ManifestEdit in [
            .logStart(Offset(1)), .segmentAdded(sealed), .segmentAdded(open), .opened(Epoch(2)),
        ] {
            try state.apply(edit)
        }
        let durable = parts.unsealed.bytes[..<Int(parts.unsealed.positions[1].value)]
        let files = [
            sealedID: StoredSegment(
                byteCount: UInt64(parts.sealedBytes.count), checksum: crc32c(parts.sealedBytes)),
            unsealedID: StoredSegment(
                byteCount: UInt64(durable.count), checksum: crc32c(Array(durable))),
        ]
        let empty = ManifestState(
            streamID: StreamID(9), name: try StreamName("empty"), configuration: .init())
        return SnapshotFile(
            storeID: store, time: Timestamp(microseconds: time(300).microseconds + 7),
            epoch: Epoch(2),
            streams: [
                .init(manifest: state, durableEnd: parts.unsealed.durableEnd, files: files),
                .init(manifest: empty, durableEnd: .zero, files: [:]),
            ])
    }
}
