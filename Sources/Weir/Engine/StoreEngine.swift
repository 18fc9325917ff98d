import WeirBase
package import WeirFiles
package import WeirFormat
package import WeirLog
import WeirRecovery

/// A store, open: its directory, its lock, its epoch, its streams. Synchronous; no threads.
///
/// Where the three paths meet: recovery hands over what it found, the log goes on from there. The
/// facade runs it on threads, the crash simulation drives it directly.
package final class StoreEngine<Files: FileSystem>: Sendable {
    /// A stream as the engine keeps it.
    package final class OpenStream: Sendable {
        package let id: StreamID
        package let name: StreamName
        package let configuration: StreamConfiguration
        package let view: LogView<Files>
        /// `nil` for a reader.
        package let writer: LogWriter<Files>?
        /// The end when the stream was opened, or made.
        let openedEnd: Offset

        init(
            id: StreamID, name: StreamName, configuration: StreamConfiguration,
            view: LogView<Files>, writer: LogWriter<Files>?
        ) {
            self.id = id
            self.name = name
            self.configuration = configuration
            self.view = view
            self.writer = writer
            self.openedEnd = view.flushedEnd
        }

        /// As they are now; of a reader, as they were when it looked last.
        package var settings: StreamConfiguration {
            writer?.manifest.state.configuration ?? view.followedSettings ?? configuration
        }
    }

    package let files: Files
    package let host: Host
    package let header: StoreHeader
    /// Of this opening. A reader's: the last epoch of writers that are dead, whose slots it does
    /// not believe, since it found the end itself.
    package let epoch: Epoch
    package let isReadOnly: Bool
    /// Readers: whether a writer held the lock when the store was opened.
    package let hasLiveWriter: Bool
    let tail: TailFile<Files>?
    let maps: SegmentMaps
    let reserve: DiskReserve<Files>
    /// Segments that are mapped now.
    package var mapCount: Int { maps.count }
    private let lockFile: Files.File?
    private let epochs: EpochFile<Files>?
    private let state: Lock<State>

    private struct State {
        var streams: [StreamName: OpenStream] = [:]
        var reports: [DamageReport] = []
        var failures: [StreamName: Failure] = [:]
        var isClosed = false
    }
    /// Creations come one after the other: two of one name would both find it free.
    let creation = Monitor(false)
    /// Readers: views are brought up to date one after the other.
    let refreshing = Monitor(false)

    private init(
        files: Files, host: Host, header: StoreHeader, epoch: Epoch, hasLiveWriter: Bool,
        tail: TailFile<Files>?, lockFile: Files.File?, epochs: EpochFile<Files>?,
        reports: [DamageReport], maps: SegmentMaps, reserve: DiskReserve<Files>
    ) {
        self.files = files
        self.host = host
        self.header = header
        self.epoch = epoch
        self.isReadOnly = lockFile == nil
        self.hasLiveWriter = hasLiveWriter
        self.tail = tail
        self.lockFile = lockFile
        self.epochs = epochs
        self.maps = maps
        self.reserve = reserve
        self.state = Lock(State(reports: reports))
    }

    /// A writer's opening of the store, as EPOCHS tells of it, and the one before.
    package var opening: EpochRecord? { epochs?.opening }
    package var previousOpening: EpochRecord? { epochs?.previousOpening }

    package var streams: [OpenStream] {
        state.withLock { Array($0.streams.values) }.sorted {
            $0.name.description < $1.name.description
        }
    }
    package func stream(_ name: StreamName) -> OpenStream? {
        state.withLock { $0.streams[name] }
    }
    /// In no order.
    func streams(where isWanted: (OpenStream) -> Bool) -> [OpenStream] {
        state.withLock { $0.streams.values.filter(isWanted) }
    }
    /// What opening found.
    package var reports: [DamageReport] { state.withLock { $0.reports } }

    // MARK: opening

    /// Opens a store for writing, recovering every stream that was not closed in good order.
    ///
    /// With `creating`, an empty or missing store is made first. Throws `notFound` or
    /// `invalidArgument` where there is no store, `locked`, `newerFormat`, `permissionDenied`.
    package static func open(
        files: Files, host: Host, creating: Bool, threads: Int = 1
    ) throws(WeirError) -> StoreEngine {
        let lockFile = try StoreDirectory.takeLock(files: files, host: host, creating: creating)
        do throws(WeirError) {
            let reserve = DiskReserve(files: files)
            return try reserve.lending(isFull: WeirError.isNoSpace) { () throws(WeirError) in
                try open(
                    files: files, host: host, lockFile: lockFile, creating: creating,
                    threads: threads, reserve: reserve)
            }
        } catch {
            // The kernel drops the lock with the file.
            try files.close(lockFile)
            throw error
        }
    }

    private static func open(
        files: Files, host: Host, lockFile: Files.File, creating: Bool, threads: Int,
        reserve: DiskReserve<Files>
    ) throws(WeirError) -> StoreEngine {
        let isNew = try !files.list("").contains(StoreLayout.header)
        let header = try StoreDirectory.readOrCreateHeader(
            files: files, host: host, creating: creating)
        try header.expectWritable()
        // A process that was killed may have made names that only the cache knows: what is built
        // on now must not vanish later.
        try files.syncDirectory("")
        try files.syncDirectory(StoreLayout.streams)
        let (epochFile, history) = try EpochFile.open(files: files)
        let isSameBoot = Self.bootCheck(history, host)
        let slots = try TailFile.read(files: files)
        var found = try recoverAll(
            files: files, slots: slots, isSameBoot: isSameBoot, isReadOnly: false,
            threads: threads)
        if isNew, !found.outcomes.isEmpty {
            found.reports.append(
                StoreDirectory.report(.missingStoreHeader, StoreLayout.header))
        }
        if history.isDamaged {
            found.reports.append(StoreDirectory.report(.damagedEpochs, StoreLayout.epochs))
        }
        // EPOCHS may be lost; then the segments still say which epochs there were.
        let epoch = Epoch(max(history.last, found.lastEpoch).value + 1)
        try epochFile.append(
            EpochRecord(kind: .opened, epoch: epoch, bootID: host.bootID, time: host.now()))
        let tail = try TailFile.rebuild(
            files: files, store: header.storeID, streamCount: found.outcomes.count)
        let engine = StoreEngine(
            files: files, host: host, header: header, epoch: epoch, hasLiveWriter: true,
            tail: tail, lockFile: lockFile, epochs: epochFile, reports: found.reports,
            maps: SegmentMaps(), reserve: reserve)
        for outcome in found.outcomes {
            let manifest = outcome.stream.manifest
            do throws(WeirError) {
                try engine.adopt(outcome)
            } catch {
                found.fail(manifest.name, manifest.streamID, error)
                engine.add(reports: found.reports.suffix(1))
            }
        }
        engine.note(found.failures)
        // What the slot of such a stream proves is needed when it is opened the next time.
        for failure in found.failures.values {
            guard let slot = slots[failure.id]?.slot else { continue }
            try tail.newPublisher()?.publish(slot)
        }
        return engine
    }

    /// Opens a store for reading: takes no lock, changes nothing.
    ///
    /// Beside a live writer it sees what that writer publishes; without one it finds the end of
    /// each stream itself. With a `header` the file WEIR is not read: for whoever looks at a store
    /// that has lost it. `isSameBoot` decides, as in recovery, what is called a torn tail.
    /// `holdsLock`: no writer lives, as the caller has the lock itself.
    package static func openReadOnly(
        files: Files, host: Host, maps: SegmentMaps = SegmentMaps(), threads: Int = 1,
        header known: StoreHeader? = nil, holdsLock: Bool = false,
        isSameBoot: @escaping @Sendable (Epoch?) -> Bool = { _ in true }
    ) throws(WeirError) -> StoreEngine {
        let header = if let known { known } else { try StoreDirectory.readHeader(files: files) }
        // The slots first: if nobody holds the lock behind that, they are of a dead writer.
        let tail = try TailFile.openForReading(files: files)
        let slots = tail.map { $0.slots } ?? [:]
        let isLive = if holdsLock { false } else { try LockKeeper.isHeld(files: files) }
        let dead = isLive ? Epoch(0) : slots.values.map(\.slot.epoch).max() ?? Epoch(0)
        let engine = StoreEngine(
            files: files, host: host, header: header, epoch: dead, hasLiveWriter: isLive,
            tail: tail, lockFile: nil, epochs: nil, reports: [], maps: maps,
            reserve: DiskReserve(files: files))
        try engine.adoptReadOnly(slots: slots, isSameBoot: isSameBoot, threads: threads)
        return engine
    }

    // MARK: streams

    var tenure: Tenure {
        Tenure(epoch: epoch) { [epochs] () throws(WeirError) in try epochs?.expectNoLater() }
    }

    /// `false` for a name that is taken: that directory is set aside, and reported.
    func insert(_ stream: OpenStream) -> Bool {
        state.withLock { state in
            guard state.streams[stream.name] == nil else {
                state.reports.append(
                    StoreDirectory.report(.copiedStream, StoreLayout.stream(stream.id)))
                return false
            }
            state.streams[stream.name] = stream
            return true
        }
    }

    func note(_ failures: [StreamName: Failure]) { state.withLock { $0.failures = failures } }

    func forgetFailure(of name: StreamName) { state.withLock { $0.failures[name] = nil } }

    /// Why a stream that is there could not be opened.
    func failure(of name: StreamName) -> Failure? { state.withLock { $0.failures[name] } }

    /// Those that are there and could not be opened.
    var unreadableStreams: [StreamID] { state.withLock { $0.failures.values.map(\.id) } }

    /// Out of sight, for whoever deletes it.
    func take(_ name: StreamName) -> OpenStream? {
        state.withLock { $0.streams.removeValue(forKey: name) }
    }

    func add(reports: some Sequence<DamageReport>) {
        state.withLock { $0.reports += Array(reports) }
    }

    /// Closes every stream in good order and lets go of the lock.
    ///
    /// The first error is thrown after everything was tried; a stream whose closing failed is
    /// recovered by the next opening.
    package func close() throws(WeirError) {
        let streams = state.withLock { state -> [OpenStream] in
            guard !state.isClosed else { return [] }
            state.isClosed = true
            defer { state.streams = [:] }
            return Array(state.streams.values)
        }
        var failure: WeirError?
        for stream in streams {
            do throws(WeirError) {
                try stream.writer?.close()
            } catch {
                failure = failure ?? error
            }
        }
        do throws(WeirError) {
            if let epochs {
                if failure == nil {
                    try epochs.expectNoLater()
                    try epochs.append(
                        EpochRecord(
                            kind: .closedClean, epoch: epoch, bootID: host.bootID,
                            time: host.now()))
                }
                try epochs.close()
            }
            try tail?.close()
            if let lockFile { try files.close(lockFile) }
        } catch {
            failure = failure ?? error
        }
        if let failure { throw failure }
    }
}
