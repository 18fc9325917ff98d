public import Logging
public import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// A store: one directory of streams, one writing process, any number of reading ones.
///
/// ```swift
/// let store = try await Store.open(at: "orders.weir")
/// let orders = try await store.stream("orders", creating: .init(compression: .automatic))
/// let receipt = try await orders.append(key: "42", headers: ["kind": "paid"], value: bytes)
/// for try await batch in try orders.subscribe(from: .offset(receipt.offset)) {
///     batch.forEach { record in … }
/// }
/// ```
///
/// What an append's receipt says holds: by default the record survives power loss. Opening reads
/// manifests and one directory listing a stream, so it does not grow with the bytes stored; after a
/// crash it also scans each stream's last segment.
public final class Store: Sendable {
    let engine: SystemEngine
    let pool: ThreadPool
    /// Who waits for another process's writer, or for a stream to come to rest, does so on threads
    /// of its own: it would keep from working whom it waits for.
    let waiters = ThreadPool(countMax: 256)
    let logger: Logger
    /// Who has figures for `flowReport`.
    package let flowSources = FlowSources()
    /// For other processes; `nil` for a reader, and where the socket could not be made.
    private let control = Lock<ControlServer?>(nil)
    let housekeeper: Housekeeper
    let index: StoreIndex
    let flow: StoreFlow
    /// Of a writer: compaction and what else is done beside the appends.
    let upkeep: Upkeep
    /// Read whole when the store is opened for writing.
    let cursors: CursorBook
    let state: Lock<State>
    /// What all its streams share.
    private let knownParts = Lock<StoreParts?>(nil)
    private static let threadsMax = 16

    struct State {
        var streams: [StreamName: LogStream] = [:]
        /// Partitioned ones, whose partitions stand among the streams.
        var groups: [StreamName: PartitionedStream] = [:]
        var isClosed = false
    }

    private init(
        engine: SystemEngine, pool: ThreadPool, subscriptionBytes: Int, index: IndexUse,
        logger: Logger
    ) {
        self.engine = engine
        self.index = StoreIndex(engine: engine, use: index, logger: logger)
        self.pool = pool
        self.logger = logger
        self.housekeeper = Housekeeper(openFiles: OpenFiles(pool: pool))
        self.flow = StoreFlow(
            budgetBytes: subscriptionBytes, flags: FlowFlags())
        self.cursors = CursorBook(engine: engine)
        self.upkeep = Upkeep(engine: engine, flow: flow, cursors: cursors, logger: logger)
        self.state = Lock(State())
        // For as long as the store is there, so its number is of no use.
        _ = flowSources.register(flow)
        _ = flowSources.register(flow.signals)
        _ = flowSources.register(OpenStreams(store: self))
        guard !engine.isReadOnly else { return }
        flow.loadQuota(engine)
        let commands = ControlCommands()
        serveCursors(commands)
        serveGroups(commands)
        serveUpkeep(commands)
        serveIndex(commands)
        serveConfiguration(commands)
        serveQuota(commands)
        startUpkeep()
        let server = Store.serveControl(engine, flowSources, commands)
        control.withLock { $0 = server }
    }

    deinit {
        endControl()
        upkeep.end()
        index.end(finishing: false)
        pool.end()
        waiters.end()
        housekeeper.end()
        flow.end()
    }

    /// How a store is opened.
    public enum Access: Sendable, Hashable {
        /// As the one writer; a directory that is missing or empty becomes a store.
        case createOrWrite
        /// As the one writer of a store that exists.
        case write
        /// Beside whatever writer there is, or without one; changes nothing.
        case read
    }

    /// Opens a store.
    ///
    /// Throws `locked` if another process has it open for writing (and says which), `notFound`,
    /// `invalidArgument` for a directory that is no store, `newerFormat`, `permissionDenied`.
    /// Damage is no error: `reports` says what was found, and so does the log.
    ///
    /// `subscriptionBytes` is the memory that all subscriptions of the store share, in bytes of
    /// records: 1 MiB to 1 PiB. `index` says whether a writer keeps an index of keys, and a reader
    /// uses it; answers are the same without.
    public static func open(
        at path: String, _ access: Access = .createOrWrite,
        subscriptionBytes: Int = Limits.subscriptionBytesDefault, index: IndexUse = .on,
        logger: Logger = Logger(label: "weir")
    ) async throws -> Store {
        let pool = ThreadPool(countMax: threadsMax)
        do {
            return try await pool.call { () throws(WeirError) in
                try open(
                    at: path, access, pool: pool, subscriptionBytes: subscriptionBytes,
                    index: index, logger: logger)
            }
        } catch {
            pool.end()
            throw error
        }
    }

