package import WeirBase
import WeirFiles
import WeirFormat

/// Segments: the first one, the next one, and room in them.
extension LogWriter {
    /// Sees to it that a batch of at most `byteCount` bytes has a place.
    func prepare(byteCount: Int, needsSync: Bool) throws(WeirError) {
        try takeOver()
        try checkTenure()
        try wake()
        if !hasOpened { try open() }
        if let current = active {
            let end = current.position + byteCount
            let limit = FilePosition(UInt64(bytesMax(of: current)))
            // A batch larger than a whole segment still gets one of its own.
            if end > limit, !current.isEmpty {
                // Whoever waits for a sync is not to be failed by the roll of a later batch.
                if current.owesSync { try sync() }
                try roll()
            }
        } else {
            try startSegment()
            try settle()
        }
        if needsSync { try settle() }
        try align()
    }

    /// From here on the tail is not to be trusted without a scan, until the stream is closed.
    func open() throws(WeirError) {
        try commit([.opened(epoch)])
        hasOpened = true
    }

    /// Writes manifest edits; a failed sync poisons the writer.
    func commit(_ edits: [ManifestEdit]) throws(WeirError) {
        do throws(WriteFailure) {
            try manifest.append(edits)
        } catch {
            throw taken(error)
        }
    }

    /// The error to throw for a failure; that of a sync poisons the writer.
    private func taken(_ failure: WriteFailure) -> WeirError {
        switch failure {
        case .write(let error): error
        case .sync(let error): poison ?? poisoned(by: error)
        }
    }

    // MARK: rolls

    /// What rolls have come to since the last look: how far the log is durable, or a failed sync.
    private func takeOver() throws(WeirError) {
        let standing = rolls.standing
        durableEnd = max(durableEnd, standing.durableEnd)
        if case .sync(let error)? = standing.failure { throw taken(.sync(error)) }
    }

    /// Returns when no roll is under way. Throws what one met; nothing behind it is durable then.
    func settle() throws(WeirError) {
        do throws(WriteFailure) {
            try rolls.settle()
        } catch {
            throw taken(error)
        }
        try takeOver()
    }

    /// Whether there is work for another thread.
    package var hasWork: Bool {
        rolls.standing.count > 0 || nextFile.isWanted || writeBack.isWanted
    }

    /// Whether it should be done now, asked after each append: a durable stream is not slowed by
    /// the syncs of its own rolls, as long as only half of those are waiting that may.
    package var hasUrgentWork: Bool {
        rolls.standing.count > Limits.rollsMax / 2 || nextFile.isWanted || writeBack.isWanted
    }

    /// Sends on what was appended, finishes rolls and makes the next file ahead. On any thread,
    /// beside the leader; blocks it.
    package func work() {
        writeBack.perform()
        rolls.perform()
        nextFile.makeIfWanted()
    }

    /// Goes on in a new segment; sealing the old and making the new one known is left to `work`.
    ///
    /// Without that, a stream that asks for no sync would write at the medium's pace around each
    /// roll. The bytes that may wait for it are bounded by the number of rolls.
    private func roll() throws(WeirError) {
        do throws(WriteFailure) {
            try rolls.settle(downTo: Limits.rollsMax - 1)
        } catch {
            throw taken(error)
        }
        try startSegment()
    }

    /// Leaves the active segment for a new one, and seals it. Does nothing where the log ends in an
    /// empty one. Costs the syncs of a roll.
    package func sealActive() throws(WeirError) {
        if let poison { throw poison }
        try takeOver()
        try checkTenure()
        try wake()
        if active?.isEmpty ?? (nextOffset == .zero) { return }
        if !hasOpened { try open() }
        if active?.owesSync ?? false { try sync() }
        // Whoever makes room on a full disk needs some for that.
        try manifest.reserve.lending(isFull: WeirError.isNoSpace, roll)
        try manifest.reserve.lending(isFull: WeirError.isNoSpace, settle)
    }

    /// Lets a log that never had a record begin at a later offset; `false` for any other. After a
    /// crash it begins there or where it did.
    package func begin(at offset: Offset) throws(WeirError) -> Bool {
        if let poison { throw poison }
        let isUntouched = active == nil && asleep == nil && manifest.state.segments.isEmpty
        guard isUntouched, nextOffset == view.logStart, offset >= nextOffset else { return false }
        if offset == nextOffset { return true }
        try checkTenure()
        try commit([.logStart(offset)])
        (nextOffset, durableEnd, witnessedDurableEnd) = (offset, offset, offset)
        view.retire([], logStart: offset)
        publish()
        return true
    }

