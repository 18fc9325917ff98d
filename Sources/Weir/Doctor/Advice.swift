public import WeirBase

/// What is to be done about a finding: the one table that `verify`, its documents and `repair`
/// share.
extension DamageReport {
    /// One sentence for a person.
    public var advice: String {
        switch kind {
        case .tornTail, .tornManifest, .unfinishedCreation, .damagedTail:
            "Nothing: the next opening for writing puts it right."
        case .noControl: "See that the store's path is short and its directory can be written."
        case .damagedBatches:
            "The bytes stay where they are and readers see a gap; restore them from a backup if "
                + "there is one."
        case .falseBatch:
            "Nothing can be told anew from it: read the records that it gives, and report it."
        case .damagedSegmentHeader:
            "Nothing must be done: the manifest knows the same, and batches are read all the same."
        case .damagedFooter: "`weir repair` writes it anew from the batches."
        case .missingSegment:
            "Put the file back from a backup, or let `weir repair` note that its records are lost."
        case .missingOffsets: "Nothing: they are lost, and readers see a gap."
        case .overlappingSegments:
            "Keep a copy of the store, and restore the stream from a backup."
        case .unknownFile: "`weir repair` moves it aside."
        case .damagedManifest, .missingManifest:
            "`weir repair`, or the next opening for writing, writes it anew from the segments."
        case .damagedEpochs:
            "Nothing: the next opening counts on behind every epoch that streams or records name."
        case .missingStoreHeader, .damagedStoreHeader:
            "`weir repair` writes it anew, with another store id."
        case .unreadableStream, .unreadableFile:
            "Look at its permissions, at what stands in its place and at the medium, and verify "
                + "again."
        case .newerFormat: "Use a newer version of Weir."
        case .copiedStream: "Move the directory out of the store."
        case .damagedIndex: "`weir index rebuild` makes it anew; no record is concerned."
        case .damagedCursor:
            "Set the cursor anew (`weir cursor set`), or remove it (`weir cursor rm`)."
        case .cursorBeyondLog: "Nothing: its next reader is told of a gap and goes on from there."
        case .cursorOfNoStream: "Nothing: nobody can ask for it."
        }
    }
}
