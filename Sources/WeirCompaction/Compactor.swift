package import WeirBase
package import WeirFiles
import WeirFormat
package import WeirLog

/// What a compaction is asked to do.
package struct CompactionRequest: Sendable, Hashable {
    package var policy: CompactionPolicy
    package var isDryRun = false
    /// Rewrites a segment for one record that is of no more use.
    package var takesAll = false
    package var mapBytes = Limits.compactionMapBytesDefault
    /// Bytes that the marks of one round may take.
    package var markBytesMax = Limits.compactionMarkBytesMax

    package init(policy: CompactionPolicy) { self.policy = policy }

    /// So much of a segment must be of no more use.
    var leastPercent: Int { takesAll ? 0 : policy.dirtyPercent }
}

/// Compacts one stream: finds out what is of no more use, and writes new segments without it.
///
///     survey ─▶ plan ─▶ for each group:  new file ─▶ synced, named ─▶ one edit ─▶ readers' view
///                                                                        └ the old files go at
///                                                                          once, or when nobody
///                                                                          reads them any more
///
/// Beside the writer, which only ever touches what is behind: only sealed segments are looked at,
/// and those are durable. A crash at any point leaves the old files or the new one in the manifest,
/// never both and never neither; each group that is done stays done. One at a time a stream, and
/// not beside retention: whoever calls sees to it.
package struct Compactor<Files: FileSystem>: Sendable {
    let writer: LogWriter<Files>
    let leftovers: Leftovers<Files>
    let pace: any CompactionPace
    /// By which ages are counted.
    let now: Timestamp
    /// What new files say of when they were made.
    let wall: Timestamp
    let random: @Sendable () -> UInt64

    package init(
        _ writer: LogWriter<Files>, leftovers: Leftovers<Files>, pace: any CompactionPace,
        now: Timestamp, wall: Timestamp, random: @escaping @Sendable () -> UInt64
    ) {
        self.writer = writer
        self.leftovers = leftovers
        self.pace = pace
        self.now = now
        self.wall = wall
        self.random = random
    }

    private var view: LogView<Files> { writer.view }

    /// Throws `noSpace` where the disk has no room for a new segment, `closed` when it is told to
    /// end, `notFound` where segments went meanwhile, and what the medium said; what was swapped by
    /// then stays, and the rest is as it was.
    package func run(_ request: CompactionRequest) throws(WeirError) -> CompactionReport {
        var report = CompactionReport(stream: view.name.description)
        report.isDryRun = request.isDryRun
        let seed = random()
        let entries = eligible(request.policy)
        for entry in entries {
            report.segmentsBefore += 1
            report.bytesBefore += entry.sealed?.fileBytes ?? 0
            report.recordsBefore += entry.sealed?.recordCount ?? 0
        }
        report.segmentsAfter = report.segmentsBefore
        report.bytesAfter = report.bytesBefore
        let end = entries.last?.sealed?.endOffset ?? .zero
        var isClean = true
        var place = Offset.zero
        // In rounds, where the marks of all records at once would take too much memory. What is
        // sealed meanwhile waits: a tombstone in it may hide what the rounds before it have kept.
        while let round = self.round(
            of: eligible(request.policy).filter { $0.sealed?.endOffset ?? end <= end },
            from: place, request)
        {
            place = round.entries[round.marked.upperBound - 1].sealed?.endOffset ?? end
            var survey = Survey(
                round.entries, of: view, marked: round.marked, mapBytes: request.mapBytes,
                seed: seed,
                tombstonesBefore: CompactionPlan.tombstoneLimit(request.policy, now: now))
            try survey.run(try readable(round.entries), pace)
            report.note(survey, round.marked, writer.streamID)
            let plan = CompactionPlan(
                Array(survey.segments[round.marked]), startsClean: isClean,
                dirtyPercent: request.leastPercent,
                segmentBytes: writer.manifest.state.configuration.segmentBytes,
                headerBytesMax: header(at: .zero, Epoch(0)).byteCountLeft,
                unpacks: writer.manifest.state.configuration.compression == .off)
            let replaced = try perform(plan, survey, round.marked, request, &report)
            report.note(flawsOf: survey, round.marked, writer.streamID, replaced: replaced)
            isClean =
                isClean && replaced.count == plan.groups.reduce(0) { $0 + $1.segments.count }
                && plan.tombstones.allSatisfy { $0 == .all }
        }
        if !request.isDryRun { try commit(end, report) }
        return report
    }

    /// How far everything was compacted. What was set aside is new to the next opening, since it
    /// may be whole by then.
    private func commit(_ end: Offset, _ report: CompactionReport) throws(WeirError) {
        let known = writer.manifest.state.compactedEnd
        let first = report.setAside.map(\.offsets.lowerBound).min()
        let looked = first.map { Offset($0) } ?? max(end, known)
        if looked != known { try writer.commitBeside([.compacted(looked)]) }
    }

    private func changed() -> WeirError {
        WeirError(
            .notFound,
            "The stream's segments changed while it was compacted: what was rewritten by then "
                + "stays, and the next compaction does the rest.",
            at: .init(stream: view.name.description))
    }

    private func eligible(_ policy: CompactionPolicy) -> [SegmentEntry] {
        let entries = writer.manifest.state.segments
        let count = CompactionPlan.eligible(
            entries, lagSecondsMin: policy.lagSecondsMin, now: now)
        return Array(entries.prefix(count))
    }

    /// The segments from an offset on whose marks fit, among all that tell what supersedes them.
    private func round(
        of entries: [SegmentEntry], from start: Offset, _ request: CompactionRequest
    ) -> (entries: [SegmentEntry], marked: Range<Int>)? {
        let first = entries.partition { $0.base >= start && $0.sealed?.endOffset ?? start > start }
        guard first < entries.count else { return nil }
        var end = first
        var byteCount = 0
        while end < entries.count {
            byteCount += Int(clamping: entries[end].sealed?.recordCount ?? 0) / 8 * 3
            if end > first, byteCount > request.markBytesMax { break }
            end += 1
        }
        return (entries, first..<end)
    }

    /// The same segments as readers see them. Held for no longer than they are read: a file that
    /// was replaced goes when nobody holds it. Throws `notFound` if the stream changed in between.
    private func readable(
        _ entries: [SegmentEntry]
    ) throws(WeirError) -> [ReadableSegment<Files>] {
        var known: [SegmentID: ReadableSegment<Files>] = [:]
        for segment in view.segments { known[segment.id] = segment }
        let found = entries.compactMap { known[$0.id] }
        guard found.count == entries.count else { throw changed() }
        return found
    }

    /// Gives the segments that were replaced. One that was damaged since its keys were read stays,
    /// and the others go on.
    private func perform(
        _ plan: CompactionPlan, _ survey: borrowing Survey<Files>, _ marked: Range<Int>,
        _ request: CompactionRequest, _ report: inout CompactionReport
    ) throws(WeirError) -> Set<Int> {
        let byteCount = plan.groups.reduce(0) { sum, group in
            sum
                + survey.segments[group.segments.shifted(by: marked.lowerBound)]
                .reduce(0) { $0 + $1.sealed.fileBytes }
        }
        pace.begin(.rewriting, byteCount: byteCount)
        var isDone = true
        var replaced: Set<Int> = []
        for group in plan.groups {
            let range = group.segments.shifted(by: marked.lowerBound)
            // Behind a group that stays, any tombstone may hide what stays in it.
            let tombstones = group.segments.map { isDone ? plan.tombstones[$0] : .none }
            if request.isDryRun {
                report.estimate(survey, range, tombstones, group.liveBytes)
                replaced.formUnion(range)
                continue
            }
            let done = try replaceOrLeave(
                range, survey, tombstones, request.leastPercent, &report)
            replaced.formUnion(done)
            isDone = isDone && done.count == range.count
        }
        return replaced
    }

    /// Gives those that were replaced: all together, or, where one of them does not hold any more,
    /// each by itself. Then those stay that are of use to their last byte, and were only to be
    /// taken along: alone nothing is won by them, at this compaction and at each that follows.
    private func replaceOrLeave(
        _ range: Range<Int>, _ survey: borrowing Survey<Files>,
        _ tombstones: [CompactionPlan.Tombstones], _ dirtyPercent: Int,
        _ report: inout CompactionReport
    ) throws(WeirError) -> Set<Int> {
        do throws(WeirError) {
            try replace(range, survey, tombstones, &report)
            sweep()
            return Set(range)
        } catch {
            guard error.code == .damaged else { throw error }
            guard range.count > 1 else {
                report.leave(survey.segments[range.lowerBound], writer.streamID, error.reason)
                return []
            }
        }
        var replaced: Set<Int> = []
        for index in range {
            let segment = survey.segments[index]
            guard segment.isDirty(without: segment.deadBytes, dirtyPercent: dirtyPercent)
            else { continue }
            replaced.formUnion(
                try replaceOrLeave(index..<index + 1, survey, [.none], dirtyPercent, &report))
        }
        return replaced
    }

    /// At once, so that the disk needs room for one new segment, however many there are.
    private func sweep() {
        do throws(WeirError) {
            try leftovers.sweep()
        } catch {
            // What could not be removed waits for the sweep of whoever called, which says so.
            return
        }
    }

    private func replace(
        _ range: Range<Int>, _ survey: borrowing Survey<Files>,
        _ tombstones: [CompactionPlan.Tombstones], _ report: inout CompactionReport
    ) throws(WeirError) {
        let old = range.map { survey.segments[$0] }
        let readable = try readable(old.map(\.entry))
        guard let first = old.first, let last = old.last, let lastReadable = readable.last
        else { return }
        let producers = try producers(through: lastReadable, last.sealed)
        var rewrite = SegmentRewrite(
            try SegmentOutput(header(replacing: old, first), files: writer.files),
            compression: writer.manifest.state.configuration.compression)
        let sealed: SealedSegment
        do throws(WeirError) {
            for (place, (index, going)) in zip(range, tombstones).enumerated() {
                try rewrite.take(
                    readable[place], old[place].sealed, of: view,
                    without: survey.gone(in: index, tombstones: going), pace)
            }
            sealed = try rewrite.finish(end: last.sealed.endOffset, producers: producers)
        } catch {
            rewrite.abandon()
            throw error
        }
        try swap(old.map(\.entry), for: rewrite.output, sealed)
        report.note(rewrite, old, sealed)
    }

    /// For the new footer, behind which those of before may never be asked again.
    private func producers(
        through last: ReadableSegment<Files>, _ sealed: SealedSegment
    ) throws(WeirError) -> [ProducerRow] {
        do throws(WeirError) {
            return try view.allProducers(through: last, end: sealed.endOffset).rows
        } catch {
            guard error.isOfOneSegment else { throw error }
            throw WeirError.damaged(
                "What its footer is to say of producers cannot be told: \(error.description)",
                path: last.path)
        }
    }

    private func header(
        replacing old: [SurveyedSegment], _ first: SurveyedSegment
    ) -> SegmentHeader {
        var header = header(at: first.entry.base, first.entry.epoch)
        header.generation = (old.map(\.entry.generation).max() ?? 0) + 1
        header.replaced = old.map(\.entry.id)
        for segment in old {
            let own = EpochStart(epoch: segment.entry.epoch, offset: segment.entry.base)
            for start in [own] + segment.epochStarts where start.epoch > header.lastEpoch {
                // One that left nothing ends where it began; the next one's start says so, too.
                if header.epochStarts.last?.offset == start.offset {
                    header.epochStarts.removeLast()
                }
                header.epochStarts.append(start)
            }
        }
        return header
    }

    private func header(at base: Offset, _ epoch: Epoch) -> SegmentHeader {
        SegmentHeader(
            segmentID: SegmentID(random()), streamID: writer.streamID, epoch: epoch, base: base,
            creationTime: wall, logStart: view.logStart, name: view.name,
            configuration: writer.manifest.state.configuration)
    }

    /// The commit point is the edit: before it the new file is nobody's, after it the old ones are.
    private func swap(
        _ old: [SegmentEntry], for output: SegmentOutput<Files>, _ sealed: SealedSegment
    ) throws(WeirError) {
        let header = output.header
        let entry = SegmentEntry(
            id: header.segmentID, base: header.base, epoch: header.epoch,
            generation: header.generation, sealed: sealed)
        try writer.commitBeside(
            [.replaced(old: old.map(\.id), new: [entry])], notWritten: output.abandon)
        let gone = Set(old.map(\.id))
        leftovers.expect(view.segments.filter { gone.contains($0.id) })
        view.replace(old.map(\.id), with: writer.readable(entry))
    }
}