    /// Makes a segment that begins at the next offset, and leaves the active one for it.
    private func startSegment() throws(WeirError) {
        let (entry, bytes) = nextSegment()
        let path = StoreLayout.segment(streamID, entry.id, base: entry.base)
        let (file, allocatedEnd) = try nextFile.take(as: path, header: bytes)
        let start = FilePosition(UInt64(bytes.count))
        let readable = ReadableSegment(
            files: files, entry: entry, path: path, maps: view.maps,
            mapByteCount: Self.mapByteCount(configuration), readableEnd: start,
            summary: SegmentSummary(base: entry.base))
        let old = active
        rolls.add(
            Roll(
                old: old.map { ($0.file, $0.readable, $0.position) }, new: (file, entry),
                producers: knownProducers(isResumed: old?.isResumed ?? false)))
        active = Active(
            file: file, readable: readable, position: start, isEmpty: true,
            allocatedEnd: max(start, allocatedEnd),
            growthStep: old?.growthStep ?? Limits.growthStepMin, syncCount: old?.syncCount ?? 0)
        view.append(segment: readable)
    }

    /// One that begins at the next offset, and its header.
    func nextSegment() -> (entry: SegmentEntry, header: [UInt8]) {
        let entry = SegmentEntry(id: SegmentID(host.random()), base: nextOffset, epoch: epoch)
        let header = SegmentHeader(
            segmentID: entry.id, streamID: streamID, epoch: epoch, base: nextOffset,
            creationTime: host.now(), logStart: view.logStart, name: view.name,
            configuration: configuration)
        return (entry, header.encode())
    }

    /// What a segment's footer says of producers: as long as nobody asked for one, this writer has
    /// added nothing to what the log had.
    func knownProducers(isResumed: Bool) -> Roll<Files>.Producers {
        if let table = producers.snapshot { return .known(table) }
        return isResumed ? .unread : .asBefore
    }

    /// Past three quarters of a segment the next file is made, if it is to have room ahead.
    func askForNext(_ current: inout Active) {
        guard !current.hasAskedForNext, isBusy(current),
            current.position.value > UInt64(bytesMax(of: current)) / 4 * 3
        else { return }
        current.hasAskedForNext = true
        nextFile.want(byteCount: min(current.growthStep, configuration.segmentBytes))
    }

    /// Whole pieces behind the place of the next batch.
    func askForWriteBack(_ current: inout Active) {
        guard configuration.durability != .durable else { return }
        let piece = UInt64(Limits.writeBackBytes)
        let end = FilePosition(current.position.value / piece * piece)
        guard end > current.writeBackEnd else { return }
        writeBack.want(current.file, from: current.writeBackEnd, to: end)
        current.writeBackEnd = end
    }

    /// Synced so often that room written ahead pays.
    private func isBusy(_ current: Active) -> Bool {
        let busyFrom = 8
        return configuration.durability == .durable && current.syncCount >= busyFrom
    }

    /// A segment that was begun when segments were smaller stays as small: maps are made for that.
    private func bytesMax(of current: Active) -> Int {
        let mapped = Self.mapByteCount(configuration) - configuration.segmentBytes
        return min(configuration.segmentBytes, current.readable.mapByteCount - mapped)
    }

    /// A segment's size and one batch more, so that a map made early reaches over everything.
    package static func mapByteCount(_ configuration: StreamConfiguration) -> Int {
        configuration.segmentBytes + LZ4Frame.bound(configuration.batchBytesMax)
            + SegmentHeader.byteCountMax
    }

    /// Starts a sync group on a commit boundary, for devices whose interrupted writes damage
    /// their neighbours.
    private func align() throws(WeirError) {
        let alignment = configuration.commitAlignment
        guard alignment > 8, var current = active, !current.isDirty else { return }
        let here = Int(clamping: current.position.value)
        var byteCount = roundedUp(here, to: alignment) - here
        guard byteCount > 0 else { return }
        if byteCount < BatchHeader.byteCount { byteCount += alignment }
        let seal = BatchSeal(
            place: BatchPlace(segment: current.readable.id, position: current.position),
            firstOffset: nextOffset, epoch: epoch, durableEnd: durableEnd, appendTime: emptyTime)
        let filler = BatchBuilder.sealEmpty(
            .filler, seal, byteCount: byteCount, scratch: &scratch)
        unsafe try files.writeAll(current.file, filler.bytes, at: current.position)
        current.position = current.position + byteCount
        current.allocatedEnd = max(current.allocatedEnd, current.position)
        current.isDirty = true
        active = current
        current.readable.advance(readableEnd: current.position)
    }

