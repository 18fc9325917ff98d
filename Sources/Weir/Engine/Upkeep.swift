import Logging
import Synchronization
import WeirBase
import WeirCompaction
import WeirFiles
import WeirFormat
import WeirLog

/// What is done to a store's sealed segments beside its appends: who may do it, and when.
///
///     a thread of the writer:  every 15 s ─▶ retention of all streams ─▶ a turn each
///                                     └────▶ compaction of those due  ─▶ a turn each
///     whoever asks by hand:    ────────────────────────────────────────▶ a turn
///
/// A compaction may take hours, so retention of all streams comes before any. It is no part of a
/// turn: a deletion waits for turns, and keeps everybody from taking a stream up meanwhile.
///
/// One turn a stream at a time, since two that rewrite or retire the same segments would contradict
/// each other. A turn ends early when its stream is deleted or the store closes; what it has
/// swapped by then stays.
final class Upkeep: Sendable {
    /// Takes a stream up, so that its active segment can be left for another.
    typealias Opener = @Sendable (StreamName) throws(WeirError) -> LogStream

    private struct State {
        var turns: [StreamID: UpkeepTurn] = [:]
        /// Deleted: nobody gets a turn any more.
        var barred: Set<StreamID> = []
        var isEnding = false
        var isWorking = false
        var isPaused = false
        /// Segments that were looked at when their tombstones' delay was over: what may go of them
        /// has gone, or never asks for a compaction by itself.
        var judged: [StreamID: Set<SegmentID>] = [:]
        /// Of streams whose compaction failed the last time, and of those of which it set segments
        /// aside.
        var backoffs: [StreamID: LookBackoff] = [:]
        var retries: [StreamID: LookBackoff] = [:]
        /// How far this opening has looked, whatever was set aside.
        var looked: [StreamID: Offset] = [:]
        /// Looks in a day: each of these tries reads all of the stream.
        private static let retrySkipsMax = 5_760

        /// A compaction went through.
        mutating func note(_ report: CompactionReport, through end: Offset, of stream: StreamID) {
            if report.isDryRun { return }
            backoffs[stream] = nil
            looked[stream] = max(looked[stream] ?? .zero, end)
            if report.setAside.isEmpty {
                retries[stream] = nil
            } else {
                retries[stream, default: LookBackoff(skippedMax: Self.retrySkipsMax)].fail()
            }
        }
    }
    private let monitor = Monitor(State())
    let engine: SystemEngine
    let flow: StoreFlow
    let cursors: CursorBook
    let logger: Logger
    let leftovers: Leftovers<RealFileSystem>
    let retention: Lock<RetentionState>

    init(engine: SystemEngine, flow: StoreFlow, cursors: CursorBook, logger: Logger) {
        self.engine = engine
        self.flow = flow
        self.cursors = cursors
        self.logger = logger
        self.leftovers = Leftovers(files: engine.files)
        self.retention = Lock(RetentionState(engine))
    }

    // MARK: turns

    /// Runs `body` when nobody else has a turn at the stream. Blocks the thread. Throws `closed`
    /// where the stream was deleted or the store closes.
    func turn<Result>(
        at stream: StreamID, _ progress: UpkeepTurn.Progress? = nil,
        _ body: (UpkeepTurn) throws(WeirError) -> Result
    ) throws(WeirError) -> Result {
        let turn = UpkeepTurn(flow: flow, progress: progress)
        let isGiven = monitor.wait { state -> Bool? in
            if state.isEnding || state.barred.contains(stream) { return false }
            guard state.turns[stream] == nil else { return nil }
            state.turns[stream] = turn
            return true
        }
        guard isGiven == true else { throw UpkeepTurn.ended() }
        defer { monitor.signal { $0.turns[stream] = nil } }
        return try body(turn)
    }

    /// Ends the stream's turn, and gives none any more. Waits until it is over.
    func bar(_ stream: StreamID) {
        monitor.signal { state in
            state.barred.insert(stream)
            state.judged[stream] = nil
            state.backoffs[stream] = nil
            state.retries[stream] = nil
            state.looked[stream] = nil
            state.turns[stream]?.end()
        }
        _ = monitor.wait { state -> Void? in state.turns[stream] == nil ? () : nil }
        forget(stream)
    }

    /// Ends all turns and the thread; waits until they are over. The second time does nothing.
    func end() {
        monitor.signal { state in
            state.isEnding = true
            for turn in state.turns.values { turn.end() }
        }
        _ = monitor.wait { state -> Void? in
            state.turns.isEmpty && !state.isWorking ? () : nil
        }
        sweep()
    }

