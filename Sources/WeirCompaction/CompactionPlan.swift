package import WeirBase
package import WeirFormat

/// What is known of a sealed segment when compaction decides about it.
package struct SurveyedSegment: Sendable, Hashable {
    package var entry: SegmentEntry
    package var sealed: SealedSegment
    /// Bytes of the entries that a later record supersedes, how many they are, and how many of
    /// them are tombstones.
    package var deadBytes: UInt64 = 0
    package var deadCount = 0
    package var deadTombstoneCount = 0
    /// The same of tombstones that are older than their delay and superseded by nothing.
    package var expiredBytes: UInt64 = 0
    package var expiredCount = 0
    /// How many of these have older records in segments before this one.
    package var hidingCount = 0
    /// Batches that can only be copied as they are, superseded records with them.
    package var hasFixedBatches = false
    /// Why it is set aside: some of its bytes do not hold, or cannot be read.
    package var damage: String?
    /// What of its header or footer does not hold: a segment that takes its place has its own.
    package var flaw: String?
    /// Where epochs begin in it that are later than its own.
    package var epochStarts: [EpochStart] = []

    package init(entry: SegmentEntry, sealed: SealedSegment) {
        self.entry = entry
        self.sealed = sealed
    }
}

extension SurveyedSegment {
    /// What its tombstones come to that go; of bytes by their share, since few differ in size.
    func removable(_ tombstones: CompactionPlan.Tombstones) -> (count: Int, byteCount: UInt64) {
        switch tombstones {
        case .none: return (0, 0)
        case .all: return (expiredCount, expiredBytes)
        case .hidingNothing:
            let count = expiredCount - hidingCount
            return (count, expiredBytes * UInt64(count) / UInt64(max(expiredCount, 1)))
        }
    }

    /// Whether it is worth its rewriting, for so many bytes of no more use. What of its ends does
    /// not hold is mended by that.
    func isDirty(without gone: UInt64, dirtyPercent: Int) -> Bool {
        let raw = max(sealed.rawBytes, 1)
        return flaw != nil || gone > 0 && gone * 100 >= raw * UInt64(dirtyPercent)
    }
}

