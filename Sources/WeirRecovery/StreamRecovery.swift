package import WeirBase
package import WeirFiles
package import WeirFormat

/// Opens a stream after whatever happened to it: looks, decides, performs, hands over.
///
///     manifest + directory ─▶ closed in good order? ─▶ hand over the tail as it is
///                                       │ no
///                                       ▼
///     scan the unsealed segments ─▶ RecoveryPlan ─▶ quarantine, cut, seal, edit ─▶ hand over
///
/// Idempotent: every step can be repeated after a crash in it, and comes to the same end. A reader
/// without a live writer does the first half only, and changes nothing.
package struct StreamRecovery<Files: FileSystem> {
    let files: Files
    let directory: StreamDirectory
    let evidence: RecoveryPlan.Evidence
    let isReadOnly: Bool
    var reports: [DamageReport] = []
    private(set) var state: ManifestState
    /// Open for edits while the stream is recovered; `nil` for a reader.
    private var manifestFile: Files.File?
    /// Files of segments that never came to be.
    var unborn: [SegmentID] = []
    /// Segments that the last writer began and had not made known when it died.
    var newborn: [Newborn] = []

    /// Everything that opening a stream needs and finds.
    package struct Outcome {
        package var stream: RecoveredStream
        /// For the writer's edits; `nil` for a reader.
        package var manifest: ManifestState?
        /// Readers only: where the batches of an unsealed segment end.
        package var readableEnd: [SegmentID: FilePosition]
    }

    /// Recovers one stream. `nil` if the directory holds none.
    ///
    /// `isSameBoot` tells whether the kernel is still the one under which an epoch began; of `nil`,
    /// the last one. Throws `newerFormat`, and what the medium said; damage is a report.
    package static func recover(
        _ id: StreamID, files: Files, tail: TailSlot?, isSameBoot: (Epoch?) -> Bool,
        isReadOnly: Bool
    ) throws(WeirError) -> Outcome? {
        // What is believed must stay: names that only the cache knows are synced first.
        if !isReadOnly { try files.syncDirectory(StoreLayout.stream(id)) }
        let directory = try StreamDirectory.list(id, files: files)
        guard
            let loaded = try ManifestLoader.load(
                directory, files: files, settling: !isReadOnly)
        else { return nil }
        // The slot is evidence only for a segment that the stream has: anything else is stale.
        let durable = tail.map { $0.streamID == id ? $0.durableEnd : .zero } ?? .zero
        var recovery = StreamRecovery(
            files: files, directory: directory,
            evidence: .init(
                durableEnd: durable, isSameBoot: isSameBoot(loaded.state.lastOpening)),
            isReadOnly: isReadOnly, state: loaded.state)
        recovery.reports = loaded.reports
        return try recovery.run(loaded)
    }

    init(
        files: Files, directory: StreamDirectory, evidence: RecoveryPlan.Evidence,
        isReadOnly: Bool, state: ManifestState
    ) {
        self.files = files
        self.directory = directory
        self.evidence = evidence
        self.isReadOnly = isReadOnly
        self.state = state
    }

    private mutating func run(_ loaded: ManifestLoader.Loaded) throws(WeirError) -> Outcome {
        try reportStrangers()
        reportMissing()
        var manifest: ManifestState?
        if !isReadOnly {
            manifestFile = try openManifest(loaded)
            manifest = state
        }
        if case .clean(let close) = state.closing, let tail = try cleanTail(close) {
            try sweep(&manifest)
            try closeManifest()
            return Outcome(
                stream: RecoveredStream(
                    manifest: state,
                    nextOffset: max(close.end, evidence.durableEnd, state.logStart),
                    durableEnd: max(close.durableEnd, evidence.durableEnd, state.logStart),
                    lastAppendTime: close.lastAppendTime, tail: tail.tail, reports: reports),
                manifest: manifest, readableEnd: tail.tail.map { [$0.id: $0.position] } ?? [:])
        }
        var outcome = Outcome(
            stream: RecoveredStream(
                manifest: state, nextOffset: max(evidence.durableEnd, state.logStart),
                durableEnd: max(evidence.durableEnd, state.logStart),
                lastAppendTime: .distantPast, tail: nil, reports: []),
            manifest: manifest, readableEnd: [:])
        noteSealed(&outcome)
        for entry in state.segments where entry.sealed == nil {
            try recover(entry, isCutOff: false, &outcome)
        }
        for new in newborn.sorted(by: { $0.entry.base < $1.entry.base }) {
            let follows = outcome.stream.nextOffset >= new.entry.base || isProven(new)
            try recover(new.entry, isCutOff: !follows, &outcome)
        }
        try keepFloor(&outcome)
        try sweep(&outcome.manifest)
        try closeManifest()
        outcome.stream.manifest = outcome.manifest ?? state
        outcome.stream.reports = reports
        return outcome
    }

    /// Sealed segments are durable to their ends: evidence, whatever became of their files.
    private func noteSealed(_ outcome: inout Outcome) {
        if case .clean(let close) = state.closing {
            outcome.stream.nextOffset = max(outcome.stream.nextOffset, close.end)
            outcome.stream.durableEnd = max(outcome.stream.durableEnd, close.durableEnd)
            outcome.stream.lastAppendTime = close.lastAppendTime
        }
        for entry in state.segments {
            let end = entry.sealed?.endOffset ?? entry.base
            outcome.stream.nextOffset = max(outcome.stream.nextOffset, end)
            outcome.stream.durableEnd = max(outcome.stream.durableEnd, end)
            let time = entry.sealed?.lastAppendTime ?? .distantPast
            outcome.stream.lastAppendTime = max(outcome.stream.lastAppendTime, time)
        }
    }

    /// Where evidence names offsets that no segment has, the next one is written down.
    ///
    /// The evidence, such as the tail slot, may be gone at the next opening, and no offset is given
    /// twice.
    private mutating func keepFloor(_ outcome: inout Outcome) throws(WeirError) {
        let proven = state.segments.map { $0.sealed?.endOffset ?? $0.base }.max() ?? .zero
        guard outcome.manifest != nil, outcome.stream.nextOffset > proven else { return }
        let stream = outcome.stream
        try commit(
            [
                .closed(
                    CleanClose(
                        epoch: state.lastOpening ?? Epoch(0), segment: nil, position: .zero,
                        end: stream.nextOffset, durableEnd: stream.durableEnd,
                        lastAppendTime: stream.lastAppendTime))
            ], &outcome)
    }

    /// What a clean close left, if the file still is as it was: then nothing is scanned.
    private func cleanTail(_ close: CleanClose) throws(WeirError) -> (tail: SegmentTail?, Void)? {
        guard evidence.durableEnd <= close.end,
            state.segments.dropLast().allSatisfy({ $0.sealed != nil })
        else { return nil }
        guard let id = close.segment else { return (nil, ()) }
        guard let entry = state.segments.last, entry.id == id else { return nil }
        if entry.sealed != nil { return (nil, ()) }
        guard let found = directory.segments[id] else { return nil }
        let file = try files.open(directory.path(found.name), .read)
        let size = try files.size(of: file)
        try files.close(file)
        guard size == Int(clamping: close.position.value) else { return nil }
        var summary = SegmentSummary(base: entry.base)
        summary.endOffset = close.end
        // The statistics are made by a walk when the first append, or a search, needs them.
        summary.batchCount = close.end > entry.base ? 1 : 0
        return (
            SegmentTail(id: id, base: entry.base, position: close.position, summary: summary), ()
        )
    }

    // MARK: an unsealed segment

    private mutating func recover(
        _ entry: SegmentEntry, isCutOff: Bool, _ outcome: inout Outcome
    ) throws(WeirError) {
        guard let found = directory.segments[entry.id] else {
            // Reported already. What it held is lost, but its offsets are not given again.
            return
        }
        let path = directory.path(found.name)
        let file = try files.open(path, isReadOnly ? .read : .readWrite)
        if !isReadOnly {
            try files.settle(file)
        }
        let scan = try ScannedSegment.scan(
            file, id: entry.id, base: entry.base, path: path, files: files)
        if !isReadOnly { try SegmentHeader.expectWritable(scan.roCompat, path: path) }
        var known = evidence(behind: entry)
        known.isCutOff = isCutOff
        let plan = RecoveryPlan(scan, known)
        report(plan, scan, path)
        outcome.readableEnd[entry.id] = plan.keptEnd
        outcome.stream.nextOffset = max(outcome.stream.nextOffset, plan.nextOffset)
        outcome.stream.durableEnd = max(outcome.stream.durableEnd, plan.durableEnd)
        outcome.stream.lastAppendTime = max(
            outcome.stream.lastAppendTime, plan.lastAppendTime)
        if isReadOnly {
            if isNewborn(entry.id), plan.summary.batchCount > 0 {
                try state.apply(.segmentAdded(entry))
            }
        } else {
            try perform(plan, scan, entry, file, path, &outcome)
        }
        try files.close(file)
    }

    /// Whether everything before a new segment was durable, or handed to this very kernel.
    private func isProven(_ new: Newborn) -> Bool {
        let base = new.entry.base
        return evidence.durableEnd >= base
            || newborn.contains { later in
                later.entry.base >= base
                    && (later.durableEnd >= base || evidence.isSameBoot && later.holdsBatches)
            }
    }

    /// What is known besides the segment itself: all that stands behind it.
    private func evidence(behind entry: SegmentEntry) -> RecoveryPlan.Evidence {
        var known = evidence
        let later = state.segments.map(\.base) + newborn.map(\.entry.base)
        known.nextBase = later.filter { $0 > entry.base }.min()
        // A later segment was made known at its base, so everything below was durable by then.
        if let later = state.segments.last(where: { $0.base > entry.base }) {
            known.durableEnd = max(known.durableEnd, later.base)
        }
        for later in newborn where later.entry.base > entry.base {
            known.durableEnd = max(known.durableEnd, later.durableEnd)
            // What was handed to this kernel cannot have vanished, and these came after it.
            if known.isSameBoot, later.holdsBatches {
                known.durableEnd = max(known.durableEnd, later.entry.base)
            }
        }
        return known
    }

    private mutating func perform(
        _ plan: RecoveryPlan, _ scan: ScannedSegment, _ entry: SegmentEntry, _ file: Files.File,
        _ path: String, _ outcome: inout Outcome
    ) throws(WeirError) {
        let quarantine = Quarantine(files: files, stream: directory.id)
        for bad in plan.corrupt {
            try quarantine.keep(bad.range, of: file, segment: entry.id, why: "corrupt")
        }
        if let torn = plan.torn {
            try quarantine.keep(torn, of: file, segment: entry.id, why: "torn tail")
        }
        guard plan.summary.batchCount > 0 || !plan.corrupt.isEmpty || plan.lostOffsets != nil else {
            // Nothing was ever acknowledged in it: as if it had not been made.
            try commit([.retired([entry.id])], &outcome)
            return
        }
        let position = FilePosition(UInt64(roundedUp(Int(clamping: plan.keptEnd.value), to: 8)))
        var footer = SegmentFooter(
            segmentID: entry.id, summary: plan.summary, logStart: state.logStart,
            configuration: state.configuration)
        let told = try producers(of: scan, keptTo: plan.keptEnd, file, path)
        footer.producers = told.doubt == nil ? told.table.rows : nil
        let (bytes, checksum) = footer.encode(at: position)
        if isNewborn(entry.id), scan.header == nil {
            try files.writeAll(file, header(of: entry, plan.summary).encode(), at: .zero)
        }
        try files.truncate(file, to: Int(clamping: plan.keptEnd.value))
        try files.writeAll(file, bytes, at: position)
        try files.sync(file)
        let sealed = SealedSegment(
            summary: plan.summary, batchesEnd: position,
            fileBytes: position.value + UInt64(bytes.count), footerChecksum: checksum)
        var known = entry
        known.sealed = sealed
        let isNew = isNewborn(entry.id)
        try commit([isNew ? .segmentAdded(known) : .segmentSealed(entry.id, sealed)], &outcome)
        // All that was kept has just been synced.
        outcome.stream.durableEnd = max(outcome.stream.durableEnd, sealed.endOffset)
    }

    func isNewborn(_ id: SegmentID) -> Bool { newborn.contains { $0.entry.id == id } }

    private func header(of entry: SegmentEntry, _ summary: SegmentSummary) -> SegmentHeader {
        SegmentHeader(
            segmentID: entry.id, streamID: directory.id, epoch: entry.epoch, base: entry.base,
            creationTime: summary.firstAppendTime, logStart: state.logStart, name: state.name,
            configuration: state.configuration)
    }

    private mutating func commit(
        _ edits: [ManifestEdit], _ outcome: inout Outcome
    ) throws(WeirError) {
        guard let file = manifestFile, let before = outcome.manifest else { return }
        var next = before
        let bytes = try next.encode(edits)
        try files.writeAll(file, bytes, at: FilePosition(UInt64(before.byteCount)))
        try files.sync(file)
        outcome.manifest = next
        state = next
    }
}

