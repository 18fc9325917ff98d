package import WeirBase
package import WeirFiles
package import WeirFormat

/// A reader's place in a stream: steps from batch to batch, over segments and past damage.
///
/// Synchronous: it may wait for the disk, so it is never used on Swift's own threads. Nothing is
/// read beyond what the stream shows, and nothing is taken from the page cache that was not asked
/// for. Segments that it stands in live as long as it does.
package struct LogCursor<Files: FileSystem>: ~Copyable {
    /// What a step found.
    package enum Step: Sendable, Hashable {
        /// `batch` now shows it.
        case batch(BatchHeader)
        /// Records are missing; the next step goes on behind them.
        case gap(Gap)
        /// Nothing more is shown at the moment.
        case end
        /// A batch is there, and whoever was asked held it back; the next step meets it again.
        case held
    }

    /// Asked with a batch's size before any of it but its header is read.
    package typealias Admitting = (Credit) -> Admission

    private let view: LogView<Files>
    private let mode: ReadingMode
    private let isExact: Bool
    private let passing: PassedBatches
    /// The offset that the reader wants next.
    package private(set) var nextOffset: Offset
    private var segment: ReadableSegment<Files>?
    private var window: SegmentWindow<Files>?
    private var scanner: SegmentScanner
    private var shownEnd = Offset.zero
    private var unpacker: BodyUnpacker?
    /// What `batch` shows.
    var header: BatchHeader?
    var position = FilePosition.zero
    var unpackedByteCount: Int?
    private(set) var firstWanted = Offset.zero
    /// The map that the batch stands in, if it was read through one.
    package private(set) var map: SegmentMap?
    /// Bytes that were no batch, since the last good one; told with the gap that they make.
    private var damage: Range<UInt64>?
    /// Told before anything is read.
    private var firstGap: Gap?
    /// Damage that cost no record, such as a marker's; told once.
    package private(set) var reports: [DamageReport] = []

    /// Begins at an offset; `LogSearch` turns every other start into one. `isExact`: nothing is
    /// read that was not admitted. `passing`: of these only the header is looked at, so their
    /// records must not be. `after`: the first step tells this gap.
    package init(
        view: LogView<Files>, at offset: Offset, mode: ReadingMode = .mapped,
        isExact: Bool = false, passing: PassedBatches = .none, after firstGap: Gap? = nil
    ) {
        self.isExact = isExact
        self.passing = passing
        self.firstGap = firstGap
        self.unpacker = BodyUnpacker(pool: view.maps.bodies)
        self.view = view
        self.mode = mode
        self.nextOffset = offset
        self.scanner = SegmentScanner(segment: SegmentID(0), position: .zero)
    }

    /// Goes to the next batch.
    ///
    /// Throws what the medium said, `damaged` if mapped pages vanished, `newerFormat`. Damage on
    /// disk is no error but a gap. A cursor that threw may be asked again.
    package mutating func next() throws(WeirError) -> Step {
        try next { _ in .read(ahead: nil) }
    }

    /// The same, as far as `admitting` lets it.
    package mutating func next(admitting: Admitting) throws(WeirError) -> Step {
        while true {
            if let step = try step(admitting: admitting) { return step }
        }
    }

    /// The same, and an exact reader gets `nil` when it stepped over damage and has to ask again:
    /// the next batch may be far behind.
    @specialized(where Files == RealFileSystem)
    package mutating func step(admitting: Admitting) throws(WeirError) -> Step? {
        // Also at the end, and before another segment: the batch was walked since.
        try expectIntact()
        header = nil
        unpackedByteCount = nil
        if let gap = firstGap.take() { return .gap(gap) }
        while true {
            let start = view.logStart
            if nextOffset < start {
                return jump(
                    to: start, .retention, "records before \(start) were removed by retention")
            }
            // Asked before the bytes are looked at: whatever is shown by now stands in them.
            shownEnd = view.visibleEnd
            guard nextOffset < shownEnd else { return .end }
            if segment == nil {
                guard try enter() else { return .end }
            }
            let damageEnd = damage?.upperBound
            if let step = try stepInSegment(admitting) { return step }
            if isExact, damage?.upperBound != damageEnd { return nil }
        }
    }

    /// Whether a step over a batch of so many bytes at most would wait for nothing: nothing is
    /// shown, or what is stands in memory, in the segment that is written to.
    package func isAtHand(upTo byteCountMax: Int) -> Bool {
        if nextOffset >= view.visibleEnd { return true }
        guard let segment, view.isLast(segment) else { return false }
        return window?.isInMemory(from: scanner.position, upTo: byteCountMax) ?? false
    }

    /// Throws `damaged` if pages vanished under the batch while it was walked: zeros stood there,
    /// and what was made of them counts nothing. Whoever keeps copies asks before it keeps them;
    /// the next step asks in any case. Tells it once, and reads on by copies.
    package mutating func expectIntact() throws(WeirError) {
        guard header != nil, let lost = map, lost.mapping.lostPages else { return }
        header = nil
        map = nil
        window?.readByCopies()
        throw SegmentWindow<Files>.lost(segment?.path ?? "", at: position)
    }

    /// What to do about a batch that stands here, by its header.
    private func admission(_ found: BatchHeader, _ admitting: Admitting) -> Admission {
        guard found.kind == .records, found.endOffset > nextOffset else { return .pass }
        guard found.firstOffset < view.visibleEnd else { return .hide }
        // What is missing before it is told first, and costs nothing.
        if found.firstOffset > nextOffset, !isHole(before: found) { return .pass }
        if passing.hold(found) { return .pass }
        return admitting(found.credit)
    }

    /// Opens the segment that holds `nextOffset` and goes to its block. `false` if there is none.
    private mutating func enter() throws(WeirError) -> Bool {
        guard let segment = view.segment(for: nextOffset) else { return false }
        try enter(segment)
        return true
    }

    private mutating func enter(_ segment: ReadableSegment<Files>) throws(WeirError) {
        var start = FilePosition(UInt64(SegmentHeader.alignment))
        if nextOffset > segment.base {
            do throws(WeirError) {
                start = try segment.summary().position(forOffset: nextOffset) ?? start
            } catch {
                // A file that is gone shows as a gap, below; everything else is told.
                if error.code != .notFound { throw error }
            }
        }
        scanner = SegmentScanner(segment: segment.id, position: start)
        stand(in: segment)
        damage = nil
    }

    /// Goes to another offset, as if the cursor were made for it; a segment that it stands in stays
    /// open if the offset is there too.
    package mutating func move(to offset: Offset) {
        header = nil
        unpackedByteCount = nil
        firstGap = nil
        damage = nil
        segment = nil
        nextOffset = offset
    }

    private mutating func stand(in next: ReadableSegment<Files>?) {
        segment = next
        if let next, window?.segment === next { return }
        window = next.map { SegmentWindow(segment: $0, mode: mode, isExact: isExact) }
    }

    /// One batch, gap or end of this segment; `nil` to look again.
    private mutating func stepInSegment(_ admitting: Admitting) throws(WeirError) -> Step? {
        let found: SegmentScanner.Step?
        var isRefused = false
        // Taken out for the while: what is asked by a header looks at this value.
        var taken = window.take()
        var place = scanner
        do throws(WeirError) {
            defer {
                scanner = place
                window = taken.take()
            }
            found = try taken?.next(&place) { header in
                let admission = admission(header, admitting)
                isRefused = admission == .hold
                return admission
            }
        } catch {
            guard error.code == .notFound, let segment else { throw error }
            if try view.hasLeft(segment) { return lookAgain() }
            return leave(because: .missing)
        }
        switch found {
        case nil: return isRefused ? .held : .end
        case .batch(let header, let position): return try take(header, at: position)
        case .damage(let range, let lost):
            // With the header of a lost batch, its offsets are known at once.
            if let lost, lost.endOffset <= nextOffset { return nil }
            damage = (damage?.lowerBound ?? range.lowerBound)..<range.upperBound
            return nil
        case .end(let position): return end(at: position)
        case .newer(let what, let position):
            throw WeirError.newerFormat(
                "Byte \(position) of \(segment?.path ?? "") has \(what); use a newer "
                    + "version of Weir.")
        }
    }

    private mutating func take(
        _ found: BatchHeader, at place: FilePosition
    ) throws(WeirError) -> Step? {
        guard found.kind == .records, found.endOffset > nextOffset else {
            noteHarmlessDamage(before: found)
            return nil
        }
        // Not shown yet: stay in front of it.
        guard found.firstOffset < view.visibleEnd else {
            scanner.move(to: place)
            return .end
        }
        if found.firstOffset > nextOffset, !isHole(before: found) {
            scanner.move(to: place)
            return jump(to: found.firstOffset, .damage, describeDamage())
        }
        noteHarmlessDamage(before: found)
        position = place
        map = window?.map
        firstWanted = nextOffset
        nextOffset = found.endOffset
        if found.compat & BatchHeader.compatHasSubBatches != 0, !passing.hold(found) {
            unpackedByteCount = try unpack(found)
        }
        header = found
        return .batch(found)
    }

    /// Compaction leaves holes, and a hole is no gap.
    private func isHole(before found: BatchHeader) -> Bool {
        (segment?.generation ?? 0) > 0 && damage == nil
    }

    private mutating func noteHarmlessDamage(before found: BatchHeader) {
        guard let range = damage, found.firstOffset <= nextOffset else { return }
        damage = nil
        reports.append(
            DamageReport(
                kind: .damagedBatches, stream: view.name.description,
                path: segment?.path ?? "", bytes: range,
                detail: "bytes that hold no record are damaged"))
    }

    /// No batch follows in this segment as far as it may be read.
    private mutating func end(at place: FilePosition) -> Step? {
        guard let segment else { return .end }
        let limit = window?.limit ?? place
        if place < limit { damage = (damage?.lowerBound ?? place.value)..<limit.value }
        if segment.sealed == nil, case .last = view.successor(of: segment) {
            // The active segment: what is shown but not there is damaged.
            guard damage != nil, nextOffset < shownEnd else { return .end }
            scanner.move(to: limit)
            return jump(to: shownEnd, .damage, describeDamage())
        }
        return leave(because: .ended)
    }

    /// On to the next segment; what this one should have held and did not is a gap.
    private mutating func leave(because reason: LeaveReason) -> Step? {
        guard let segment else { return .end }
        let successor = view.successor(of: segment)
        if case .left = successor { return lookAgain() }
        if reason == .ended, damage == nil, segment.generation > 0, let sealed = segment.sealed {
            // Compaction leaves holes, at its end too.
            nextOffset = max(nextOffset, min(sealed.endOffset, view.visibleEnd))
        }
        let detail = damage == nil ? "\(segment.path): \(reason.rawValue)" : describeDamage()
        guard case .next(let next) = successor else {
            // What is shown since may stand in a segment that came since.
            stand(in: nil)
            return nextOffset < shownEnd ? jump(to: shownEnd, .damage, detail) : .end
        }
        damage = nil
        let goal = max(nextOffset, next.base)
        stand(in: next)
        scanner = SegmentScanner(
            segment: next.id, position: FilePosition(UInt64(SegmentHeader.alignment)))
        return goal > nextOffset ? jump(to: goal, .damage, detail) : nil
    }

    /// Why a segment has no more to give.
    private enum LeaveReason: String {
        case ended = "it ends early"
        case missing = "its file is missing"
    }

    /// The segment was replaced or retired: another one has what comes next.
    private mutating func lookAgain() -> Step? {
        stand(in: nil)
        damage = nil
        return nil
    }

    private mutating func jump(to goal: Offset, _ reason: Gap.Reason, _ detail: String) -> Step {
        let gap = Gap(expected: nextOffset, next: goal, reason: reason, detail: detail)
        nextOffset = goal
        damage = nil
        return .gap(gap)
    }

    private func describeDamage() -> String {
        let path = segment?.path ?? ""
        guard let damage else { return "\(path): records are missing" }
        return "\(path): bytes \(damage.lowerBound) to \(damage.upperBound) are damaged"
    }
}

