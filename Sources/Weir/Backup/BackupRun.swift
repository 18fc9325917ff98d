import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// Makes one backup: reads the store as readers in other processes do, and writes what is missing.
///
///     cursors, then streams ─▶ BackupPlan ─▶ copy, extend, adopt ─▶ snapshot ─▶ keep ─▶ sweep
///                 ▲                               │ a file is gone: it was replaced
///                 └───────────────────────────────┘
///
/// Nothing that a snapshot names changes before the new snapshot is there.
struct BackupRun<Files: FileSystem> {
    /// Bytes done, and of how many.
    typealias Progress = (Int, Int) -> Bool

    private let source: Files
    private let host: Host
    private let directory: BackupDirectory<Files>
    private let options: BackupOptions
    private let progress: Progress
    private var plan: BackupPlan
    private var outcome = BackupReport()
    private var bytesDone = 0
    private var bytesTotal = 0
    /// Files that were looked for and not there; gone twice, they are missing.
    private var vanished: Set<SegmentID> = []
    /// Nobody writes: everything that is there is copied.
    private var isAtRest = false

    /// Throws what the source or the backup's directory said; then there is no new snapshot, and
    /// all others are as they were.
    static func run(
        source: Files, target: Files, host: Host, options: BackupOptions,
        progress: @escaping Progress
    ) throws(WeirError) -> BackupReport {
        let header = try StoreDirectory.readHeader(files: source)
        let (directory, lock) = try BackupDirectory.openForWriting(files: target, host: host)
        let result: Result<BackupReport, WeirError>
        do throws(WeirError) {
            result = .success(
                try run(source, header, directory, host, options, progress))
        } catch {
            result = .failure(error)
        }
        try target.close(lock)
        return try result.get()
    }

    private static func run(
        _ source: Files, _ header: StoreHeader, _ directory: BackupDirectory<Files>, _ host: Host,
        _ options: BackupOptions, _ progress: @escaping Progress
    ) throws(WeirError) -> BackupReport {
        let found = try directory.snapshots()
        let snapshots = found.compactMap(\.snapshot)
        if let other = snapshots.first(where: { $0.storeID != header.storeID }) {
            throw WeirError(
                .invalidArgument,
                "The directory has backups of another store (\(other.storeID), and this one is "
                    + "\(header.storeID)); give each store a directory of its own.")
        }
        var run = BackupRun(
            source: source, host: host, directory: directory, options: options,
            progress: progress,
            plan: BackupPlan(snapshots: snapshots, present: try directory.segmentSizes()))
        let streams = try run.copyStreams()
        // Later than every other, whatever the clock says.
        let last = snapshots.last?.time.microseconds ?? .min
        let time = Timestamp(microseconds: max(host.now().microseconds, last &+ 1))
        let snapshot = SnapshotFile(
            storeID: header.storeID, time: time,
            epoch: try run.epoch(of: streams), streams: streams)
        let new = BackupDirectory<Files>.Found(
            name: BackupLayout.snapshotName(time), contents: .success(snapshot))
        run.outcome.bytesWritten += try directory.write(snapshot, as: new.name)
        run.outcome.snapshot = BackupSnapshot(name: new.name, new.contents)
        try run.tidy(found, new)
        return run.outcome
    }

    private init(
        source: Files, host: Host, directory: BackupDirectory<Files>, options: BackupOptions,
        progress: @escaping Progress, plan: BackupPlan
    ) {
        self.source = source
        self.host = host
        self.directory = directory
        self.options = options
        self.progress = progress
        self.plan = plan
    }

    /// What a restored store must go beyond, so that no cursor takes its epochs for known ones.
    private func epoch(of streams: [SnapshotFile.Stream]) throws(WeirError) -> Epoch {
        var epoch = Epoch(0)
        for stream in streams { epoch = max(epoch, stream.manifest.lastOpening ?? Epoch(0)) }
        do throws(WeirError) {
            return max(epoch, try EpochFile.lastOpening(files: source)?.epoch ?? Epoch(0))
        } catch {
            if error.code == .notFound { return epoch }
            throw error
        }
    }

    /// Removes snapshots that are more than were asked for, and what nobody names any more.
    ///
    /// Where a snapshot or a stream could not be read, nothing goes: it may be the last one.
    private mutating func tidy(
        _ earlier: [BackupDirectory<Files>.Found], _ new: BackupDirectory<Files>.Found
    ) throws(WeirError) {
        guard earlier.allSatisfy({ $0.snapshot != nil }),
            !outcome.damage.contains(where: { $0.kind == .unreadableStream })
        else { return }
        let all = earlier + [new]
        let kept = all.suffix(options.keep ?? all.count)
        try directory.remove(snapshots: all.dropLast(kept.count).map(\.name))
        outcome.snapshotsRemoved = all.count - kept.count
        outcome.segmentsRemoved = try directory.sweep(keeping: kept.compactMap(\.snapshot))
    }

    // MARK: streams

