import WeirBase
import WeirFiles
import WeirFlow
import WeirFormat
import WeirIndex
import WeirLog

/// Keeps the index up with the log: one thread a store, off every append's path.
///
///     commit ──note──▶ due ──(four times a second)──▶ KeyFeed ──runs──▶ IndexWriter
///                                                        ▲
///     damaged, foreign, ahead, missing ──▶ thrown away, next generation, everything is due
///
/// Nothing to do for a second ──▶ runs are merged to few, and the journal is shortened
///
/// Only this thread touches the writing end. While it is behind and nothing is appended, a second
/// one reads what comes next. A failure that may pass (a full disk) is tried again
/// with growing pauses; appends never wait for any of it.
final class IndexFeeder: Sendable {
    private struct State {
        var due: [StreamID: SystemStream] = [:]
        /// Why the file is to be thrown away, by whoever met damage in it.
        var distrust: String?
        var isFinishing = false
        var isEnding = false
    }

    /// What others may know of the thread's work.
    struct Figures: Sendable {
        var generation: UInt64?
        var coverage: [StreamID: Range<Offset>] = [:]
        /// Why it was made anew, or what of it was.
        var history: String?
        /// What keeps it from being brought up to date now.
        var failure: String?
        var trouble: String? { failure ?? history }
    }

    private let engine: SystemEngine
    /// Of one reading.
    private let entriesMax: Int
    private let indexFiles: IndexFiles
    private let monitor = Monitor(State())
    private let shared = Lock(Figures())
    private let hasEnded = Monitor(false)

    /// The pause between two passes, and how long the first one after a failure is.
    private static let passMilliseconds = 250
    private static let failureMillisecondsFirst = 250
    private static let failureMillisecondsMax = 60_000
    private static let idleMilliseconds = 1_000
    /// What a clean close may take to bring the index up to date; the next opening does the rest.
    private static let finishNanoseconds: Int64 = 10_000_000_000
    /// And what it may take to merge runs for those who read afterwards.
    private static let finishMergeNanoseconds: Int64 = 2_000_000_000

    init(engine: SystemEngine, entriesMax: Int = KeyFeed.entriesMax) {
        self.engine = engine
        self.entriesMax = entriesMax
        self.indexFiles = IndexFiles(files: engine.files)
    }

    var figures: Figures { shared.withLock { $0 } }

    /// Begins; everything that is there is due.
    func start() throws(WeirError) {
        // The thread lets go of the store before it says that it has ended: whoever waited for that
        // may open the store again at once.
        let worker = Lock<IndexFeeder?>(self)
        let hasEnded = hasEnded
        do throws(WeirError) {
            try SystemThread.start {
                Self.work(worker)
                hasEnded.signal { $0 = true }
            }
        } catch {
            hasEnded.signal { $0 = true }
            throw error
        }
    }

    private static func work(_ worker: Lock<IndexFeeder?>) {
        worker.withLock { $0.take() }?.work()
    }

    /// Something new is visible in a stream. Costs a lock.
    func note(_ stream: SystemStream) {
        guard Self.isIndexed(stream) else { return }
        let isKnown = monitor.read { $0.due[stream.id] != nil }
        if !isKnown { monitor.signal { $0.due[stream.id] = stream } }
    }

    /// An answer did not hold: the file is thrown away and made anew.
    func distrust(_ reason: String) { monitor.signal { $0.distrust = $0.distrust ?? reason } }

    /// Ends the thread and waits for it. `finishing`: the index is brought up to date before.
    func end(finishing: Bool) {
        monitor.signal { state in
            if finishing { state.isFinishing = true } else { state.isEnding = true }
        }
        _ = hasEnded.wait { $0 ? true : nil }
    }

    static func isIndexed(_ stream: SystemStream) -> Bool {
        !IndexedFields(stream).isEmpty
    }

    // MARK: the thread

