package import WeirBase
package import WeirFormat

/// Which segments a stream lets go, and where its log begins then.
///
/// Pure: numbers in, numbers out. Only sealed segments go, the oldest first, and never the last of
/// the log.
///
///     | segments, oldest first …            … the last |
///     | the policy lets these go    | these stay
///     | committed by all | held by a cursor, up to a bound: beyond it the oldest go, with an alarm
package struct RetentionPlan: Sendable, Hashable {
    package private(set) var retired: [SegmentEntry]
    /// Where the log begins then; `nil` where it stays.
    package private(set) var logStart: Offset?
    /// The cursor that has committed least, where it holds back what the policy lets go.
    package private(set) var heldBy: String?
    /// All cursors that hold something back, and the bytes of the files that stay for them.
    package private(set) var holders: Set<String> = []
    package private(set) var heldBytes: UInt64 = 0
    /// It held back more than it may: some of what goes it has not committed.
    package private(set) var isForced = false

    /// By a policy. `byteCount` and `end` are those of the whole log; `committed` tells of the
    /// cursors in `policy.heldBy`.
    package init(
        _ entries: [SegmentEntry], byteCount: UInt64, end: Offset, policy: RetentionPolicy,
        committed: [String: Offset], now: Timestamp
    ) {
        var bytesBehind = byteCount
        var wanted: [SegmentEntry] = []
        for entry in entries.dropLast() {
            guard let sealed = entry.sealed else { break }
            bytesBehind -= min(bytesBehind, sealed.fileBytes)
            guard policy.letsGo(sealed, bytesBehind: bytesBehind, end: end, now: now) else { break }
            wanted.append(entry)
        }
        let cursors = policy.heldBy.map { (name: $0, offset: committed[$0] ?? .zero) }
        var count = wanted.count
        if let holder = cursors.min(by: { $0.offset < $1.offset }) {
            count = wanted.partition { $0.sealed?.endOffset ?? holder.offset > holder.offset }
            if count < wanted.count { heldBy = holder.name }
        }
        if let end = wanted.last?.sealed?.endOffset {
            holders = Set(cursors.filter { $0.offset < end }.map(\.name))
        }
        heldBytes = wanted[count...].reduce(0) { $0 + ($1.sealed?.fileBytes ?? 0) }
        while let limit = policy.heldBytesMax, count < wanted.count, heldBytes > UInt64(limit) {
            heldBytes -= wanted[count].sealed?.fileBytes ?? 0
            count += 1
            isForced = true
        }
        retired = Array(wanted.prefix(count))
        // Where an earlier writer's end was lost, the next segment begins behind a hole.
        logStart = count == 0 ? nil : entries[count].base
    }

    /// Everything before an offset, whoever may want it. The log begins there, if need be within a
    /// segment; `start` is where it begins now.
    package init(_ entries: [SegmentEntry], before offset: Offset, start: Offset) {
        retired = Array(
            entries.dropLast().prefix { $0.sealed.map { $0.endOffset <= offset } ?? false })
        logStart = offset > start ? offset : nil
    }

    /// Keeps files that were to go, from that of a segment on. The log begins where it was to.
    package mutating func keepFiles(from id: SegmentID) {
        retired = Array(retired.prefix { $0.id != id })
    }
}

extension RetentionPolicy {
    fileprivate func letsGo(
        _ sealed: SealedSegment, bytesBehind: UInt64, end: Offset, now: Timestamp
    ) -> Bool {
        if let ageSecondsMax, sealed.lastAppendTime <= now.before(seconds: ageSecondsMax) {
            return true
        }
        if let bytesMax, bytesBehind >= UInt64(bytesMax) { return true }
        if let recordsMax, end - sealed.endOffset >= recordsMax { return true }
        return false
    }
}

extension Timestamp {
    package func before(seconds: Int) -> Timestamp {
        let (back, overflow) = microseconds.subtractingReportingOverflow(
            Int64(seconds) * 1_000_000)
        return overflow ? .distantPast : Timestamp(microseconds: back)
    }
}