    /// Opens a store and blocks the thread while it does: for tools, and threads of one's own.
    public static func openBlocking(
        at path: String, _ access: Access = .createOrWrite,
        subscriptionBytes: Int = Limits.subscriptionBytesDefault, index: IndexUse = .on,
        logger: Logger = Logger(label: "weir")
    ) throws(WeirError) -> Store {
        try open(
            at: path, access, pool: ThreadPool(countMax: threadsMax),
            subscriptionBytes: subscriptionBytes, index: index, logger: logger)
    }

    private static func open(
        at path: String, _ access: Access, pool: ThreadPool, subscriptionBytes: Int,
        index: IndexUse, logger: Logger
    ) throws(WeirError) -> Store {
        let range = Limits.subscriptionBytesMin...Limits.subscriptionBytesMax
        guard range.contains(subscriptionBytes) else {
            throw WeirError(
                .invalidArgument,
                "The budget of subscriptions is \(subscriptionBytes) bytes; expected "
                    + "\(range.lowerBound) to \(range.upperBound).")
        }
        let host = Host.system()
        let engine: SystemEngine
        do throws(WeirError) {
            let files = try root(path, access)
            engine =
                access == .read
                ? try StoreEngine.openReadOnly(
                    files: files, host: host, threads: Limits.openingThreadsMax)
                : try StoreEngine.open(
                    files: files, host: host, creating: access == .createOrWrite,
                    threads: Limits.openingThreadsMax)
        } catch {
            throw error.located(.init(path: path))
        }
        let store = Store(
            engine: engine, pool: pool, subscriptionBytes: subscriptionBytes, index: index,
            logger: logger)
        for report in store.reports {
            logger.log(level: report.isDamage ? .warning : .notice, "\(report)")
        }
        return store
    }

    static func root(
        _ path: String, _ access: Access
    ) throws(WeirError) -> RealFileSystem {
        do throws(WeirError) {
            return try RealFileSystem.openRoot(path, creating: access == .createOrWrite)
        } catch {
            guard error.code == .notFound, access != .createOrWrite else { throw error }
            throw WeirError(
                .notFound,
                "There is no store at \(path); check the path, or create a stream there, which "
                    + "makes the store too.", errno: error.errno)
        }
    }

    public var path: String { engine.files.rootPath }
    public var isReadOnly: Bool { engine.isReadOnly }
    /// For a reader: whether a writer had the store open when it was opened.
    public var hasLiveWriter: Bool { engine.hasLiveWriter }
    /// What opening found damaged, cut or unexplained.
    public var reports: [DamageReport] { engine.reports }
    /// The names of all streams, sorted, Weir's own among them (`isSystem` tells which).
    public var streamNames: [StreamName] { engine.streams.map(\.name) }

    /// A stream by its name; made with the given settings if there is none.
    ///
    /// Settings of a stream that exists stay as they are. Throws `notFound` where there is none and
    /// `creating` is nil, `invalidArgument` for a bad name or bad settings.
    public func stream(
        _ name: String, creating configuration: StreamConfiguration? = nil
    ) async throws -> LogStream {
        let name = try StreamName(name)
        if let stream = try known(name) { return stream }
        return try await waiters.call { () throws(WeirError) in
            try self.openUserStream(name, creating: configuration)
        }
    }

    /// As `stream`, and blocks the thread.
    public func streamBlocking(
        _ name: String, creating configuration: StreamConfiguration? = nil
    ) throws(WeirError) -> LogStream {
        let name = try StreamName(name)
        if let stream = try known(name) { return stream }
        return try openUserStream(name, creating: configuration)
    }

    private func known(_ name: StreamName) throws(WeirError) -> LogStream? {
        try state.withLock { state throws(WeirError) in
            if state.isClosed { throw Self.closed() }
            return state.streams[name]
        }
    }

    private func openUserStream(
        _ name: StreamName, creating configuration: StreamConfiguration?
    ) throws(WeirError) -> LogStream {
        if engine.stream(name) == nil, configuration != nil {
            try Self.expectUserName(name)
            try engine.expectNoFurtherPartition(name)
        }
        return try openStream(name, creating: configuration)
    }

    func openStream(
        _ name: StreamName, creating configuration: StreamConfiguration?
    ) throws(WeirError) -> LogStream {
        if engine.stream(name) == nil {
            if let failure = engine.failure(of: name) { throw failure.error }
            guard let configuration else { throw engine.noStream(name) }
            try configuration.validate()
            do throws(WeirError) {
                try engine.create(name, configuration.placed(in: nil))
                logger.debug("created stream \(name)")
            } catch {
                // Two callers may create it at once: the second finds the first one's.
                if error.code != .alreadyExists || engine.stream(name) == nil { throw error }
            }
        }
        // Beside no deletion: a stream that is going must not be appended to.
        return try engine.exclusively { () throws(WeirError) in try takeUp(name) }
    }

