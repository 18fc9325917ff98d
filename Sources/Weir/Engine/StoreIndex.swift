import Logging
import WeirBase
import WeirFiles
import WeirFlow
import WeirFormat
import WeirIndex

/// The index as the store uses it: the thread that feeds it, if this process writes, and a
/// connection for lookups, opened on first use.
///
/// Nothing here is ever needed for a right answer: where there is no index, the log is read.
final class StoreIndex: Sendable {
    /// A connection to look in, or why there is none.
    enum Lookup {
        /// With the opening of the store that must have written it last.
        case reader(IndexReader, IndexIdentity)
        case none(because: String)
    }

    private let engine: SystemEngine
    private let indexFiles: IndexFiles
    private let feeder: IndexFeeder?
    private let logger: Logger
    let use: IndexUse
    private let state = Lock(State())

    private struct State {
        var open: Open?
        /// A reading process: what it met is not asked again.
        var distrusted: (generation: UInt64, reason: String)?
        var isEnded = false
    }

    private struct Open {
        let generation: UInt64
        let reader: IndexReader
        /// Opened as a file that nobody writes.
        let isFrozen: Bool
        /// The store's last one at that time, which had written it.
        let owner: IndexIdentity
        /// When it was the newest one.
        var checked: Moment
    }

    /// A reading process looks for a new file so often.
    private static let checkNanoseconds: Int64 = 100_000_000

    init(engine: SystemEngine, use: IndexUse, logger: Logger) {
        self.engine = engine
        self.use = use
        self.logger = logger
        self.indexFiles = IndexFiles(files: engine.files)
        guard !engine.isReadOnly else {
            feeder = nil
            return
        }
        let feeder = use == .on ? IndexFeeder(engine: engine) : nil
        self.feeder = feeder
        do throws(WeirError) {
            if let feeder {
                try feeder.start()
            } else {
                // Nobody keeps it up with the log: a later opening must not take it for good.
                try indexFiles.remove(but: nil)
            }
        } catch {
            logger.warning("the index is not kept: \(error)")
        }
    }

    /// Something new is visible in a stream.
    func note(_ stream: SystemStream) { feeder?.note(stream) }

    var figures: IndexFeeder.Figures? { feeder?.figures }

    /// Somebody wants it made anew, whatever it says.
    func discard() { feeder?.distrust("somebody asked for it") }

    /// The file that lookups use at the moment.
    var generation: UInt64? { state.withLock { $0.open?.generation } }

    /// The index to look in. May wait for the disk.
    func lookup() -> Lookup {
        guard use == .on else { return .none(because: "the store was opened without its index") }
        var generation: UInt64?
        do throws(WeirError) {
            guard let owner = try currentOwner() else {
                return .none(because: "EPOCHS does not tell of the last opening")
            }
            if let open = state.withLock({ $0.open }), open.owner == owner, try isNewest(open) {
                return .reader(open.reader, owner)
            }
            generation = try newestGeneration()
            guard let generation else { return .none(because: "there is no index yet") }
            if let distrusted = state.withLock({ $0.distrusted }),
                distrusted.generation == generation
            {
                return .none(because: distrusted.reason)
            }
            return try adopt(generation, owner)
        } catch {
            guard let generation else { return .none(because: error.description) }
            return .none(because: distrust(error, generation))
        }
    }

    private func newestGeneration() throws(WeirError) -> UInt64? {
        guard let feeder else { return try indexFiles.generations().last }
        return feeder.figures.generation
    }

    /// The last opening of the store by a writer: what an earlier one indexed may be gone.
    private func currentOwner() throws(WeirError) -> IndexIdentity? {
        let opening =
            engine.isReadOnly ? try EpochFile.lastOpening(files: engine.files) : engine.opening
        return opening.map { IndexIdentity(store: engine.header.storeID, $0) }
    }

    /// Whether somebody writes the store at this moment.
    private func hasWriter() throws(WeirError) -> Bool {
        guard engine.isReadOnly else { return true }
        return try LockKeeper.isHeld(files: engine.files)
    }

    /// Whether a file is still the one to look in. A reading process looks for a new one now and
    /// then: the old one is as true, and covers less.
    private func isNewest(_ open: Open) throws(WeirError) -> Bool {
        let now = MonotonicClock.now()
        if feeder == nil, now - open.checked < Self.checkNanoseconds { return true }
        guard try newestGeneration() == open.generation else { return false }
        state.withLock { if $0.open?.generation == open.generation { $0.open?.checked = now } }
        return true
    }

