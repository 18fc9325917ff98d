import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// The cursors of an open store. The ledger decides; this has its records appended to
/// `weir.cursors` through that stream's group commit, and tells those who wait.
///
///     commit ─▶ ledger ──write──▶ committer of weir.cursors ──durable──▶ ledger ─▶ who waits
///                  ▲                                                       │ the next record
///                  └───────────────────────────────────────────────────────┘
///
/// A reading process follows the stream instead, each time that somebody asks.
final class CursorBook: Sendable {
    typealias Outcome = Slot<Result<Void, WeirError>>
    typealias Ledger = CursorLedger<Outcome>

    private let engine: SystemEngine
    private let ledger = Lock(Ledger())
    private let state = Lock(State())
    /// Readers: one walk at a time.
    private let walking = Monitor(false)

    private struct State {
        /// How far a reading process has followed.
        var log = CursorLog()
        /// Of `weir.cursors`, once it is there.
        var committer: Committer?
        /// Why nothing is known of the cursors.
        var failure: WeirError?
        /// Streams whose trouble has been told by a reading process, which asks again and again.
        var unsettled: Set<StreamID> = []
    }

    /// In a store that is opened for writing, reads all cursors. Whatever is wrong with them stays
    /// theirs: the store is open, and who asks for a cursor is told.
    init(engine: SystemEngine) {
        self.engine = engine
        do throws(WeirError) {
            if let failure = engine.failure(of: CursorLog.streamName) { throw failure.error }
            if !engine.isReadOnly { try load() }
        } catch {
            state.withLock { $0.failure = error }
        }
    }

    private func load() throws(WeirError) {
        guard let stream = engine.stream(CursorLog.streamName) else { return }
        var log = CursorLog()
        try log.walk(stream.view)
        let views = views
        log.keep(streams: Set(views.keys).union(engine.unreadableStreams))
        let settled = log.settled(views, failed: report)
        ledger.withLock { $0.load(settled) }
        engine.add(reports: damage(of: log))
    }

    private var views: [StreamID: LogView<RealFileSystem>] {
        Dictionary(engine.streams.map { ($0.id, $0.view) }) { first, _ in first }
    }

    /// The stream's cursors could not be held against its records.
    private func report(_ id: StreamID, _ error: WeirError) {
        let name = engine.streams.first { $0.id == id }?.name.description ?? ""
        engine.add(reports: [
            DamageReport(
                kind: .unreadableFile, stream: name, path: StoreLayout.stream(id),
                detail: "its cursors stand where they were committed, and whether its records "
                    + "reach there is not known: \(error)")
        ])
    }

    private func damage(of log: CursorLog) -> [DamageReport] {
        let path = engine.stream(CursorLog.streamName).map { StoreLayout.stream($0.id) } ?? ""
        func report(_ offsets: Range<UInt64>?, _ detail: String) -> DamageReport {
            DamageReport(
                kind: .damagedBatches, stream: CursorLog.streamName.description, path: path,
                offsets: offsets, detail: detail)
        }
        var found = log.gaps.map { gap in
            report(
                gap.expected.value..<max(gap.expected, gap.next).value,
                "commits of cursors are missing, so cursors may be missing, or stand where an "
                    + "earlier commit had put them; \(gap.detail)")
        }
        if log.strangers > 0 {
            found.append(
                report(nil, "\(log.strangers) records are none of a cursor, and were passed over"))
        }
        return found
    }

    /// What is wrong with the records of the cursors, as far as they have been followed: some may
    /// be missing. Of a stream whose name cannot be read nobody knows that it is not theirs.
    var damage: [DamageReport] {
        let known = engine.reports.filter { report in
            let isNameless =
                report.kind == .unreadableStream && StreamID(hexadecimal: report.stream) != nil
            return report.isDamage
                && (isNameless || report.stream == CursorLog.streamName.description)
        }
        return engine.isReadOnly ? known + damage(of: state.withLock { $0.log }) : known
    }

    // MARK: asking

    /// Where a cursor stands durably; `nil` for one that never committed. A reading process may
    /// wait for the disk, and follows the stream up to its end of now.
    func standing(of key: CursorKey) throws(WeirError) -> CursorStanding? {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        guard engine.isReadOnly else { return ledger.withLock { $0.standing(of: key) } }
        return try following { log throws(WeirError) in
            guard let standing = log.standings[key] else { return nil }
            guard let view = views[key.stream] else { return standing }
            return try standing.settled(in: view)
        }
    }

    /// The offset of it in a writing process, whatever else was wrong.
    func committed(_ key: CursorKey) -> Offset? {
        guard case .at(let commit, _)? = ledger.withLock({ $0.standing(of: key) }) else {
            return nil
        }
        return commit.position.offset
    }

