import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirRecovery

/// Makes a store of a snapshot, in a directory that nobody takes for a store before it is one.
///
///     lock ─▶ sweep a dead one's rest ─▶ segments, manifest, recovery ─▶ EPOCHS ─▶ WEIR
///
/// The store's file WEIR comes last, with an id of its own; whoever called renames the directory.
struct RestoreRun<Files: FileSystem> {
    private let backup: Files
    private let target: Files
    private let host: Host
    private let plan: RestorePlan
    private let progress: BackupRun<Files>.Progress
    private var outcome = RestoreReport()
    private var bytesDone = 0
    private var bytesTotal = 0
    private var hasLeftRecords = false
    private var hasRecords = false

    /// `publish` is called when all is there and synced, still under the lock.
    ///
    /// Throws `locked` while somebody else restores into the directory. After any other error there
    /// is nothing left in it.
    static func run(
        _ plan: RestorePlan, from backup: Files, into target: Files, host: Host,
        progress: @escaping BackupRun<Files>.Progress, publish: () throws(WeirError) -> Void
    ) throws(WeirError) -> RestoreReport {
        let lock = try StoreDirectory.takeLock(files: target, host: host, creating: true)
        var run = RestoreRun(
            backup: backup, target: target, host: host, plan: plan, progress: progress)
        do throws(WeirError) {
            try run.perform()
            try publish()
        } catch {
            _ = discard(target)
            try target.close(lock)
            throw error
        }
        try target.close(lock)
        return run.outcome
    }

    /// The room goes back. `false` where not even that goes; what is told is the first error.
    private static func discard(_ target: Files) -> Bool {
        do throws(WeirError) {
            try clear(target)
            try target.removeFile(StoreLayout.lock)
            return true
        } catch {
            return false
        }
    }

    private init(
        backup: Files, target: Files, host: Host, plan: RestorePlan,
        progress: @escaping BackupRun<Files>.Progress
    ) {
        self.backup = backup
        self.target = target
        self.host = host
        self.plan = plan
        self.progress = progress
    }

    private mutating func perform() throws(WeirError) {
        try Self.clear(target)
        try target.createDirectory(StoreLayout.streams)
        for stream in plan.streams {
            for stored in stream.files.values { bytesTotal += Int(clamping: stored.byteCount) }
        }
        for stream in plan.streams { try restore(stream) }
        guard hasRecords || !hasLeftRecords else {
            throw WeirError(
                .invalidArgument,
                "The snapshot has no record that was appended before that time; give a later one.")
        }
        try target.syncDirectory(StoreLayout.streams)
        try writeEpochs()
        _ = try StoreDirectory.readOrCreateHeader(files: target, host: host, creating: true)
        outcome.streamCount = plan.streams.count { !$0.manifest.name.isSystem }
    }

    /// The next writer's epoch is higher than any that a cursor of the snapshot can know.
    private func writeEpochs() throws(WeirError) {
        let (file, _) = try EpochFile.open(files: target)
        // Of no boot that anybody lives in: nothing is concluded from it.
        for kind in [EpochRecord.Kind.opened, .closedClean] {
            try file.append(
                EpochRecord(
                    kind: kind, epoch: plan.snapshot.epoch, bootID: .unknown, time: host.now()))
        }
        try file.close()
    }

    /// Removes all but the lock. WEIR first: what is half gone is no store.
    static func clear(_ files: Files) throws(WeirError) {
        let names = try files.list("")
        for name in [StoreLayout.header, StoreLayout.header + ".new", StoreLayout.epochs]
        where names.contains(name) {
            try files.removeFile(name)
        }
        guard names.contains(StoreLayout.streams) else { return }
        for name in try files.list(StoreLayout.streams) {
            try StoreDirectory.removeTree(StoreLayout.streams + "/" + name, files: files)
        }
        try files.removeDirectory(StoreLayout.streams)
    }

    // MARK: streams

    private mutating func restore(_ stream: SnapshotFile.Stream) throws(WeirError) {
        let manifest = stream.manifest
        let id = manifest.streamID
        try target.createDirectory(StoreLayout.stream(id))
        var restored = ManifestState(
            streamID: id, name: manifest.name, configuration: manifest.configuration)
        if manifest.logStart > .zero { try restored.apply(.logStart(manifest.logStart)) }
        let limit = plan.limit(of: stream)
        var isEndedByTime = false
        if case .appended = limit { isEndedByTime = true }
        var end = limit == nil ? stream.durableEnd : manifest.logStart
        for (entry, action) in plan.actions(for: stream) {
            guard let (kept, keptEnd) = try restore(entry, action, of: stream) else {
                if !manifest.name.isSystem, isEndedByTime { hasLeftRecords = true }
                continue
            }
            try restored.apply(.segmentAdded(kept))
            end = max(end, keptEnd)
            if !manifest.name.isSystem { hasRecords = true }
        }
        try restored.apply(.opened(plan.snapshot.epoch))
        try write(try restored.rewritten().bytes, StoreLayout.manifest(id))
        try target.syncDirectory(StoreLayout.stream(id))
        try seal(id, end: end)
    }

    private func write(_ bytes: [UInt8], _ path: String) throws(WeirError) {
        let file = try target.open(path, .createExclusive)
        try target.writeAll(file, bytes, at: .zero)
        try target.sync(file)
        try target.close(file)
    }