    private mutating func copyStreams() throws(WeirError) -> [SnapshotFile.Stream] {
        var damage: [DamageReport] = []
        while true {
            let (engine, streams) = try readSource()
            isAtRest = !engine.hasLiveWriter
            let result: Result<[SnapshotFile.Stream]?, WeirError>
            do throws(WeirError) {
                result = .success(try copy(streams, of: engine))
            } catch {
                result = .failure(error)
            }
            try engine.close()
            guard let copied = try result.get() else { continue }
            // What was looked at again is told once.
            for report in engine.reports.filter(\.isDamage) + outcome.damage
            where !damage.contains(report) {
                damage.append(report)
            }
            outcome.damage = damage
            return copied
        }
    }

    /// Every stream at one moment each; the cursors first, so that none stands beyond a stream's
    /// end.
    private func readSource() throws(WeirError) -> (StoreEngine<Files>, [BackupSource<Files>]) {
        var tries = 0
        while true {
            let engine = try StoreEngine.openReadOnly(
                files: source, host: host, threads: Limits.openingThreadsMax)
            let streams = engine.streams
                .sorted { $0.name == CursorLog.streamName && $1.name != CursorLog.streamName }
            // A writer that is opening the store has not told all ends yet.
            let isOpening =
                engine.hasLiveWriter
                && streams.contains { engine.tail?.slot(of: $0.id) == nil }
            if !isOpening || tries == Limits.backupWaitsMax {
                return (engine, streams.map { BackupSource($0) })
            }
            try engine.close()
            tries += 1
            _ = Monitor(()).wait(milliseconds: 100) { _ -> Void? in nil }
        }
    }

    /// `nil` if a file is gone that was there when the manifest was read: read it again.
    private mutating func copy(
        _ streams: [BackupSource<Files>], of engine: StoreEngine<Files>
    ) throws(WeirError) -> [SnapshotFile.Stream]? {
        bytesTotal = bytesDone
        for stream in streams { bytesTotal += stream.byteCount }
        outcome.bytesKept = 0
        var copied: [SnapshotFile.Stream] = []
        for stream in streams {
            guard let one = try copy(stream) else { return nil }
            copied.append(one)
        }
        // Those that were there as well: a backup that was killed may have left their names so.
        try directory.files.syncDirectory(StoreLayout.streams)
        return copied
    }

    private mutating func copy(
        _ stream: BackupSource<Files>
    ) throws(WeirError) -> SnapshotFile.Stream? {
        var entries: [SegmentEntry] = []
        var files: [SegmentID: StoredSegment] = [:]
        let path = StoreLayout.stream(stream.id)
        do throws(WeirError) {
            try directory.files.createDirectory(path)
        } catch {
            if error.code != .alreadyExists { throw error }
        }
        for segment in stream.segments {
            switch try store(segment, of: stream) {
            case .stored(let stored):
                entries.append(segment.entry)
                files[segment.entry.id] = stored
            case .nothingDurable: continue
            case .vanished where vanished.contains(segment.entry.id):
                entries.append(segment.entry)
                outcome.damage.append(
                    DamageReport(
                        kind: .missingSegment, stream: stream.name.description,
                        path: segment.path, detail: "a segment's file is missing"))
            case .vanished:
                vanished.insert(segment.entry.id)
                return nil
            }
        }
        try directory.files.syncDirectory(path)
        return SnapshotFile.Stream(
            manifest: try stream.manifest(of: entries), durableEnd: stream.durableEnd,
            files: files)
    }

    // MARK: segments

    private enum Stored {
        case stored(StoredSegment)
        case nothingDurable
        case vanished
    }

    private mutating func store(
        _ segment: BackupSource<Files>.Segment, of stream: BackupSource<Files>
    ) throws(WeirError) -> Stored {
        let entry = segment.entry
        let action = plan.action(for: entry)
        if case .keep(let stored) = action {
            outcome.bytesKept += Int(clamping: stored.byteCount)
            bytesDone += Int(clamping: stored.byteCount)
            return .stored(stored)
        }
        let file: Files.File
        do throws(WeirError) {
            file = try source.open(segment.path, .read)
        } catch {
            if error.code == .notFound { return .vanished }
            throw error
        }
        // What only the cache knows could be gone tomorrow, and the copy would not continue it.
        if isAtRest, entry.sealed == nil { try source.sync(file) }
        let found = try SegmentInspection.inspect(
            file, entry, to: segment.limit, durableEnd: segment.durableEnd, of: stream.name,
            path: segment.path, files: source)
        guard let end = found.end else {
            try source.close(file)
            return .nothingDurable
        }
        let result = try write(
            segment, file, Int(clamping: end.value), action, isDamaged: !found.damage.isEmpty)
        try source.close(file)
        outcome.damage += found.damage
        outcome.bytesWritten += result.bytesWritten
        outcome.bytesShared += result.bytesShared
        outcome.bytesKept +=
            Int(clamping: result.stored.byteCount) - result.bytesWritten - result.bytesShared
        plan.note(entry, result.stored)
        plan.notePresent(entry.id, byteCount: Int(clamping: result.stored.byteCount))
        return .stored(result.stored)
    }