    // MARK: the thread

    func start(_ open: @escaping Opener) {
        do throws(WeirError) {
            monitor.signal { $0.isWorking = true }
            try SystemThread.start { self.work(open) }
        } catch {
            monitor.signal { $0.isWorking = false }
            logger.warning(
                "no thread for upkeep; streams are compacted and trimmed only by hand: \(error)")
        }
    }

    /// From now on nothing is done but what somebody asks for: for tests that look at each step.
    func pause() { monitor.signal { $0.isPaused = true } }

    private func work(_ open: @escaping Opener) {
        SystemThread.yieldToOthers(.modest)
        engine.reserve.make()
        while true {
            let isEnding = monitor.wait(milliseconds: Limits.upkeepMilliseconds) { state in
                state.isEnding ? true : nil
            }
            if isEnding == true { break }
            if monitor.read({ $0.isPaused }) { continue }
            look(open)
        }
        monitor.signal { $0.isWorking = false }
    }

    /// One look at all streams.
    func look(_ open: @escaping Opener) {
        engine.reserve.make()
        lookAtAges(open)
        for stream in engine.streams(where: { _ in true }) {
            look(at: stream)
            countQuota(of: stream, open)
        }
        flow.recountQuota(engine)
        sweep()
    }

    /// A stream that somebody works at waits for the next look.
    private func lookAtAges(_ open: Opener) {
        for stream in engine.streams(where: { _ in true }) where !isBusy(stream) {
            lookAtAges(of: stream, open)
        }
    }

    private func isBusy(_ stream: SystemStream) -> Bool {
        monitor.read { $0.turns[stream.id] != nil }
    }

    private func look(at stream: SystemStream) {
        guard let writer = stream.writer, let policy = stream.settings.compaction,
            !isBusy(stream)
        else { return }
        let isRetry = monitor.wait { state -> Bool?? in
            guard state.backoffs[stream.id]?.mayLook() ?? true else { return .some(nil) }
            return state.retries[stream.id]?.mayLook() ?? false
        }
        guard let isRetry, let isRetry else { return }
        let now = believedTime()
        do throws(WeirError) {
            let isDue = isRetry ? true : try isDue(stream, writer, policy, at: now)
            if isDue {
                let report = try compact(stream, CompactionRequest(policy: policy))
                logger.debug("compacted \(stream.name): \(report)")
                for segment in report.setAside {
                    logger.warning("set aside by compaction: \(segment.path): \(segment.detail)")
                }
                for segment in report.mended {
                    logger.warning("mended by compaction: \(segment.path): \(segment.detail)")
                }
            }
            let ripe = CompactionPlan.ripe(eligible(writer, policy, now), policy, now: now)
            monitor.signal { $0.judged[stream.id] = Set(ripe.map(\.id)) }
        } catch {
            // The log is as good as before; a later look tries again.
            guard error.code != .closed else { return }
            monitor.signal { $0.backoffs[stream.id, default: LookBackoff()].fail() }
            logger.warning("compaction of \(stream.name): \(error)")
        }
    }

    private func eligible(
        _ writer: LogWriter<RealFileSystem>, _ policy: CompactionPolicy, _ now: Timestamp
    ) -> ArraySlice<SegmentEntry> {
        let entries = writer.manifest.state.segments
        return entries.prefix(
            CompactionPlan.eligible(entries, lagSecondsMin: policy.lagSecondsMin, now: now))
    }

    /// Whether enough is new, or a segment is worth its rewriting for tombstones alone whose delay
    /// is over. Reads a footer for each of those once.
    func isDue(
        _ stream: SystemStream, _ writer: LogWriter<RealFileSystem>, _ policy: CompactionPolicy,
        at now: Timestamp
    ) throws(WeirError) -> Bool {
        let entries = eligible(writer, policy, now)
        let (judged, looked) = monitor.read { state in
            (state.judged[stream.id] ?? [], state.looked[stream.id] ?? .zero)
        }
        let isNew = CompactionPlan.isDue(
            entries, compactedEnd: max(writer.manifest.state.compactedEnd, looked),
            dirtyPercent: policy.dirtyPercent)
        if isNew { return true }
        let ripe = Set(CompactionPlan.ripe(entries, policy, now: now).map(\.id))
            .subtracting(judged)
        for segment in stream.view.segments where ripe.contains(segment.id) {
            guard let sealed = segment.sealed else { continue }
            // A compaction sets it aside or mends it, and says so: else nobody would ask again.
            guard let count = try tombstones(of: segment, sealed) else { return true }
            // In floating point, since a file may tell any number.
            let wanted = Double(sealed.recordCount) * Double(policy.dirtyPercent) / 100
            if count > 0, Double(count) >= wanted { return true }
        }
        return false
    }