extension LogCursor {
    /// The records of the batch that the last step found, borrowed until the next step.
    ///
    /// Records before the wanted offset are stepped over. Empty if there is no batch.
    package var records: RecordWalker {
        @_lifetime(borrow self) borrowing get {
            guard let header else {
                return RecordWalker(body: RawSpan(), table: RawSpan(), firstOffset: nextOffset)
            }
            return RecordWalker(
                body: bodySpan(header), table: tableSpan(header),
                firstOffset: header.firstOffset, wanted: firstWanted)
        }
    }

    /// Header, extension and body of the last batch as they stand on disk.
    package var storedBytes: RawSpan {
        @_lifetime(borrow self) borrowing get {
            let byteCount = header?.storedByteCount ?? 0
            return bytes(at: position, byteCount: byteCount)
        }
    }

    private mutating func unpack(_ header: BatchHeader) throws(WeirError) -> Int? {
        // Taken out for the while, so that it can be filled from bytes that this value lends.
        var taken = unpacker.take()
        defer { unpacker = taken.take() }
        do throws(WeirError) {
            let body = bytes(at: position + header.bodyStart, byteCount: header.bodyLength)
            return try taken?.unpack(body, header: header)
        } catch {
            throw error.located(
                .init(
                    path: segment?.path, stream: view.name.description,
                    position: position, offset: header.firstOffset))
        }
    }

