import Logging
import WeirBase
import WeirCompaction
import WeirFiles
import WeirFormat
import WeirLog

/// What retention remembers between two looks.
struct RetentionState: Sendable {
    var clock: RetentionClock
    /// Of streams that were held back at the last look.
    var alarms: [StreamID: HeldAlarm] = [:]
    /// Of streams of which a footer could not be read: which, and when that is tried again.
    var unread: [StreamID: UnreadFooters] = [:]
    var isDoubting = false

    init(_ engine: SystemEngine) {
        let times = engine.streams.compactMap { $0.writer?.lastAppendTime }
        clock = RetentionClock(
            wall: engine.host.now(),
            witness: (times + [engine.previousOpening?.time].compactMap { $0 }).max(),
            monotonicNanoseconds: Host.monotonicNanoseconds())
    }
}

/// Footers that a look could not read. What they may tell of producers keeps files from going.
struct UnreadFooters: Sendable {
    var segments: Set<SegmentID> = []
    var backoff = LookBackoff()
}

/// Letting records go: by a stream's policy, or by hand.
extension Upkeep {
    func lookAtAges(
        of stream: SystemStream, _ open: (StreamName) throws(WeirError) -> LogStream
    ) {
        guard stream.settings.retention != nil else { return forget(stream.id) }
        do throws(WeirError) {
            guard let committer = try open(stream.name).committer else { return }
            let passed = footersToPass(of: stream)
            let report = try retain(stream, committer, isDryRun: false, passing: passed)
            if report.segmentsRemoved > 0 { logger.debug("retention: \(report)") }
        } catch {
            // The log is as good as before; the next look tries again.
            if error.code != .closed { logger.warning("retention of \(stream.name): \(error)") }
        }
    }

    /// Retention, a trim or a compaction may have made room in a stream.
    func countQuotas(_ committer: Committer) {
        committer.countQuota()
        flow.countQuota(committer.writer.streamID, committer.writer.view)
    }

    /// Compaction may have made room.
    func countQuota(
        of stream: SystemStream, _ open: (StreamName) throws(WeirError) -> LogStream
    ) {
        guard stream.settings.quota != nil else { return }
        do throws(WeirError) {
            try open(stream.name).committer?.countQuota()
        } catch {
            if error.code != .closed { logger.warning("quota of \(stream.name): \(error)") }
        }
    }

    /// Lets go what the stream's policy no longer keeps. Blocks the thread.
    ///
    /// Throws `invalidArgument` for a stream without a policy, and what the medium said.
    func retain(
        _ stream: SystemStream, _ committer: Committer, isDryRun: Bool,
        passing passed: Set<SegmentID> = []
    ) throws(WeirError) -> TrimReport {
        guard let policy = stream.settings.retention else {
            throw WeirError(
                .invalidArgument,
                "The stream \(stream.name) keeps its records for ever: it has no retention "
                    + "policy. Give it one, as `weir config \(stream.name) set retention.age=7d` "
                    + "does, or say before which offset or time it is to be trimmed.",
                at: .init(stream: stream.name.description))
        }
        let now = believedTime()
        // A quiet stream's last segment would never be full. Outside of the turn, since a deletion
        // waits for turns and keeps this from taking the stream up.
        let hasRecords = stream.view.segments.last.map { $0.base < stream.view.flushedEnd } ?? false
        var isQuiet = false
        if let age = policy.ageSecondsMax, hasRecords {
            isQuiet = committer.writer.lastAppendTime <= now.before(seconds: age)
        }
        let run = try begin(committer, sealing: isQuiet, isDryRun: isDryRun, passing: passed)
        let (report, plan) = try perform(stream, run) { writer, outline in
            RetentionPlan(
                outline.entries, byteCount: outline.byteCount, end: writer.view.flushedEnd,
                policy: policy, committed: committed(policy, stream.id), now: now)
        }
        countQuotas(committer)
        if !isDryRun { tell(plan, of: stream) }
        return report
    }

    /// Lets go everything before an offset; with `sealing`, the active segment is left for another
    /// first. Blocks the thread.
    func trim(
        _ stream: SystemStream, _ committer: Committer, before offset: Offset, sealing: Bool,
        isDryRun: Bool
    ) throws(WeirError) -> TrimReport {
        let run = try begin(committer, sealing: sealing, isDryRun: isDryRun)
        return try perform(stream, run) { writer, outline in
            RetentionPlan(outline.entries, before: offset, start: writer.view.logStart)
        }.report
    }

    private enum Run {
        /// Without the footers that a look is to leave alone.
        case real(passing: Set<SegmentID>)
        /// Only planned: over this, or over what there is.
        case dry(LogOutline?)
    }

    /// A change of segment, or what it would leave.
    private func begin(
        _ committer: Committer, sealing: Bool, isDryRun: Bool,
        passing passed: Set<SegmentID> = []
    ) throws(WeirError) -> Run {
        if isDryRun { return .dry(sealing ? try committer.outlineOfSealed() : nil) }
        if sealing { try committer.sealActive() }
        return .real(passing: passed)
    }

