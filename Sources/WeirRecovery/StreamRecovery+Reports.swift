import WeirBase
import WeirFormat

/// What recovery says of what it found.
extension StreamRecovery {
    mutating func reportStrangers() throws(WeirError) {
        for name in directory.unknown + directory.copies {
            add(.unknownFile, directory.path(name), "a file that is no part of the stream")
        }
        let listed = Set(state.segments.map(\.id)).union(state.retired)
        for (id, found) in directory.segments where !listed.contains(id) {
            switch try origin(of: id, base: found.base, path: directory.path(found.name)) {
            case .unborn: unborn.append(id)
            case .newborn(let new): newborn.append(new)
            case .stranger:
                add(
                    .unknownFile, directory.path(found.name),
                    "a segment that the manifest does not list; it is left")
            }
        }
    }

    mutating func reportMissing() {
        for entry in state.segments where directory.segments[entry.id] == nil {
            let end = entry.sealed?.endOffset
            reports.append(
                DamageReport(
                    kind: .missingSegment, stream: state.name.description,
                    path: StoreLayout.segment(directory.id, entry.id, base: entry.base),
                    offsets: end.map { entry.base.value..<$0.value },
                    detail: "a segment that the manifest lists is missing"))
        }
    }

    mutating func report(_ plan: RecoveryPlan, _ scan: ScannedSegment, _ path: String) {
        if let torn = plan.torn {
            reports.append(
                DamageReport(
                    kind: .tornTail, stream: state.name.description, path: path, bytes: torn,
                    offsets: plan.tornOffsets,
                    detail: isReadOnly
                        ? "behind offset \(plan.summary.endOffset) there is an unacknowledged "
                            + "tail, which the next writer will cut"
                        : "an unacknowledged tail was cut after offset "
                            + "\(plan.summary.endOffset); a copy is in quarantine"))
        }
        for bad in plan.corrupt {
            reports.append(
                DamageReport(
                    kind: .damagedBatches, stream: state.name.description, path: path,
                    bytes: bad.range,
                    offsets: bad.lost.map { $0.firstOffset.value..<$0.endOffset.value },
                    detail: "batches are damaged; records before and behind them are kept"))
        }
        // Told already where a damaged batch's own header says which records it held.
        let isTold = plan.corrupt.last?.lost?.endOffset.value == plan.lostOffsets?.upperBound
        if let lost = plan.lostOffsets, !isTold {
            reports.append(
                DamageReport(
                    kind: .damagedBatches, stream: state.name.description, path: path,
                    offsets: lost,
                    detail: "records that had been written are missing at the segment's end"))
        }
        // Of a segment that nobody had made known yet, power loss may take the header; it is
        // written anew.
        if let defect = scan.headerDefect, !isNewborn(scan.id) {
            add(.damagedSegmentHeader, path, defect + " Its batches are read all the same.")
        }
    }

    private mutating func add(_ kind: DamageReport.Kind, _ path: String, _ detail: String) {
        reports.append(
            DamageReport(
                kind: kind, stream: state.name.description, path: path, detail: detail))
    }
}