    /// What the last batch was unpacked into, and how many bytes of it.
    borrowing func unpackedBody() -> (body: UnpackedBody, byteCount: Int, pool: BodyPool)? {
        guard let unpackedByteCount, let body = unpacker?.filled() else { return nil }
        return (body, unpackedByteCount, view.maps.bodies)
    }

    @_lifetime(borrow self)
    borrowing func bodySpan(_ header: BatchHeader) -> RawSpan {
        if let unpackedByteCount, let span = unpacker?.bytes(unpackedByteCount) {
            return unsafe _overrideLifetime(span, borrowing: self)
        }
        return bytes(at: position + header.bodyStart, byteCount: header.bodyLength)
    }

    /// The offsets of a compacted batch; empty where records follow each other without a hole.
    @_lifetime(borrow self)
    borrowing func tableSpan(_ header: BatchHeader) -> RawSpan {
        let part = bytes(
            at: position + BatchHeader.byteCount, byteCount: header.extensionLength)
        guard let table = BatchExtension.offsetTable(in: part) else { return RawSpan() }
        return unsafe _overrideLifetime(table, borrowing: self)
    }

    @_lifetime(borrow self)
    private borrowing func bytes(at place: FilePosition, byteCount: Int) -> RawSpan {
        guard let span = window?.bytes(at: place, byteCount: byteCount) else { return RawSpan() }
        return unsafe _overrideLifetime(span, borrowing: self)
    }
}