    /// Opens a file that `owner` wrote last. One that was opened as a file which nobody writes is
    /// of an owner with no writer after it: whoever comes to write changes that.
    private func adopt(
        _ generation: UInt64, _ owner: IndexIdentity
    ) throws(WeirError) -> Lookup {
        let now = MonotonicClock.now()
        let isWritten = try hasWriter()
        let hasJournal = try indexFiles.hasJournal(generation)
        let isFrozen = !isWritten && !hasJournal
        let reader = try IndexReader(
            path: indexFiles.path(generation), store: engine.header.storeID, isFrozen: isFrozen)
        guard reader.owner == owner else {
            close(reader)
            return .none(
                because: "the index is of the store's epoch \(reader.owner.epoch) from "
                    + "\(reader.owner.opened), and the last is \(owner.epoch) from "
                    + "\(owner.opened)")
        }
        let opened = Open(
            generation: generation, reader: reader, isFrozen: isFrozen, owner: owner, checked: now)
        let (kept, left) = state.withLock { state -> (IndexReader?, IndexReader?) in
            if state.isEnded { return (nil, reader) }
            // Somebody else may have opened it meanwhile, and be looking in it.
            if let open = state.open, open.generation == generation, open.owner == owner {
                return (open.reader, reader)
            }
            defer { state.open = opened }
            // Whoever looks in an older one at this moment meets an error, and reads the log.
            return (reader, state.open?.reader)
        }
        close(left)
        guard let kept else { throw Store.closed() }
        return .reader(kept, owner)
    }

    /// What the index said does not hold, or it cannot be read. A writer makes it anew; a reading
    /// process does without, and asks the writer to. Other failures may pass, and change nothing.
    /// Returns what to tell of it.
    func distrust(_ error: WeirError, of reader: IndexReader) -> String {
        // A file that is no longer the one to look in was thrown away already.
        let generation = state.withLock { state in
            state.open.flatMap { $0.reader === reader ? $0.generation : nil }
        }
        guard let generation else { return error.description }
        return distrust(error, generation)
    }

    private func distrust(_ error: WeirError, _ generation: UInt64) -> String {
        guard error.code == .damaged else { return error.description }
        var (mayHold, isFirst) = (false, false)
        let open = state.withLock { state -> Open? in
            let open = state.open?.generation == generation ? state.open.take() : nil
            // A writer may have come, and what nobody was to write has changed: it is opened anew.
            mayHold = open?.isFrozen ?? false
            // Whoever is first asks the writer.
            isFirst = !mayHold && state.distrusted?.generation != generation
            if isFirst { state.distrusted = (generation, error.description) }
            return open
        }
        logger.warning("the index is not used: \(error)")
        feeder?.distrust(error.description)
        close(open?.reader)
        guard isFirst, feeder == nil else { return error.description }
        let reason = error.description + askForAnother(than: generation)
        state.withLock { state in
            guard state.distrusted?.generation == generation else { return }
            state.distrusted = (generation, reason)
        }
        return reason
    }

    /// Has a writer that runs make the index anew, and says so. Where none does, or it does not
    /// answer, nothing is lost: the next writer meets the damage itself.
    private func askForAnother(than generation: UInt64) -> String {
        do throws(WeirError) {
            let client = try ControlClient(path: engine.files.rootPath)
            guard try client.hasWriter() else { return "" }
            let request = IndexRequest(rebuild: true, generation: generation)
            _ = try client.ask(request, for: IndexProgress.self)
            return " The process that writes the store was asked to make the index anew."
        } catch {
            return " The process that writes the store could not be asked to make it anew: \(error)"
        }
    }

    private func close(_ reader: IndexReader?) {
        do throws(WeirError) {
            try reader?.close()
        } catch {
            logger.debug("the index's connection did not close: \(error)")
        }
    }

    /// Ends the feeding thread and the connection. `finishing`: the index is brought up to date.
    func end(finishing: Bool) {
        let (open, isFirst) = state.withLock { state in
            defer { (state.open, state.isEnded) = (nil, true) }
            return (state.open, !state.isEnded)
        }
        guard isFirst else { return }
        // Readers first: with the last connection SQLite takes its journal away.
        close(open?.reader)
        feeder?.end(finishing: finishing)
    }
}
