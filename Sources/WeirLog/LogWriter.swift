import Synchronization
package import WeirBase
package import WeirFiles
package import WeirFormat

/// The one writer of a stream: gives batches their place, writes them, and makes them durable.
///
///     append ─▶ seal (offsets, checksums) ─▶ pwrite ─▶ flushed
///     sync   ─▶ settle rolls ─▶ fdatasync ─▶ durable ─▶ only now may anybody be told so
///     work   ─▶ rolls, and the next file made ahead: away from the appends, on any thread
///
/// Synchronous, and touched by one thread at a time, the leader of the stream's `CommitQueue`. What
/// a crash leaves at any point is a prefix of the batches, perhaps a torn one, which recovery cuts.
/// A failed write leaves this value as it was: no offset is given away. A failed sync poisons it:
/// after one, the kernel's pages are clean and may be wrong, so nothing is ever synced again.
package final class LogWriter<Files: FileSystem>: @unchecked Sendable {
    // @unchecked: one leader at a time; readers see only `view`, which has its own guards.
    package let view: LogView<Files>
    let tenure: Tenure
    package let files: Files
    let host: Host
    /// The leader's; others look into the manifest.
    package private(set) var configuration: StreamConfiguration
    /// How often they were changed; readers elsewhere then look into the manifest.
    private var settingsCount: UInt32 = 0
    package let streamID: StreamID
    package let manifest: ManifestFile<Files>
    let rolls: RollQueue<Files>
    let nextFile: NextFile<Files>
    let writeBack: WriteBack<Files>
    let tail: TailPublisher?
    package let producers = ProducerBook()

    /// The segment that batches go to.
    struct Active {
        let file: Files.File
        let readable: ReadableSegment<Files>
        /// Where the next batch goes.
        var position: FilePosition
        var isEmpty: Bool
        /// Up to here its bytes are on their way to the medium, if nobody syncs them.
        var writeBackEnd = FilePosition.zero
        /// Up to here there is room: zeros that were written, or blocks that were set aside.
        var allocatedEnd: FilePosition
        /// Below this the disk refused to give room, and is not asked again.
        var refusedEnd = FilePosition.zero
        var growthStep = Limits.growthStepMin
        var syncCount = 0
        var isDirty = false
        var hasAskedForNext = false
        /// It holds batches whose callers wait for a sync.
        var owesSync = false
        /// An earlier writer began it.
        var isResumed = false
    }
    var active: Active?
    /// The segment while its file is not open, see `LogWriter+Rest.swift`.
    var asleep: Asleep?
    package internal(set) var nextOffset: Offset
    package internal(set) var durableEnd: Offset
    /// The highest `durableEnd` that stands in a batch header: evidence that survives.
    var witnessedDurableEnd: Offset
    /// Read by upkeep, too.
    private let lastAppendMicroseconds: Atomic<Int64>
    var hasOpened = false
    @Rare package internal(set) var poison: WeirError? = nil
    private var checkedUntil: ClosedRange<Timestamp>?
    var scratch = ScratchMemory()

    package init(
        files: Files, host: Host, tenure: Tenure, manifest: ManifestFile<Files>,
        recovered: RecoveredStream, view: LogView<Files>, tail: TailPublisher?
    ) {
        self.files = files
        self.host = host
        self.tenure = tenure
        self.configuration = manifest.state.configuration
        self.streamID = manifest.state.streamID
        self.manifest = manifest
        self.rolls = RollQueue(
            files: files, manifest: manifest, tenure: tenure, view: view)
        self.nextFile = NextFile(files: files, streamID: streamID)
        self.writeBack = WriteBack(files: files)
        self.view = view
        self.tail = tail
        self.nextOffset = recovered.nextOffset
        self.durableEnd = recovered.durableEnd
        self.witnessedDurableEnd = recovered.durableEnd
        self.lastAppendMicroseconds = Atomic(recovered.lastAppendTime.microseconds)
        view.note(keyedEnd: recovered.nextOffset)
    }

    package var epoch: Epoch { tenure.epoch }

    package internal(set) var lastAppendTime: Timestamp {
        get { Timestamp(microseconds: lastAppendMicroseconds.load(ordering: .relaxed)) }
        set { lastAppendMicroseconds.store(newValue.microseconds, ordering: .relaxed) }
    }

    /// Asked before each write: after a pause, whether another process has become the writer.
    func checkTenure() throws(WeirError) {
        let now = host.now()
        // A clock that went back tells nothing about the pause.
        if let checkedUntil, checkedUntil.contains(now) { return }
        do throws(WeirError) {
            try tenure.check()
        } catch {
            if error.code == .locked { poison = error }
            throw error
        }
        checkedUntil = now...Timestamp(microseconds: now.microseconds + Tenure.pauseMicroseconds)
    }

    /// Writes the edits of upkeep, on any thread. Throws `locked`: a process that stood still must
    /// not take away or swap what another has recovered.
    /// `notWritten` is called first where they are not there, and nor will they be behind a crash.
    package func commitBeside(
        _ edits: [ManifestEdit], notWritten: () -> Void = {}
    ) throws(WeirError) {
        do throws(WriteFailure) {
            try WriteFailure.syncing(tenure.check)
            try manifest.append(edits)
        } catch {
            if case .write(let error) = error, error.leavesNoEdit { notWritten() }
            throw error.cause
        }
    }

    /// A sealed segment that upkeep made, for its readers.
    package func readable(_ entry: SegmentEntry) -> ReadableSegment<Files> {
        ReadableSegment(
            files: files, entry: entry,
            path: StoreLayout.segment(streamID, entry.id, base: entry.base), maps: view.maps,
            mapByteCount: Int(clamping: entry.sealed?.fileBytes ?? 1),
            readableEnd: entry.sealed?.batchesEnd ?? .zero, summary: nil)
    }

    /// Writes a batch and returns its first offset. It is flushed, not durable.
    ///
    /// With `needsSync`, a change of segment is made durable before the batch is written, so that
    /// a disk without room for it fails the batch whole. Throws `unexpectedOffset` where
    /// `expecting` is another offset, `poisoned`, `noSpace`, or what the system said; then the log
    /// is as it was before. `marks` says which named producers' appends the batch holds, and
    /// `adoption` what is kept of a batch of another log; throws `appendTimePassed` then.
    package func append(
        _ builder: inout BatchBuilder, expecting: Offset? = nil, marks: [ProducerMark] = [],
        adoption: BatchAdoption? = nil, needsSync: Bool
    ) throws(WeirError) -> Offset {
        guard view.name.isSystem else {
            try manifest.reserve.expectMade(view.name)
            return try appendOnce(&builder, expecting, marks, adoption, needsSync)
        }
        return try manifest.reserve.lending(isFull: WeirError.isNoSpace) { () throws(WeirError) in
            try appendOnce(&builder, expecting, marks, adoption, needsSync)
        }
    }

    private func appendOnce(
        _ builder: inout BatchBuilder, _ expecting: Offset?, _ marks: [ProducerMark],
        _ adoption: BatchAdoption?, _ needsSync: Bool
    ) throws(WeirError) -> Offset {
        if let poison { throw poison }
        if let expecting, expecting != nextOffset {
            throw WeirError(
                .unexpectedOffset,
                "The append expects offset \(expecting), and the next one is \(nextOffset); "
                    + "read what was appended in between, and decide again.",
                at: .init(stream: view.name.description, offset: nextOffset))
        }
        let hole = adoption?.hole(at: nextOffset) ?? 0
        let first = nextOffset + hole
        let appendTime = try adoption.flatMap { adoption throws(WeirError) in
            try keptTime(of: adoption)
        }
        var rows = marks.map {
            ProducerRow(name: $0.name, lastPublishingID: $0.lastID, offset: first + $0.index)
        }
        if let adoption, adoption.keepsOffsets, first == adoption.first {
            rows += adoption.producers
        }
        let sections =
            adoption?.encodeSections(hole: hole, producers: rows)
            ?? (rows.isEmpty ? [] : BatchExtension.encode(producers: rows))
        let byteCountMax =
            BatchHeader.byteCount + sections.count + SubBatchHead.byteCount
            + LZ4Frame.bound(builder.bodyByteCount) + 8
        try prepare(byteCount: byteCountMax, needsSync: needsSync)
        let compression = configuration.compression
        try write(at: appendTime ?? max(lastAppendTime, host.now())) { seal, scratch in
            var seal = seal
            seal.offsetSpan = adoption.map { $0.offsetSpan + hole }
            return builder.seal(
                seal, compression: compression, extension: sections, packed: adoption?.packed,
                scratch: &scratch)
        }
        if !rows.isEmpty { producers.note(rows) }
        if needsSync { active?.owesSync = true }
        return first
    }

    /// Writes an empty batch that says how far the log is durable. Costs one write and one sync.
    ///
    /// Done when a stream goes idle and at a clean close: without it, only the tail slot would
    /// know that the last batches had been acknowledged.
    package func mark() throws(WeirError) {
        if let poison { throw poison }
        if try writeMarker() { try sync() }
    }

    /// Whether one was due: a segment at rest has nothing to add to.
    func writeMarker() throws(WeirError) -> Bool {
        guard active != nil, durableEnd > witnessedDurableEnd else { return false }
        try checkTenure()
        try write(at: emptyTime) { seal, scratch in
            BatchBuilder.sealEmpty(.marker, seal, scratch: &scratch)
        }
        return true
    }

    /// Of batches without records. Not the present: batches of another log may follow, whose own
    /// times are to be kept.
    var emptyTime: Timestamp {
        lastAppendTime > .distantPast ? lastAppendTime : host.now()
    }

    /// When a batch of another log was appended there, if append times stay in order with it.
    private func keptTime(of adoption: BatchAdoption) throws(WeirError) -> Timestamp? {
        let time = adoption.appendTime
        if lastAppendTime <= time, time <= max(lastAppendTime, host.now()) { return time }
        guard adoption.needsTime else { return nil }
        throw WeirError(
            .appendTimePassed,
            "The batch was appended at \(time), which cannot be its append time here: the log has "
                + "come to \(lastAppendTime) already, or that lies ahead.")
    }

    /// Seals a batch at the current place, writes it and moves on.
    private func write(
        at appendTime: Timestamp, _ makeBatch: (BatchSeal, inout ScratchMemory) -> SealedBatch
    ) throws(WeirError) {
        guard var current = active else { return }
        let seal = BatchSeal(
            place: BatchPlace(segment: current.readable.id, position: current.position),
            firstOffset: nextOffset, epoch: epoch, durableEnd: durableEnd,
            appendTime: appendTime)
        let batch = makeBatch(seal, &scratch)
        let byteCount = unsafe batch.bytes.count
        grow(&current, by: byteCount)
        active = current
        do throws(WeirError) {
            unsafe try files.writeAll(current.file, batch.bytes, at: current.position)
        } catch {
            giveRoomBack(&current)
            active = current
            throw error
        }
        current.isEmpty = current.isEmpty && batch.header.kind != .records
        let position = current.position
        current.position = current.position + byteCount
        current.allocatedEnd = max(current.allocatedEnd, current.position)
        current.isDirty = true
        askForNext(&current)
        askForWriteBack(&current)
        active = current
        lastAppendTime = seal.appendTime
        nextOffset = batch.header.endOffset
        witnessedDurableEnd = durableEnd
        // Readable first: a walk that makes a summary then has every batch that was noted.
        current.readable.advance(readableEnd: current.position)
        current.readable.note(batch.header, at: position)
        if batch.header.keyedCount > 0 { view.note(keyedEnd: nextOffset) }
        publish()
    }

    /// Records other settings, and goes by them from the next batch on. Costs one synced edit, the
    /// sync of what was appended before unless the stream is `.flushed` and stays it, and a change
    /// of segment where segments become smaller.
    ///
    /// Throws `invalidArgument` for a setting that stays as it was chosen; then, and after any
    /// error but a failed sync, all is as before.
    package func configure(_ new: StreamConfiguration) throws(WeirError) {
        if let poison { throw poison }
        let old = configuration
        try old.expectChangeable(to: new)
        guard new != old else { return }
        try checkTenure()
        // Readers elsewhere map segments by what the manifest says: none may be larger by then.
        let isBegun = place != nil
        if new.segmentBytes < old.segmentBytes, isBegun { try sealActive() }
        let showsLess =
            new.effectiveVisibility == .durable && old.effectiveVisibility == .flushed
        // Nobody else would sync what was appended before, and readers have seen it. All that may
        // fail comes before the edit.
        if new.durability != .flushed || showsLess { try sync() }
        try settle()
        try commit([.configured(new)])
        configuration = new
        settingsCount &+= 1
        view.show(new.effectiveVisibility)
        publish()
    }

    /// Makes everything that was appended durable. Costs one sync, or nothing if nothing is new.
    ///
    /// Throws `poisoned` or the cause of the poisoning; the records stay readable as flushed ones,
    /// and may be lost at a power failure.
    package func sync() throws(WeirError) {
        if let poison { throw poison }
        guard active?.isDirty ?? false || durableEnd < nextOffset else { return }
        // A group that crosses a roll: the old file first, and then what makes the new one known.
        let before = durableEnd
        try settle()
        guard var current = active, current.isDirty else {
            if durableEnd > before { publish() }
            return
        }
        do throws(WeirError) {
            try files.sync(current.file)
        } catch {
            throw poisoned(by: error)
        }
        current.isDirty = false
        current.owesSync = false
        current.syncCount += 1
        active = current
        durableEnd = nextOffset
        publish()
    }

    /// Remembers why nothing more may be written, and gives the error to throw.
    func poisoned(by error: WeirError) -> WeirError {
        // Another process has become the writer: that says it all.
        if error.code == .locked {
            poison = error
            return error
        }
        let poison = WeirError(
            .poisoned,
            "A sync of stream \(view.name) failed, so what was not acknowledged may be lost and "
                + "nothing more is taken; close the store and open it again to check what is there",
            at: error.place, cause: error.cause ?? error.message, errno: error.errno)
        self.poison = poison
        return poison
    }

    /// Tells readers, here and in other processes, how far the log goes.
    func publish() {
        view.advance(flushedEnd: nextOffset, durableEnd: durableEnd)
        tail?.publish(
            TailSlot(
                streamID: streamID, flushedEnd: nextOffset, durableEnd: durableEnd,
                epoch: epoch, segment: place?.segment ?? SegmentID(0),
                writtenEnd: place?.position ?? .zero, settingsCount: settingsCount))
    }
}

extension WeirError.Code {
    /// The batch's records would need times of their own here; nothing was appended.
    package static let appendTimePassed = WeirError.Code("appendTimePassed")
}

extension WeirError {
    /// Whether an edit of the manifest that ended so is not there, nor will be behind a crash: the
    /// disk had no room for all of it, or the process no descriptor to begin with.
    var leavesNoEdit: Bool { code == .noSpace || code == .exhausted }
}
