public import WeirBase
import WeirFormat

/// One step of a repair.
public struct RepairStep: Sendable, Hashable {
    /// What is done.
    public enum Kind: String, Sendable, Hashable {
        /// The file WEIR is written anew.
        case writeStoreHeader
        /// The good records of EPOCHS are written anew.
        case writeEpochs
        /// What an opening for writing does to a stream: a torn tail is copied to quarantine and
        /// cut, a lost manifest is written anew, segments are sealed.
        case recoverStream
        /// A segment's header is written anew from what the manifest says.
        case writeHeader
        /// A sealed segment's footer is written anew from its batches.
        case writeFooter
        /// The manifest notes that a segment's file is gone for good.
        case acknowledgeLoss
        /// A file that is no part of the store is copied aside and removed.
        case setAside
        /// The index is removed; the next opening makes it anew.
        case removeIndex
    }
    public let kind: Kind
    /// Empty where the step is of no stream.
    public let stream: String
    public let path: String
    /// Offsets of records that are gone, and stay so; the step itself loses none.
    public let lostOffsets: Range<UInt64>?

    /// For a person.
    public var description: String {
        let place = stream.isEmpty ? path : "\(path) of stream \(stream)"
        switch kind {
        case .writeStoreHeader: return "write the file WEIR anew"
        case .writeEpochs: return "write the file EPOCHS anew from the records in it that hold"
        case .recoverStream:
            return "put stream \(stream) in order as an opening for writing does (\(path))"
        case .writeHeader: return "write the header of \(place) anew from the manifest"
        case .writeFooter: return "write the footer of \(place) anew from its batches"
        case .acknowledgeLoss: return "note in the manifest that \(place) is gone for good"
        case .setAside: return "move \(place) aside"
        case .removeIndex: return "remove the index; the next opening makes it anew"
        }
    }

    /// What is lost by it, for a person.
    public var loss: String {
        guard let lostOffsets else { return "nothing is lost" }
        return "the offsets \(lostOffsets.lowerBound) to before \(lostOffsets.upperBound) are lost "
            + "already"
    }
}

/// What a repair would do, and what it would leave: decided from findings alone.
///
/// The same findings give the same plan, and what a plan has repaired is no finding any more, so a
/// repair that was interrupted is simply planned and performed again.
public struct RepairPlan: Sendable, Hashable {
    /// In the order in which they are performed.
    public let steps: [RepairStep]
    /// Findings that no step is for; `advice` says what to do about each.
    public let remaining: [DamageReport]
    /// Copies of what recovery cut or found corrupt. They stay where they are: a batch proves its
    /// place in its segment, so it can be put nowhere else, and the offsets of what was cut have
    /// been given to others.
    public let quarantineCount: Int

    /// `unfit`: findings of files that cannot be moved, and headers that cannot be written anew.
    package init(
        _ findings: [DamageReport], unfit: [DamageReport] = [], quarantineCount: Int = 0
    ) {
        self.quarantineCount = quarantineCount
        var steps: [RepairStep] = []
        var remaining: [DamageReport] = []
        for finding in findings {
            let kinds = unfit.contains(finding) ? [] : Self.steps(for: finding)
            if kinds.isEmpty { remaining.append(finding) }
            for kind in kinds {
                let isOfSegment = kind != .recoverStream
                let step = RepairStep(
                    kind: kind, stream: finding.stream,
                    path: isOfSegment ? finding.path : Self.streamPath(of: finding.path),
                    lostOffsets: kind == .acknowledgeLoss ? finding.offsets : nil)
                if !steps.contains(step) { steps.append(step) }
            }
        }
        self.steps = steps.sorted { ($0.rank, $0.path) < ($1.rank, $1.path) }
        self.remaining = remaining
    }

    private static func steps(for finding: DamageReport) -> [RepairStep.Kind] {
        switch finding.kind {
        case .missingStoreHeader, .damagedStoreHeader: [.writeStoreHeader]
        case .damagedEpochs: [.writeEpochs]
        case .missingManifest, .damagedManifest: [.recoverStream]
        case .damagedSegmentHeader: [.recoverStream, .writeHeader]
        case .damagedFooter: [.recoverStream, .writeFooter]
        case .missingSegment: [.recoverStream, .acknowledgeLoss]
        case .unknownFile: [.setAside]
        case .damagedIndex: [.removeIndex]
        default: []
        }
    }

    private static func streamPath(of path: String) -> String {
        StoreLayout.parse(streamPath: path).map { StoreLayout.stream($0.stream) } ?? path
    }
}

extension RepairStep {
    /// A stream is put in order before anything in it is written.
    fileprivate var rank: Int {
        switch kind {
        case .writeStoreHeader: 0
        case .writeEpochs: 1
        case .recoverStream: 2
        case .writeHeader: 3
        case .writeFooter: 4
        case .acknowledgeLoss: 5
        case .setAside: 6
        case .removeIndex: 7
        }
    }
}