    /// Streams that somebody has taken up, in the order of their names.
    var openStreams: [LogStream] {
        state.withLock { Array($0.streams.values) }.sorted {
            $0.name.description < $1.name.description
        }
    }

    private var parts: StoreParts {
        knownParts.withLock { known in
            let parts =
                known
                ?? StoreParts(of: self) { [weak self] () throws(WeirError) in
                    guard let self else { throw Self.closed() }
                    return try self.openCursors()
                }
            known = parts
            return parts
        }
    }

    private func openCursors() throws(WeirError) -> Committer {
        let stream = try openStream(CursorLog.streamName, creating: CursorLog.configuration)
        guard let committer = stream.committer else { throw SystemEngine.readOnly() }
        return committer
    }

    /// Beside no deletion: within the engine's `exclusively`.
    func takeUp(_ name: StreamName) throws(WeirError) -> LogStream {
        guard let open = engine.stream(name) else { throw engine.noStream(name) }
        return try state.withLock { state throws(WeirError) in
            if state.isClosed { throw Self.closed() }
            if let stream = state.streams[name] { return stream }
            let stream = LogStream(open, of: parts)
            state.streams[name] = stream
            return stream
        }
    }

    /// Makes a stream. Throws `alreadyExists` if there is one of that name.
    public func createStreamBlocking(
        _ name: String, _ configuration: StreamConfiguration
    ) throws(WeirError) {
        let found = engine.stream(try StreamName(name))
        if found == nil { try engine.expectNoFurtherPartition(try StreamName(name)) }
        try configuration.validate()
        try createStream(name, configuration, from: .zero)
    }

    /// Whose records are counted from an offset on, with settings that a stream has had.
    func createStream(
        _ name: String, _ configuration: StreamConfiguration, from start: Offset
    ) throws(WeirError) {
        let name = try StreamName(name)
        try Self.expectUserName(name)
        try configuration.validate(segmentBytesMin: Limits.segmentBytesMin)
        try engine.create(name, configuration.placed(in: nil), from: start)
    }

    /// Removes a stream, all its records and its cursors, for ever. Throws `notFound`, and
    /// `invalidArgument` for one of Weir's own streams.
    public func deleteStream(_ name: String) async throws {
        let name = try StreamName(name)
        try await waiters.call { () throws(WeirError) in try self.delete(name) }
    }

    /// As `deleteStream`, and blocks the thread.
    public func deleteStreamBlocking(_ name: String) throws(WeirError) {
        try delete(try StreamName(name))
    }

    private func delete(_ name: StreamName) throws(WeirError) {
        guard !name.isSystem else {
            throw WeirError(
                .invalidArgument,
                "The stream \(name) is one of Weir's own and cannot be deleted; name a stream of "
                    + "your own.")
        }
        let id = engine.stream(name)?.id ?? engine.failure(of: name)?.id
        try engine.delete(name) {
            if let id { upkeep.bar(id) }
            state.withLock { $0.streams.removeValue(forKey: name) }?.drain(Self.deleted(name))
        }
        flow.recountQuota(engine)
        logger.debug("deleted stream \(name)")
        if let id { forgetCursors(of: id, called: name) }
    }

    /// After the stream: a crash in between leaves cursors that nobody can ask for.
    func forgetCursors(of id: StreamID, called name: StreamName) {
        do throws(WeirError) {
            guard try !cursors.all(of: id).isEmpty else { return }
            try cursors.prepare(parts.openCursors)
            try cursors.removeAll(of: id)
        } catch {
            logger.notice("cursors of the deleted stream \(name) are left behind: \(error)")
        }
    }

    /// Ends everything in good order: what was appended is written and synced, and the next opening
    /// needs no scan. Appends and reads after it throw `closed`. May be called more than once.
    public func close() async throws {
        try await waiters.call { () throws(WeirError) in try self.closeBlocking() }
    }

    /// As `close`, and blocks the thread.
    public func closeBlocking() throws(WeirError) {
        let (streams, groups) = state.withLock { state in
            state.isClosed = true
            defer {
                state.streams = [:]
                state.groups = [:]
            }
            return (Array(state.streams.values), Array(state.groups.values))
        }
        upkeep.end()
        for stream in streams { stream.drain() }
        for group in groups { group.finishGroups(Self.closed()) }
        // While everything is readable, and nothing more comes.
        index.end(finishing: true)
        // While the lock is still held: the next writer makes a socket of the same name.
        endControl()
        housekeeper.end()
        flow.end()
        try engine.close()
        pool.end()
        waiters.end()
    }

    private func endControl() {
        do throws(WeirError) {
            try control.withLock { $0 }?.end()
        } catch {
            // The next writer removes what is left of it.
            logger.notice("the control socket stays behind: \(error)")
        }
    }
}