extension Range<Int> {
    fileprivate func shifted(by distance: Int) -> Range<Int> {
        lowerBound + distance..<upperBound + distance
    }
}

extension CompactionReport {
    fileprivate mutating func note<Files: FileSystem>(
        _ survey: borrowing Survey<Files>, _ marked: Range<Int>, _ stream: StreamID
    ) {
        passes += survey.passCount
        keys = max(keys, UInt64(survey.keyCount))
        recordsWithLongKeys += UInt64(survey.keysTooLong)
        bytesRead += survey.readBytes
        for index in marked {
            let segment = survey.segments[index]
            guard let damage = segment.damage else { continue }
            leave(segment, stream, damage)
        }
    }

    /// Headers and footers that do not hold, where all batches do.
    fileprivate mutating func note<Files: FileSystem>(
        flawsOf survey: borrowing Survey<Files>, _ marked: Range<Int>, _ stream: StreamID,
        replaced: Set<Int>
    ) {
        for index in marked {
            guard let flaw = survey.segments[index].flaw else { continue }
            let told = SetAside(survey.segments[index], stream, flaw)
            if setAside.contains(where: { $0.path == told.path }) { continue }
            if replaced.contains(index) {
                mended.append(told)
            } else {
                setAside.append(told)
            }
        }
    }

