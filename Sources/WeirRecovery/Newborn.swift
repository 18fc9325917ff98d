import WeirBase
import WeirFiles
import WeirFormat

/// A segment that its writer had begun, and not yet made known, when it died.
///
/// A stream that asks for no sync goes on in a new segment while the edit that lists it is still on
/// its way to the medium. So a file that no manifest lists may hold the end of the log.
struct Newborn: Sendable {
    var entry: SegmentEntry
    /// The highest durable end that one of its batches carries.
    var durableEnd: Offset
    var holdsBatches: Bool
}

/// Where a segment file comes from that the manifest does not list.
enum Origin: Sendable {
    /// A roll made it, and nothing was written into it; or compaction, and the manifest still has
    /// everything that it was to replace.
    case unborn
    case newborn(Newborn)
    /// Somebody put it there.
    case stranger
}

extension StreamRecovery {
    /// Told by the epoch in its header or its batches, and by its place behind everything listed.
    ///
    /// A file of which nothing holds proves no epoch; power loss leaves such ones. Where nothing
    /// durable can stand in it, it is taken for the writer's too: then it is cut, and kept aside.
    ///
    /// Throws what keeps the file from being looked at: to take it for a stranger's would give its
    /// offsets away.
    func origin(of id: SegmentID, base: Offset, path: String) throws(WeirError) -> Origin {
        do throws(WeirError) {
            let file = try files.open(path, isReadOnly ? .read : .readWrite)
            if !isReadOnly { try files.settle(file) }
            let scan = try ScannedSegment.scan(file, id: id, base: base, path: path, files: files)
            try files.close(file)
            let holdsBatches = scan.standing.batchCount > 0
            if !holdsBatches, scan.bad.isEmpty, scan.footer == nil { return .unborn }
            if isLeftOver(scan.header) { return .unborn }
            guard case .opened(let epoch) = state.closing, isBehindAll(base),
                belongs(scan, epoch, id, base)
            else { return .stranger }
            return .newborn(
                Newborn(
                    entry: SegmentEntry(id: id, base: base, epoch: epoch),
                    durableEnd: scan.durableEnd, holdsBatches: holdsBatches))
        } catch {
            guard error.code == .notFound || error.code == .damaged else { throw error }
            return .stranger
        }
    }

    /// Whether compaction made it and died before the edit: its records all stand where they stood.
    private func isLeftOver(_ header: SegmentHeader?) -> Bool {
        guard let header, header.streamID == directory.id, !header.replaced.isEmpty else {
            return false
        }
        let listed = Set(state.segments.map(\.id))
        return header.replaced.allSatisfy { listed.contains($0) && directory.segments[$0] != nil }
    }

    private func isBehindAll(_ base: Offset) -> Bool {
        state.segments.allSatisfy { ($0.sealed?.endOffset ?? $0.base) <= base }
    }

    private func belongs(
        _ scan: ScannedSegment, _ epoch: Epoch, _ id: SegmentID, _ base: Offset
    ) -> Bool {
        if let epochs = scan.epochs, epochs != epoch...epoch { return false }
        if let header = scan.header {
            return header.segmentID == id && header.streamID == directory.id
                && header.epoch == epoch && header.base == base
        }
        return scan.epochs != nil || base >= evidence.durableEnd
    }
}