    private func perform(
        _ stream: SystemStream, _ run: Run, _ plan: (SystemWriter, LogOutline) -> RetentionPlan
    ) throws(WeirError) -> (report: TrimReport, plan: RetentionPlan) {
        guard let writer = stream.writer else { throw SystemEngine.readOnly() }
        let done = try turn(at: stream.id) { _ throws(WeirError) in
            let retirement = Retirement(writer, leftovers: leftovers)
            var report = TrimReport(stream: stream.name.description)
            report.firstOffsetBefore = writer.view.logStart.value
            let done: RetentionPlan
            switch run {
            case .real(let passed):
                let outcome = try retirement.perform(
                    plan(writer, writer.outline), passing: passed)
                note(outcome.unread, passing: passed, of: stream)
                done = outcome.plan
            case .dry(let thought):
                report.isDryRun = true
                let outline = thought ?? writer.outline
                done = try retirement.kept(plan(writer, outline), outline).plan
            }
            report.note(done)
            return (report, done)
        }
        sweep()
        return done
    }

    /// Those that a look is to leave alone, since they could not be read a moment ago: each try may
    /// take a failing medium seconds.
    private func footersToPass(of stream: SystemStream) -> Set<SegmentID> {
        retention.withLock { state in
            guard state.unread[stream.id]?.backoff.mayLook() == false else { return [] }
            return state.unread[stream.id]?.segments ?? []
        }
    }

    private func note(
        _ unread: [Retirement<RealFileSystem>.Unread], passing passed: Set<SegmentID>,
        of stream: SystemStream
    ) {
        let new = retention.withLock { state -> [Retirement<RealFileSystem>.Unread] in
            guard !unread.isEmpty else {
                if passed.isEmpty { state.unread[stream.id] = nil }
                return []
            }
            var known = state.unread[stream.id] ?? UnreadFooters()
            let new = unread.filter { !known.segments.contains($0.id) }
            known.segments = passed.union(unread.map(\.id))
            known.backoff.fail()
            state.unread[stream.id] = known
            return new
        }
        for (_, why) in new {
            logger.warning(
                """
                retention of \(stream.name): files stay that may be all that tells of its named \
                producers, since a footer cannot be read: \(why)
                """)
        }
    }

    private func committed(_ policy: RetentionPolicy, _ stream: StreamID) -> [String: Offset] {
        var found: [String: Offset] = [:]
        for name in policy.heldBy {
            found[name] = cursors.committed(CursorKey(stream: stream, name: name))
        }
        return found
    }

    /// The wall clock as far as it is believed.
    func believedTime() -> Timestamp {
        let (wall, time, isNew) = retention.withLock { state in
            let wall = engine.host.now()
            let time = state.clock.now(
                wall: wall, monotonicNanoseconds: Host.monotonicNanoseconds())
            let doubts = state.clock.doubts(wall)
            defer { state.isDoubting = doubts }
            return (wall, time, doubts && !state.isDoubting)
        }
        if isNew {
            let text =
                "the clock says \(wall), which is further on than the time that this store has "
                + "seen pass: ages are counted from \(time), at double pace, until that has "
                + "caught up; see whether the clock is right"
            logger.warning("\(text)")
        }
        return time
    }

    private func tell(_ plan: RetentionPlan, of stream: SystemStream) {
        let named = retention.withLock { state in
            let named = state.alarms[stream.id, default: HeldAlarm()].look(plan)
            if plan.heldBy == nil { state.alarms[stream.id] = nil }
            return named
        }
        if plan.isForced, let cursor = plan.heldBy, let start = plan.logStart {
            tell(
                .retentionForced, cursor, of: stream,
                "records before \(start) went that the cursor \(cursor) has not committed, since "
                    + "it held back more than it may")
        }
        for cursor in named {
            tell(
                .retentionHeld, cursor, of: stream,
                "the cursor \(cursor) holds back what could go, and \(plan.heldBytes) bytes are "
                    + "held back in all")
        }
    }

    private func tell(
        _ kind: SignalKind, _ cursor: String, of stream: SystemStream, _ text: String
    ) {
        let source = SignalSource(
            stream: stream.name.description, partition: stream.configuration.partition?.index,
            consumer: cursor, variant: "\(flow.variant(for: cursor))")
        flow.signals.note(kind, source, detail: text)
        logger.log(
            level: kind == .retentionForced ? .warning : .notice,
            "retention of \(stream.name): \(text)")
    }

    /// Nothing is let go, nor held back, any more: whoever holds back again is named again.
    func forget(_ stream: StreamID) {
        retention.withLock { state in
            state.alarms[stream] = nil
            state.unread[stream] = nil
        }
    }
}

extension TrimReport {
    fileprivate mutating func note(_ plan: RetentionPlan) {
        firstOffset = max(plan.logStart?.value ?? 0, firstOffsetBefore)
        segmentsRemoved = plan.retired.count
        bytesRemoved = plan.retired.reduce(0) { $0 + ($1.sealed?.fileBytes ?? 0) }
        heldBy = plan.heldBy
        heldBytes = plan.heldBytes
        isForced = plan.isForced
    }
}
