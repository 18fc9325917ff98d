package import WeirBase
import WeirFiles
import WeirFormat

/// Segments: the first one, the next one, and room in them.
extension LogWriter {
    /// Sees to it that a batch of at most `byteCount` bytes has a place.
    func prepare(byteCount: Int) throws(WeirError) {
        if !hasOpened { try open() }
        if let current = active {
            let end = current.position + byteCount
            let limit = FilePosition(UInt64(configuration.segmentBytes))
            // A batch larger than a whole segment still gets one of its own.
            if end > limit, !current.isEmpty { try roll() }
        } else {
            try startSegment(sealing: nil)
        }
        try align()
    }

    /// From here on the tail is not to be trusted without a scan, until the stream is closed.
    private func open() throws(WeirError) {
        try commit([.opened(epoch)])
        hasOpened = true
    }

    /// Writes manifest edits; a failed sync poisons the writer.
    func commit(_ edits: [ManifestEdit]) throws(WeirError) {
        do throws(ManifestFailure) {
            try manifest.append(edits)
        } catch {
            switch error {
            case .write(let error): throw error
            case .sync(let error): throw poisoned(by: error)
            }
        }
    }

    /// Seals the active segment and starts the next.
    ///
    /// Order, and what a crash after each step leaves: sync the old file (nothing new) · footer,
    /// trim, sync (an active segment with a footer, which recovery seals) · new file (a file that
    /// no manifest lists, which is removed with its epoch's other leavings) · one synced manifest
    /// write with both edits (done).
    private func roll() throws(WeirError) {
        try sync()
        guard let current = active else { return }
        let summary = try current.readable.summary()
        let footer = SegmentFooter(
            segmentID: current.readable.id, summary: summary,
            logStart: manifest.state.logStart, configuration: configuration)
        let (bytes, checksum) = footer.encode(at: current.position)
        try files.writeAll(current.file, bytes, at: current.position)
        let fileBytes = current.position + bytes.count
        try files.truncate(current.file, to: Int(clamping: fileBytes.value))
        do throws(WeirError) {
            try files.sync(current.file)
        } catch {
            throw poisoned(by: error)
        }
        let sealed = SealedSegment(
            summary: summary, batchesEnd: current.position, fileBytes: fileBytes.value,
            footerChecksum: checksum)
        try startSegment(sealing: (current.readable.id, sealed))
        current.readable.seal(sealed, summary: summary)
        try files.close(current.file)
    }

    /// Makes a segment that begins at the next offset (rule: exclusive create, header, sync, sync
    /// the directory, manifest edit, and only then append).
    private func startSegment(sealing old: (SegmentID, SealedSegment)?) throws(WeirError) {
        let state = manifest.state
        let entry = SegmentEntry(id: SegmentID(host.random()), base: nextOffset, epoch: epoch)
        let path = StoreLayout.segment(state.streamID, entry.id, base: entry.base)
        let header = SegmentHeader(
            segmentID: entry.id, streamID: state.streamID, epoch: epoch, base: nextOffset,
            creationTime: host.now(), logStart: state.logStart, name: state.name,
            configuration: state.configuration)
        let bytes = header.encode()
        let file = try files.open(path, .createExclusive)
        do throws(WeirError) {
            try files.writeAll(file, bytes, at: .zero)
            do throws(WeirError) {
                try files.sync(file)
                try files.syncDirectory(StoreLayout.stream(state.streamID))
            } catch {
                throw poisoned(by: error)
            }
            var edits: [ManifestEdit] = old.map { [.segmentSealed($0.0, $0.1)] } ?? []
            edits.append(.segmentAdded(entry))
            try commit(edits)
        } catch {
            // Not in the manifest, so nothing of it is ever used. After a poisoning the file
            // stays: whether the manifest lists it is open until the next opening.
            try files.close(file)
            if poison == nil { try files.removeFile(path) }
            throw error
        }
        let start = FilePosition(UInt64(bytes.count))
        let summary = SegmentSummary(base: entry.base)
        let readable = ReadableSegment(
            files: files, entry: entry, path: path,
            mapByteCount: Self.mapByteCount(configuration), readableEnd: start, summary: summary)
        active = Active(
            file: file, readable: readable, position: start, isEmpty: true,
            allocatedEnd: start)
        view.append(segment: readable)
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
            firstOffset: nextOffset, epoch: epoch, durableEnd: durableEnd,
            appendTime: max(lastAppendTime, host.now()))
        let filler = BatchBuilder.sealEmpty(
            .filler, seal, byteCount: byteCount, scratch: &scratch)
        unsafe try files.writeAll(current.file, filler.bytes, at: current.position)
        current.position = current.position + byteCount
        current.allocatedEnd = max(current.allocatedEnd, current.position)
        current.isDirty = true
        active = current
        current.readable.advance(readableEnd: current.position)
    }

    /// Writes zeros ahead of a busy durable stream's batches, in growing steps.
    ///
    /// A sync is then a write over blocks that exist: 85 µs here, where a growing file costs 125 to
    /// 165. A refused step is no failure: the file grows batch by batch, as others do.
    func grow(_ current: inout Active, by byteCount: Int) {
        let end = current.position + byteCount
        let busyFrom = 8
        guard configuration.durability == .durable, current.syncCount >= busyFrom,
            end > current.allocatedEnd
        else { return }
        let limit = FilePosition(UInt64(configuration.segmentBytes))
        let target = min(end + current.growthStep, max(limit, end))
        guard target > end else { return }
        do throws(WeirError) {
            let zeros = [UInt8](repeating: 0, count: min(target - end, 1 << 20))
            var position = max(end, current.allocatedEnd)
            while position < target {
                let count = min(zeros.count, target - position)
                try files.writeAll(current.file, Array(zeros.prefix(count)), at: position)
                position = position + count
            }
            current.allocatedEnd = target
            current.growthStep = min(current.growthStep * 2, Limits.growthStepMax)
        } catch {
            // Asked again a step further on, so that a full disk is not asked at every batch.
            current.allocatedEnd = end + current.growthStep
        }
    }

    /// Ends writing in good order: marker, sync, trim, and an edit that says where.
    ///
    /// The next opening then goes on without a scan. If it throws, the stream is as after a crash.
    package func close() throws(WeirError) {
        if poison == nil, hasOpened {
            try sync()
            try mark()
            if let current = active {
                try files.truncate(current.file, to: Int(clamping: current.position.value))
                try files.sync(current.file)
            }
            try commit([
                .closed(
                    CleanClose(
                        epoch: epoch, segment: active?.readable.id,
                        position: active?.position ?? .zero, end: nextOffset,
                        durableEnd: durableEnd, lastAppendTime: lastAppendTime))
            ])
        }
        if let current = active {
            active = nil
            try files.close(current.file)
        }
        try manifest.close()
    }
}

extension LogWriter {
    /// Publishes where the log stands at its opening, so that readers elsewhere find a slot.
    package func announce() { publish() }

    /// Makes the stream's deletion durable; the caller removes its files. Nothing is taken after.
    package func delete() throws(WeirError) {
        try commit([.deleted])
        poison = WeirError(
            .closed, "The stream \(view.name) was deleted.",
            at: .init(stream: view.name.description))
        if let current = active {
            active = nil
            try files.close(current.file)
        }
        try manifest.close()
    }
}