/// Which segments a compaction looks at, and which of them it writes anew.
///
/// Pure: numbers in, numbers out. A segment is written anew if so much of it is of no more use as
/// the policy says; neighbours go into one file as long as they fill one, of whatever epochs: its
/// header tells where each began, and that it has room for this bounds them, too.
package struct CompactionPlan: Sendable, Hashable {
    /// Neighbours that one new segment replaces.
    package struct Group: Sendable, Hashable {
        package var segments: Range<Int>
        /// What the new segment is expected to hold, headers left out.
        package var liveBytes: UInt64
    }

    /// Which tombstones of a segment go that are past their delay.
    package enum Tombstones: Sendable, Hashable {
        /// What they hide is not known, or may stay.
        case none
        /// Those that hide nothing in the segments before.
        case hidingNothing
        /// All: nothing that they hide is left.
        case all
    }

    /// Indices into what was surveyed, oldest first.
    package private(set) var groups: [Group] = []
    /// Of each segment.
    package private(set) var tombstones: [Tombstones] = []

    /// A neighbour that holds little is taken along, since files are to be few.
    private static let smallShare: UInt64 = 8

    /// `startsClean`: nothing of no more use is left before the first of them. `headerBytesMax`:
    /// what a new segment's header may say of those that it replaces. `unpacks`: bodies that lose
    /// records are not compressed again.
    package init(
        _ segments: [SurveyedSegment], startsClean: Bool = true, dirtyPercent: Int,
        segmentBytes: Int, headerBytesMax: Int, unpacks: Bool = false
    ) {
        var going = startsClean ? Tombstones.all : .none
        var open: Draft?
        var end = segments.first?.entry.base ?? .zero
        for (index, segment) in segments.enumerated() {
            // Records that are lost are a gap to readers, and would be none within a file.
            if segment.entry.base > end { close(&open, with: nil) }
            end = segment.sealed.endOffset
            // Of a fixed batch something superseded may stay, and one of the segment's own
            // tombstones may hide it.
            if segment.hasFixedBatches, segment.deadCount > 0 { going = .none }
            let gone = segment.deadBytes + segment.removable(going).byteCount
            let header =
                SegmentHeader.replacedByteCount
                + SegmentHeader.epochStartByteCount * (segment.epochStarts.count + 1)
            let mayGo = segment.damage == nil && header <= headerBytesMax
            let isDirty = mayGo && segment.isDirty(without: gone, dirtyPercent: dirtyPercent)
            if segment.damage != nil {
                // Nobody knows whose records stand in the bytes that do not hold.
                going = .none
            } else if going == .all, segment.deadCount > 0, !isDirty {
                going = .hidingNothing
            }
            tombstones.append(going)
            // What is taken along leaves behind what is of no more use, too.
            let left = segment.deadBytes + segment.removable(going).byteCount
            let live = CompactionPlan.live(segment, without: left, unpacks: unpacks)
            let whole = isDirty ? live : segment.sealed.batchesEnd.value
            let isSmall = whole * CompactionPlan.smallShare <= UInt64(segmentBytes)
            let next = Draft(
                segments: index..<index + 1, liveBytes: live, headerBytes: header,
                isDirty: isDirty)
            guard isDirty || mayGo && isSmall else {
                close(&open, with: nil)
                continue
            }
            if open?.take(next, UInt64(segmentBytes), headerBytesMax) != true {
                close(&open, with: next)
            }
        }
        close(&open, with: nil)
    }

    /// A group to be, which its next neighbour may join.
    private struct Draft {
        var segments: Range<Int>
        var liveBytes: UInt64
        var headerBytes: Int
        var isDirty: Bool

        /// `false` if both together are too much for one file.
        mutating func take(_ next: Draft, _ segmentBytes: UInt64, _ headerBytesMax: Int) -> Bool {
            guard liveBytes + next.liveBytes <= segmentBytes,
                headerBytes + next.headerBytes <= headerBytesMax
            else { return false }
            segments = segments.lowerBound..<next.segments.upperBound
            liveBytes += next.liveBytes
            headerBytes += next.headerBytes
            isDirty = isDirty || next.isDirty
            return true
        }
    }

    private mutating func close(_ open: inout Draft?, with next: Draft?) {
        if let group = open, group.isDirty || group.segments.count > 1 {
            groups.append(Group(segments: group.segments, liveBytes: group.liveBytes))
        }
        open = next
    }

    /// Stored bytes that would be left, by the share of raw bytes that is: bodies may be
    /// compressed.
    private static func live(
        _ segment: SurveyedSegment, without gone: UInt64, unpacks: Bool
    ) -> UInt64 {
        let raw = max(segment.sealed.rawBytes, 1)
        let left = raw - min(gone, raw)
        let share = Double(left) / Double(raw)
        let stored = UInt64(Double(segment.sealed.batchesEnd.value) * share)
        return unpacks && gone > 0 ? max(stored, left) : stored
    }

    /// How many of a stream's segments, oldest first, compaction may look at: sealed ones, none of
    /// whose records is younger than the policy wants, and never the last of the log.
    package static func eligible(
        _ entries: [SegmentEntry], lagSecondsMin: Int, now: Timestamp
    ) -> Int {
        let newest = now.microseconds - Int64(lagSecondsMin) * 1_000_000
        let count = entries.prefix { entry in
            guard let sealed = entry.sealed else { return false }
            return lagSecondsMin == 0 || sealed.lastAppendTime.microseconds <= newest
        }.count
        return min(count, max(0, entries.count - 1))
    }

    /// Before which a tombstone must have been appended to be past its delay. Without a delay no
    /// clock is asked.
    package static func tombstoneLimit(
        _ policy: CompactionPolicy, now: Timestamp
    ) -> Timestamp {
        policy.tombstoneSecondsMin == 0
            ? Timestamp(microseconds: .max) : now.before(seconds: policy.tombstoneSecondsMin)
    }

    /// Of these, the segments all of whose tombstones are past their delay.
    package static func ripe(
        _ entries: ArraySlice<SegmentEntry>, _ policy: CompactionPolicy, now: Timestamp
    ) -> [SegmentEntry] {
        let limit = tombstoneLimit(policy, now: now)
        return entries.filter { entry in
            guard let sealed = entry.sealed else { return false }
            return sealed.lastAppendTime < limit
        }
    }

    /// Whether so much is new since the last compaction that another one is worth its reading.
    package static func isDue(
        _ entries: ArraySlice<SegmentEntry>, compactedEnd: Offset, dirtyPercent: Int
    ) -> Bool {
        var all: UInt64 = 0
        var new: UInt64 = 0
        for entry in entries {
            guard let sealed = entry.sealed else { continue }
            all += sealed.fileBytes
            if sealed.endOffset > compactedEnd { new += sealed.fileBytes }
        }
        return new > 0 && new * 100 >= all * UInt64(dirtyPercent)
    }
}