    /// As its footer says; `nil` where that does not hold or cannot be read.
    private func tombstones(
        of segment: ReadableSegment<RealFileSystem>, _ sealed: SealedSegment
    ) throws(WeirError) -> UInt64? {
        do throws(WeirError) {
            return try segment.footer(sealed)?.summary.tombstoneCount
        } catch {
            guard error.isOfOneSegment else { throw error }
            return nil
        }
    }

    func sweep() {
        do throws(WeirError) {
            try leftovers.sweep()
        } catch {
            logger.warning("files that nobody needs could not be removed: \(error)")
        }
    }

    // MARK: compaction

    /// Blocks the thread. Throws as `Compactor.run` does.
    func compact(
        _ stream: SystemStream, _ request: CompactionRequest,
        _ progress: UpkeepTurn.Progress? = nil
    ) throws(WeirError) -> CompactionReport {
        guard let writer = stream.writer else { throw SystemEngine.readOnly() }
        let host = engine.host
        let start = ContinuousClock.now
        var (report, end) = try turn(at: stream.id, progress) { turn throws(WeirError) in
            let now = believedTime()
            let end = eligible(writer, request.policy, now).last?.sealed?.endOffset ?? .zero
            let compactor = Compactor(
                writer, leftovers: leftovers, pace: turn, now: now,
                wall: host.now(), random: host.random)
            return (try compactor.run(request), end)
        }
        monitor.signal { $0.note(report, through: end, of: stream.id) }
        sweep()
        report.seconds = Double((ContinuousClock.now - start) / .microseconds(1)) / 1_000_000
        return report
    }
}

/// One turn at a stream's segments: makes way for appends, and ends when it is told to.
final class UpkeepTurn: CompactionPace {
    typealias Progress = @Sendable (CompactionPhase, _ done: UInt64, _ all: UInt64) -> Bool

    private struct Slice {
        var byteCount = 0
        var rest: UpkeepRest
        var phase = CompactionPhase.looking
        var done: UInt64 = 0
        var all: UInt64 = 0
    }
    private let flow: StoreFlow
    private let progress: Progress?
    private let isOver = Atomic(false)
    private let slice: Lock<Slice>
    /// So much is done between two looks at the appends.
    private static let sliceBytes = 256 << 10

    init(flow: StoreFlow, progress: Progress?) {
        self.flow = flow
        self.progress = progress
        let groups = flow.groupsWritten.load(ordering: .relaxed)
        self.slice = Lock(Slice(rest: UpkeepRest(groupsWritten: groups, at: .now)))
    }

    func end() { isOver.store(true, ordering: .relaxed) }

    static func ended() -> WeirError {
        WeirError(
            .closed,
            "The work on the stream's segments ended early, since it was told to, the stream was "
                + "deleted or the store closed; what was done stays, and the rest is done the next "
                + "time.")
    }

    func step(byteCount: Int) throws(WeirError) {
        if isOver.load(ordering: .relaxed) { throw UpkeepTurn.ended() }
        let (rest, done) = slice.withLock { slice -> (Int, Slice?) in
            slice.byteCount += byteCount
            guard slice.byteCount >= UpkeepTurn.sliceBytes else { return (0, nil) }
            slice.done += UInt64(slice.byteCount)
            slice.byteCount = 0
            let rest = slice.rest.microseconds(
                groupsWritten: flow.groupsWritten.load(ordering: .relaxed),
                groupsUnderWay: flow.groupsUnderWay.load(ordering: .relaxed), at: .now)
            return (rest, slice)
        }
        if let done { tell(done) }
        guard rest > 0 else { return }
        SystemThread.pause(microseconds: rest)
        slice.withLock { $0.rest.resume(at: .now) }
    }

    func begin(_ phase: CompactionPhase, byteCount: UInt64) {
        let begun = slice.withLock { slice in
            slice.phase = phase
            slice.done = 0
            slice.all = byteCount
            return slice
        }
        tell(begun)
    }

    private func tell(_ slice: Slice) {
        guard let progress else { return }
        if !progress(slice.phase, min(slice.done, slice.all), slice.all) { end() }
    }
}