    fileprivate mutating func leave(
        _ segment: SurveyedSegment, _ stream: StreamID, _ detail: String
    ) {
        setAside.append(SetAside(segment, stream, detail))
    }

    private mutating func noteReplaced(_ count: Int) {
        segmentsRewritten += count
        segmentsAfter -= count - 1
    }

    fileprivate mutating func estimate<Files: FileSystem>(
        _ survey: borrowing Survey<Files>, _ range: Range<Int>,
        _ tombstones: [CompactionPlan.Tombstones], _ liveBytes: UInt64
    ) {
        noteReplaced(range.count)
        bytesWritten += liveBytes
        bytesAfter += liveBytes
        for (index, going) in zip(range, tombstones) {
            let segment = survey.segments[index]
            let count = UInt64(segment.removable(going).count)
            bytesAfter -= segment.sealed.fileBytes
            recordsRemoved += UInt64(segment.deadCount) + count
            tombstonesRemoved += UInt64(segment.deadTombstoneCount) + count
        }
    }

    fileprivate mutating func note<Files: FileSystem>(
        _ rewrite: borrowing SegmentRewrite<Files>, _ old: [SurveyedSegment],
        _ sealed: SealedSegment
    ) {
        noteReplaced(old.count)
        bytesWritten += sealed.fileBytes
        bytesAfter += sealed.fileBytes
        for segment in old {
            bytesAfter -= segment.sealed.fileBytes
            bytesRead += segment.sealed.fileBytes
        }
        recordsRemoved += rewrite.removedCount
        tombstonesRemoved += rewrite.removedTombstones
    }
}

extension CompactionReport.SetAside {
    fileprivate init(_ segment: SurveyedSegment, _ stream: StreamID, _ detail: String) {
        self.init(
            path: StoreLayout.segment(stream, segment.entry.id, base: segment.entry.base),
            offsets: segment.entry.base.value..<segment.sealed.endOffset.value, detail: detail)
    }
}