    private func work() {
        // A pass takes milliseconds, four times a second: whoever is at the tail must not wait.
        SystemThread.yieldToOthers(.interruptible)
        var feeding = Feeding()
        defer {
            // Nobody needs what is being read ahead.
            monitor.change { $0.isEnding = true }
            feeding.close()
        }
        var failureMilliseconds = Self.failureMillisecondsFirst
        while true {
            let work = waitForWork(&feeding)
            let start = MonotonicClock.now()
            do throws(WeirError) {
                switch work {
                case .end: return
                case .pass:
                    try pass(&feeding)
                    try tidy(feeding, since: start)
                    rest(feeding, since: start)
                case .quiet: try useQuiet(&feeding)
                }
                failureMilliseconds = Self.failureMillisecondsFirst
            } catch {
                noteFailure(error, &feeding)
                // A file that was thrown away can be made anew in the time that is left.
                if isFinishing, error.code != .damaged { return }
                pause(milliseconds: failureMilliseconds)
                failureMilliseconds = min(2 * failureMilliseconds, Self.failureMillisecondsMax)
            }
        }
    }

    private func noteFailure(_ error: WeirError, _ feeding: inout Feeding) {
        feeding.discardIfDamaged(error)
        // What was read and not written is due again.
        for stream in engine.streams where Self.isIndexed(stream) {
            feeding.due[stream.id] = stream
        }
        shared.withLock { $0.failure = error.description }
    }

    private var isEnding: Bool { monitor.read { $0.isEnding } }
    private var isFinishing: Bool { monitor.read { $0.isFinishing } }

    private enum Work { case pass, quiet, end }

    private func waitForWork(_ feeding: inout Feeding) -> Work {
        if feeding.isBehind || feeding.writer == nil {
            let isLate = isFinishing && feeding.isLate(Self.finishNanoseconds)
            return isEnding || isLate ? .end : .pass
        }
        let isReady = { (state: inout State) -> Work? in
            if state.isEnding { return .end }
            if !state.due.isEmpty || state.distrust != nil { return .pass }
            return state.isFinishing ? .end : nil
        }
        if feeding.isQuiet, feeding.failed.isEmpty { return monitor.wait(until: isReady) ?? .end }
        if feeding.isQuiet {
            let pause = Self.failureMillisecondsMax
            if let work = monitor.wait(milliseconds: pause, until: isReady) { return work }
            for (id, failed) in feeding.failed { feeding.due[id] = failed.stream }
            return .pass
        }
        return monitor.wait(milliseconds: Self.idleMilliseconds, until: isReady) ?? .quiet
    }

    /// Beside what is indexed, runs are merged: for about as long as the pass took.
    private func tidy(_ feeding: Feeding, since start: Moment) throws(WeirError) {
        guard let writer = feeding.writer else { return }
        let calm = feeding.isBehind ? IndexCalm.catchingUp : .busy
        let now = MonotonicClock.now()
        let isLast = isFinishing && !feeding.isBehind
        let end = now + (isLast ? Self.finishMergeNanoseconds : now - start)
        while try writer.tidy(calm), MonotonicClock.now() < end, !isEnding {}
    }

    /// Nothing came for a while: the runs become few, and SQLite's journal short. Half of the time
    /// is left to others.
    private func useQuiet(_ feeding: inout Feeding) throws(WeirError) {
        guard let writer = feeding.writer else { return }
        let isWanted = { (state: inout State) -> Bool? in
            state.isEnding || state.isFinishing || !state.due.isEmpty || state.distrust != nil
                ? true : nil
        }
        // Streams that were deleted meanwhile.
        let there = Set(engine.streams.map(\.id))
        feeding.failed = feeding.failed.filter { there.contains($0.key) }
        try writer.forget(writer.streams.filter { !there.contains($0) })
        var start = MonotonicClock.now()
        while try writer.tidy(.idle) {
            let worked = Int((MonotonicClock.now() - start) / 1_000_000) + 1
            if monitor.wait(milliseconds: worked, until: isWanted) != nil { return }
            start = MonotonicClock.now()
        }
        feeding.isQuiet = feeding.checkpoint()
    }

    /// Caught up, until the next pass is due; behind, for as long as it worked, if anything was
    /// appended meanwhile: half of a core is left to those who append.
    private func rest(_ feeding: Feeding, since start: Moment) {
        guard !isFinishing else { return }
        let worked = Int((MonotonicClock.now() - start) / 1_000_000)
        guard feeding.isBehind else {
            return pause(milliseconds: max(0, Self.passMilliseconds - worked))
        }
        if monitor.read({ !$0.due.isEmpty }) { pause(milliseconds: worked) }
    }

    private func pause(milliseconds: Int) {
        _ = monitor.wait(milliseconds: milliseconds) { state in
            state.isEnding || state.isFinishing ? true : nil
        }
    }