extension StreamRecovery {
    // MARK: the manifest

    /// Opens the manifest for edits: cuts a torn one, writes a lost or overgrown one anew.
    private mutating func openManifest(
        _ loaded: ManifestLoader.Loaded
    ) throws(WeirError) -> Files.File {
        let path = StoreLayout.manifest(directory.id)
        if loaded.isRebuilt || state.isOvergrown(beyond: Limits.manifestRewriteBytesAtOpening) {
            // The directory was synced before it was listed: a file that is not there stays away.
            state.forgetRetired(except: Set(directory.segments.keys))
            let rewritten = try state.rewritten()
            state = rewritten.state
            return try files.replace(
                path, with: rewritten.bytes, beside: StoreLayout.newManifest(directory.id),
                in: StoreLayout.stream(directory.id))
        }
        let file = try files.open(path, .readWrite)
        if loaded.isTorn { try files.truncate(file, to: state.byteCount) }
        if loaded.isTorn { try files.sync(file) }
        return file
    }

    private mutating func closeManifest() throws(WeirError) {
        guard let file = manifestFile else { return }
        manifestFile = nil
        try files.close(file)
    }

    /// Removes what the manifest has let go: retired segments, the rest of a rewrite, and files
    /// of segments whose making was interrupted before the manifest knew them.
    private mutating func sweep(
        _ manifest: inout ManifestState?
    ) throws(WeirError) {
        guard let file = manifestFile, let before = manifest else { return }
        var current = before
        if !unborn.isEmpty {
            // Retired first, removed second: only what the manifest has let go is ever removed.
            let bytes = try current.encode([.retired(unborn)])
            try files.writeAll(file, bytes, at: FilePosition(UInt64(before.byteCount)))
            try files.sync(file)
            manifest = current
            state = current
        }
        var removed = false
        for (id, found) in directory.segments where current.retired.contains(id) {
            try files.removeFile(directory.path(found.name))
            removed = true
        }
        if directory.hasNextSegment {
            try files.removeFile(StoreLayout.nextSegment(directory.id))
            removed = true
        }
        if directory.hasCompacting {
            try files.removeFile(StoreLayout.compacting(directory.id))
            removed = true
        }
        if directory.hasNewManifest {
            do throws(WeirError) {
                try files.removeFile(StoreLayout.newManifest(directory.id))
                removed = true
            } catch {
                // Renamed a moment ago.
                if error.code != .notFound { throw error }
            }
        }
        if removed { try files.syncDirectory(StoreLayout.stream(directory.id)) }
    }
}