    /// As behind a crash: what is not sealed gets a footer, and the next offset is written down.
    private mutating func seal(_ id: StreamID, end: Offset) throws(WeirError) {
        let slot = TailSlot(
            streamID: id, flushedEnd: end, durableEnd: end, epoch: plan.snapshot.epoch,
            segment: SegmentID(0), writtenEnd: .zero)
        let outcome = try StreamRecovery.recover(
            id, files: target, tail: slot, isSameBoot: { _ in false }, isReadOnly: false)
        guard let stream = outcome?.stream else { return }
        self.outcome.damage += stream.reports.filter(\.isDamage)
        guard !stream.manifest.name.isSystem else { return }
        for entry in stream.manifest.segments {
            guard let sealed = entry.sealed else { continue }
            self.outcome.recordCount +=
                Int(clamping: sealed.recordCount) - (try trimmedCount(of: entry, in: stream))
        }
    }

    /// Records of a segment that a trim has let go of.
    private func trimmedCount(
        of entry: SegmentEntry, in stream: RecoveredStream
    ) throws(WeirError) -> Int {
        let (manifest, maps) = (stream.manifest, SegmentMaps())
        let readable = ReadableSegment(
            files: target, entry: entry,
            path: StoreLayout.segment(manifest.streamID, entry.id, base: entry.base),
            maps: maps, mapByteCount: max(1, Int(clamping: entry.sealed?.fileBytes ?? 1)),
            readableEnd: entry.sealed?.batchesEnd ?? .zero, summary: nil)
        let view = LogView(
            name: manifest.name, visibility: .flushed, maps: maps, segments: [readable],
            logStart: manifest.logStart, flushedEnd: stream.nextOffset,
            durableEnd: stream.durableEnd)
        do throws(WeirError) {
            return try LogSearch(view).trimmedCount(of: readable)
        } catch {
            // Its file is missing in the backup, or it is damaged, and that was told.
            if error.code == .notFound || error.code == .damaged { return 0 }
            throw error
        }
    }

    // MARK: segments

    /// The segment as it is in the new store, and where it ends; `nil` where nothing of it is.
    private mutating func restore(
        _ entry: SegmentEntry, _ action: RestorePlan.Action, of stream: SnapshotFile.Stream
    ) throws(WeirError) -> (SegmentEntry, Offset)? {
        let end = entry.sealed?.endOffset ?? entry.base
        guard action != .leave else { return nil }
        guard let stored = stream.files[entry.id] else { return (entry, end) }
        let name = stream.manifest.name
        let path = StoreLayout.segment(stream.manifest.streamID, entry.id, base: entry.base)
        let file: Files.File
        do throws(WeirError) {
            file = try backup.open(path, .read)
        } catch {
            guard error.code == .notFound else { throw error }
            report(.missingSegment, name, path, "a segment's file is missing in the backup")
            return (entry, end)
        }
        guard case .cut(let limit) = action else {
            try copyWhole(file, stored, name, path)
            try backup.close(file)
            return (entry, end)
        }
        let found = try SegmentEnd.find(
            limit, in: file, entry, byteCount: Int(clamping: stored.byteCount), path: path,
            files: backup)
        if found.hasRecords { try copyHead(file, found, path) }
        try backup.close(file)
        advance(Int(clamping: stored.byteCount))
        guard found.hasRecords else { return nil }
        var kept = entry
        kept.sealed = nil
        return (kept, found.endOffset)
    }

    /// The bytes that the snapshot has of it; whether they are those is told.
    private mutating func copyWhole(
        _ file: Files.File, _ stored: StoredSegment, _ stream: StreamName, _ path: String
    ) throws(WeirError) {
        let size = try backup.size(of: file)
        let byteCount = min(size, Int(clamping: stored.byteCount))
        let result = try copier(byteCount).copy(
            file, path, byteCount: byteCount, to: path, sharing: .blocks)
        advance(byteCount)
        outcome.bytesWritten += result.bytesWritten
        outcome.bytesShared += result.bytesShared
        if result.stored != stored {
            report(
                .damagedBatches, stream, path,
                "a segment's file in the backup is not the one that the snapshot names (\(size) "
                    + "bytes, \(stored.byteCount) expected); it is restored as it is")
        }
    }

    private mutating func copyHead(
        _ file: Files.File, _ end: SegmentEnd, _ path: String
    ) throws(WeirError) {
        let kept = Int(clamping: end.keptEnd.value)
        let result = try copier(kept).copy(
            file, path, byteCount: kept, to: path, sharing: .none)
        outcome.bytesWritten += result.bytesWritten + end.rewritten.count
        guard !end.rewritten.isEmpty else { return }
        let copy = try target.open(path, .readWrite)
        try target.writeAll(copy, end.rewritten, at: end.keptEnd)
        try target.sync(copy)
        try target.close(copy)
    }

    private func copier(_ byteCount: Int) -> SegmentCopy<Files> {
        var done = 0
        let (before, total, progress) = (bytesDone, bytesTotal, self.progress)
        return SegmentCopy(source: backup, target: target) { count in
            done += count
            return progress(before + min(done, byteCount), total)
        }
    }

    private mutating func advance(_ byteCount: Int) { bytesDone += byteCount }

    private mutating func report(
        _ kind: DamageReport.Kind, _ stream: StreamName, _ path: String, _ detail: String
    ) {
        outcome.damage.append(
            DamageReport(kind: kind, stream: stream.description, path: path, detail: detail))
    }
}