    /// Opens what is not open, and indexes what is due, as much as one transaction should take.
    private func pass(_ feeding: inout Feeding) throws(WeirError) {
        feeding.isQuiet = false
        if let reason = monitor.change({ $0.distrust.take() }) {
            feeding.discard(reason)
        }
        if feeding.writer == nil {
            try adopt(&feeding)
        }
        guard let writer = feeding.writer else { return }
        let noted = monitor.change { state -> [StreamID: SystemStream] in
            defer { state.due = [:] }
            return state.due
        }
        feeding.due.merge(noted) { $1 }
        let runs = readDue(&feeding, writer)
        readAhead(&feeding, behind: runs, isCalm: noted.isEmpty)
        try writer.append(runs)
        publish(feeding, writer)
    }

    /// Opens a file: what the store no longer has is forgotten, what is ahead of its log too, and
    /// everything else is looked at.
    private func adopt(_ feeding: inout Feeding) throws(WeirError) {
        let streams = engine.streams.filter(Self.isIndexed)
        for stream in streams { feeding.due[stream.id] = stream }
        let known = feeding.due
        var staleCount = 0
        guard let opening = engine.opening else { return }
        let store = engine.header.storeID
        let previous = engine.previousOpening.map { IndexIdentity(store: store, $0) }
        try feeding.open(
            indexFiles, IndexIdentity(store: store, opening), after: previous
        ) { id, covered in
            let isStale = known[id].map { covered.upperBound > $0.openedEnd } ?? true
            if isStale { staleCount += 1 }
            return isStale
        }
        guard staleCount > 0 else { return }
        shared.withLock {
            $0.history = "forgot \(staleCount) streams that were gone, or shorter than indexed"
        }
    }

    private func readDue(_ feeding: inout Feeding, _ writer: IndexWriter) -> [KeyRun] {
        var runs: [KeyRun] = []
        var entryCount = 0
        for (id, stream) in feeding.due where entryCount < entriesMax {
            let start = writer.coverage(of: id)?.upperBound ?? stream.view.logStart
            do throws(WeirError) {
                let ahead = feeding.takeAhead(of: id, from: start)
                let found =
                    if let ahead { try ahead.get() } else { try read(stream, from: start) }
                feeding.failed[id] = nil
                runs += found
                entryCount += found.reduce(0) { $0 + $1.entries.count }
                if (found.last?.end ?? start) >= stream.view.visibleEnd || found.isEmpty {
                    feeding.due[id] = nil
                }
            } catch {
                // Its trouble is its own: it is tried again in a while, or at its next append.
                feeding.due[id] = nil
                feeding.failed[id] = (stream, "\(stream.name): \(error)")
            }
        }
        return runs
    }

    /// Has a second thread go on in the stream that the last run is of, if that is not all of it,
    /// while the runs are written. Where something is appended, no more than half of a core is
    /// taken.
    private func readAhead(_ feeding: inout Feeding, behind runs: [KeyRun], isCalm: Bool) {
        guard let last = runs.last, let stream = feeding.due[last.stream] else {
            return feeding.endAhead()
        }
        guard isCalm else { return feeding.pauseAhead() }
        feeding.readAhead(of: stream.id, from: last.end) { [self] start in
            Result { () throws(WeirError) in try read(stream, from: start) }
        }
    }

    /// What vanished under a map may be there for those who read it.
    private func read(
        _ stream: SystemStream, from start: Offset
    ) throws(WeirError) -> [KeyRun] {
        let fields = IndexedFields(stream)
        let isStopped = { (count: Int) in count >= self.entriesMax || self.isEnding }
        do throws(WeirError) {
            return try KeyFeed.read(
                fields, of: stream.id, stream.view, from: start, isStopped: isStopped)
        } catch {
            guard error.code == .damaged else { throw error }
            return try KeyFeed.read(
                fields, of: stream.id, stream.view, from: start, mode: .copied,
                isStopped: isStopped)
        }
    }

    private func publish(_ feeding: Feeding, _ writer: IndexWriter) {
        var coverage: [StreamID: Range<Offset>] = [:]
        for id in writer.streams { coverage[id] = writer.coverage(of: id) }
        shared.withLock { figures in
            figures.generation = feeding.generation
            figures.coverage = coverage
            figures.failure = feeding.failed.values.first?.reason
            if let reason = feeding.rebuildReason { figures.history = reason }
        }
    }
}