    private mutating func write(
        _ segment: BackupSource<Files>.Segment, _ file: Files.File, _ end: Int,
        _ action: BackupPlan.Action, isDamaged: Bool
    ) throws(WeirError) -> SegmentCopy<Files>.Result {
        var done = 0
        let (before, total, progress) = (bytesDone, bytesTotal, self.progress)
        let copy = SegmentCopy(source: source, target: directory.files) { count in
            done += count
            return progress(before + min(done, end), total)
        }
        defer { bytesDone += end }
        switch action {
        case .extend(let known), .renew(let known):
            let likeness = try copy.likeness(
                of: file, to: known, segment.entry.id, segment.path, byteCount: end)
            if case .mended = likeness, !isDamaged {
                outcome.segmentsRenewed.append(segment.path)
                break
            }
            if likeness != .same, !isDamaged { throw Self.wentBack(known, segment.path) }
            // Where it is damaged since, the copy keeps what it has.
            guard UInt64(end) > known.byteCount else { return .init(stored: known) }
            if case .extend = action {
                return try copy.extend(segment.path, having: known, from: file, to: end)
            }
            guard likeness == .same else { return .init(stored: known) }
        case .adopt:
            if let stored = try adopt(segment, end, file, copy) {
                return SegmentCopy.Result(stored: stored)
            }
        case .keep, .copy: break
        }
        let sharing: SegmentCopy<Files>.Sharing =
            segment.entry.sealed == nil ? .none : options.link ? .file : .blocks
        return try copy.copy(
            file, segment.path, byteCount: end, to: segment.path, sharing: sharing)
    }

    private static func wentBack(_ known: StoredSegment, _ path: String) -> WeirError {
        WeirError.damaged(
            "The segment has not the batches in the \(known.byteCount) bytes that the backup has "
                + "of it: the store went back behind its own past. Back it up to a new directory.",
            path: path)
    }

    /// A file that an interrupted backup left, if it is what a copy would be.
    private func adopt(
        _ segment: BackupSource<Files>.Segment, _ end: Int, _ file: Files.File,
        _ copy: SegmentCopy<Files>
    ) throws(WeirError) -> StoredSegment? {
        let there = try directory.files.open(segment.path, .read)
        guard try directory.files.size(of: there) == end else {
            try directory.files.close(there)
            return nil
        }
        let checksum = try copy.checksum(of: there, in: directory.files, byteCount: end)
        try directory.files.close(there)
        guard try copy.checksum(of: file, in: source, byteCount: end) == checksum else {
            return nil
        }
        return StoredSegment(byteCount: UInt64(end), checksum: checksum)
    }
}

/// A stream as it is backed up: what readers saw of it at one moment.
struct BackupSource<Files: FileSystem> {
    struct Segment: Sendable {
        let entry: SegmentEntry
        let path: String
        /// How far the file may be looked at.
        let limit: FilePosition
        /// Of the stream, as far as it reaches into this segment.
        let durableEnd: Offset
    }
    let id: StreamID
    let name: StreamName
    let configuration: StreamConfiguration
    let logStart: Offset
    let durableEnd: Offset
    let segments: [Segment]

    init(_ stream: StoreEngine<Files>.OpenStream) {
        id = stream.id
        name = stream.name
        configuration = stream.configuration
        logStart = stream.view.logStart
        let readable = stream.view.segments
        // A seal says what its records were; without a slot nothing else does.
        let sealedEnd = readable.compactMap { $0.sealed?.endOffset }.max() ?? .zero
        let end = max(stream.view.durableEnd, sealedEnd)
        durableEnd = end
        segments = readable.indices.map { index in
            let one = readable[index]
            let next = index + 1 < readable.count ? readable[index + 1].base : end
            let sealed = one.sealed
            let entry = SegmentEntry(
                id: one.id, base: one.base, epoch: one.epoch, generation: one.generation,
                sealed: sealed)
            return Segment(
                entry: entry, path: one.path,
                limit: sealed.map { FilePosition($0.fileBytes) } ?? one.readableEnd,
                durableEnd: min(end, next))
        }
    }

    var byteCount: Int { segments.reduce(0) { $0 + Int(clamping: $1.limit.value) } }

    /// A manifest that says what the backup has.
    func manifest(of entries: [SegmentEntry]) throws(WeirError) -> ManifestState {
        var state = ManifestState(streamID: id, name: name, configuration: configuration)
        if logStart > .zero { try state.apply(.logStart(logStart)) }
        for entry in entries { try state.apply(.segmentAdded(entry)) }
        // As behind a crash: whoever restores it seals what is not sealed.
        try state.apply(.opened(entries.map(\.epoch).max() ?? Epoch(0)))
        return state
    }
}