    /// All cursors, sorted by name; of one stream only, where one is named.
    func all(of stream: StreamID?) throws(WeirError) -> [(key: CursorKey, at: CursorStanding)] {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        let standings =
            engine.isReadOnly
            ? try following { log throws(WeirError) in
                log.settled(views) { id, error in
                    let isNew = state.withLock { $0.unsettled.insert(id).inserted }
                    if isNew { report(id, error) }
                }
            }
            : ledger.withLock { $0.standings }
        return standings.filter { stream == nil || $0.key.stream == stream }
            .map { ($0.key, $0.value) }.sorted { $0.key.name < $1.key.name }
    }

    /// What a reading process finds in the stream now.
    private func following<Result>(
        _ body: (CursorLog) throws(WeirError) -> Result
    ) throws(WeirError) -> Result {
        _ = walking.wait { isBusy -> Void? in
            if isBusy { return nil }
            isBusy = true
        }
        defer { walking.signal { $0 = false } }
        var log = state.withLock { state in
            // Taken, not shared: it would be copied whole with the first change.
            defer { state.log = CursorLog() }
            return state.log
        }
        defer { state.withLock { $0.log = log } }
        if let stream = try engine.discover(CursorLog.streamName) {
            try engine.refresh(stream)
            try log.walk(stream.view)
        }
        // The streams after their cursors: none of these was committed beyond what is seen now.
        for stream in engine.streams { try engine.refresh(stream) }
        return try body(log)
    }

    // MARK: committing

    /// Makes the stream with the first commit of the store, and knows it from then on. Blocks the
    /// thread then, so it is asked for beforehand.
    var isReady: Bool { state.withLock { $0.committer != nil } }

    func prepare(_ open: () throws(WeirError) -> Committer) throws(WeirError) {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        let committer = try open()
        state.withLock { $0.committer = committer }
    }

    /// Puts a commit on its way; `nil` if it is durable already.
    func commit(
        _ key: CursorKey, _ position: CursorPosition, force: Bool
    ) throws(WeirError) -> Outcome? {
        let commit = CursorCommit(position: position, time: engine.host.now())
        return try start(key) { (ledger, outcome) throws(WeirError) in
            try ledger.commit(key, commit, force: force, waiter: outcome)
        }
    }

    /// The same, for a cursor's end.
    func remove(_ key: CursorKey) throws(WeirError) -> Outcome? {
        try start(key) { (ledger, outcome) throws(WeirError) in
            try ledger.remove(key, waiter: outcome)
        }
    }

    private func start(
        _ key: CursorKey, _ event: (inout Ledger, Outcome) throws(WeirError) -> Ledger.Action
    ) throws(WeirError) -> Outcome? {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        let outcome = Outcome()
        let action = try ledger.withLock { ledger throws(WeirError) in
            try event(&ledger, outcome)
        }
        switch action {
        case .write(let change): write(key, change)
        case .wait: break
        case .done: return nil
        }
        return outcome
    }

    /// Removes the cursors of a stream that was deleted. A crash before it leaves records that
    /// nobody asks for: the next opening passes over them.
    func removeAll(of stream: StreamID) throws(WeirError) {
        var outcomes: [Outcome] = []
        for key in ledger.withLock({ $0.keys(of: stream) }) {
            if let outcome = try remove(key) { outcomes.append(outcome) }
        }
        for outcome in outcomes { try outcome.wait().get() }
    }

    private func write(_ key: CursorKey, _ change: Ledger.Change) {
        do throws(WeirError) {
            guard let committer = state.withLock({ $0.committer }) else {
                preconditionFailure("a cursor was committed before the book was prepared")
            }
            let name = CursorRecord.encode(key)
            var value: [UInt8]?
            if case .move(let commit) = change { value = CursorRecord.encode(commit) }
            let size = Credit.record(
                key: name.count, headers: [:], value: value?.count ?? 0)
            let entry = try committer.enqueue(
                size, .asksAtOnce, level: .durable, waiter: .call { self.finish(key, $0) }
            ) { builder throws(WeirError) in
                try builder.append(key: name, headers: [:], time: nil, value: value)
            }
            if case .queued(let action) = entry { committer.follow(action) }
        } catch {
            finish(key, .failure(error))
        }
    }

    private func finish(_ key: CursorKey, _ result: Result<Receipt, WeirError>) {
        var isDurable = true
        if case .failure = result { isDurable = false }
        let (waiters, next) = ledger.withLock { $0.finish(key, isDurable: isDurable) }
        for waiter in waiters { waiter.finish(result.map { _ in }) }
        if let next { write(key, next) }
    }
}