    /// Makes room ahead of the batches, in growing steps.
    ///
    /// A busy durable stream gets written zeros: a sync is then a write over blocks that exist,
    /// 85 µs here, where a growing file costs 125 to 165. The others get blocks set aside: a write
    /// that finds its blocks costs two thirds of one that has to look for them. A refused step is
    /// no failure: the file grows batch by batch.
    func grow(_ current: inout Active, by byteCount: Int) {
        let end = current.position + byteCount
        guard end > max(current.allocatedEnd, current.refusedEnd) else { return }
        let isDurable = configuration.durability == .durable
        guard !isDurable || isBusy(current) else { return }
        let limit = FilePosition(UInt64(bytesMax(of: current)))
        let target = min(end + current.growthStep, max(limit, end))
        let isMade =
            isDurable
            ? writeZeros(current.file, from: max(end, current.allocatedEnd), to: target)
            : files.reserve(current.file, from: current.allocatedEnd, to: target)
        guard isMade else {
            if isDurable { giveRoomBack(&current) }
            // Asked again a step further on, so that a full disk is not asked at every batch.
            current.refusedEnd = end + current.growthStep
            return
        }
        current.allocatedEnd = target
        current.growthStep = min(current.growthStep * 2, Limits.growthStepMax)
    }

    /// After a failed write: what was written of the batch, and the room ahead, go back. Others may
    /// need it, and the next opening finds no torn tail.
    func giveRoomBack(_ current: inout Active) {
        current.allocatedEnd = isCut(current) ? current.position : current.allocatedEnd
    }

    /// `false` where it could not be: the write's own error is told, and the rest is cut later.
    private func isCut(_ current: Active) -> Bool {
        do throws(WeirError) {
            try files.truncate(current.file, to: Int(clamping: current.position.value))
            return true
        } catch {
            return false
        }
    }

    private func writeZeros(
        _ file: Files.File, from start: FilePosition, to end: FilePosition
    ) -> Bool {
        do throws(WeirError) {
            try files.writeZeros(file, from: start, to: end)
            return true
        } catch {
            // What the disk says is told by the batch's own write, if that fails as well; it may
            // need the blocks that some of the zeros took.
            return false
        }
    }

    /// Ends writing in good order: marker, sync, trim, and an edit that says where.
    ///
    /// The next opening then goes on without a scan. If it throws, the stream is as after a crash.
    package func close() throws(WeirError) {
        try nextFile.end()
        var failure: WeirError?
        if poison == nil, hasOpened {
            do throws(WeirError) {
                try finish()
            } catch {
                failure = error
            }
        }
        // Nobody may touch a file of the store after this process has let go of it.
        try rolls.abandon()
        if let current = active {
            active = nil
            try files.close(current.file)
        }
        if let failure { throw failure }
    }

    private func finish() throws(WeirError) {
        try tenure.check()
        try sync()
        try settle()
        try manifest.reserve.lending(isFull: WeirError.isNoSpace, mark)
        if let current = active {
            try files.truncate(current.file, to: Int(clamping: current.position.value))
            try files.sync(current.file)
        }
        try commit([
            .closed(
                CleanClose(
                    epoch: epoch, segment: place?.segment,
                    position: place?.position ?? .zero, end: nextOffset,
                    durableEnd: durableEnd, lastAppendTime: lastAppendTime))
        ])
    }
}

extension LogWriter {
    /// Publishes where the log stands at its opening, so that readers elsewhere find a slot.
    package func announce() { publish() }

    /// Makes the stream's deletion durable; the caller removes its files. Nothing is taken after.
    package func delete() throws(WeirError) {
        try nextFile.end()
        try tenure.check()
        // Before the rolls are given up: nothing behind them can be durable any more.
        poison = WeirError(
            .closed,
            "The stream \(view.name) was deleted; if that failed, open the store again.",
            at: .init(stream: view.name.description))
        try rolls.abandon()
        try commit([.deleted])
        if let current = active {
            active = nil
            try files.close(current.file)
        }
    }
}
