import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirRecovery

/// Streams of a store: taking over what recovery found, creating, deleting, following.
extension StoreEngine {
    /// Makes a recovered stream ready for appends and readers.
    func adopt(_ outcome: StreamRecovery<Files>.Outcome) throws(WeirError) {
        guard let manifestState = outcome.manifest else { return }
        let recovered = outcome.stream
        let manifest = ManifestFile(files: files, state: manifestState, reserve: reserve)
        let view = makeView(
            recovered, readableEnd: outcome.readableEnd, flushedEnd: recovered.nextOffset)
        let publisher = try tail?.newPublisher()
        let writer = LogWriter(
            files: files, host: host, tenure: tenure, manifest: manifest, recovered: recovered,
            view: view, tail: publisher)
        if let tail = recovered.tail,
            let readable = view.segments.last(where: { $0.id == tail.id })
        {
            try writer.resume(tail, in: readable)
        }
        let isNew = insert(
            OpenStream(
                id: manifestState.streamID, name: manifestState.name,
                configuration: manifestState.configuration, view: view, writer: writer))
        if isNew { writer.announce() } else { try writer.close() }
    }

    func makeView(
        _ recovered: RecoveredStream, readableEnd: [SegmentID: FilePosition],
        flushedEnd: Offset
    ) -> LogView<Files> {
        let manifest = recovered.manifest
        return LogView(
            name: manifest.name, visibility: manifest.configuration.effectiveVisibility,
            maps: maps,
            segments: manifest.segments.map {
                makeSegment($0, of: manifest, readableEnd: readableEnd[$0.id])
            },
            logStart: manifest.logStart, flushedEnd: flushedEnd,
            durableEnd: recovered.durableEnd)
    }

    func makeSegment(
        _ entry: SegmentEntry, of manifest: ManifestState, readableEnd: FilePosition?
    ) -> ReadableSegment<Files> {
        let end =
            entry.sealed?.batchesEnd ?? readableEnd
            ?? FilePosition(UInt64(SegmentHeader.alignment))
        let active = LogWriter<Files>.mapByteCount(manifest.configuration)
        let mapByteCount = entry.sealed.map { max(1, Int(clamping: $0.fileBytes)) } ?? active
        return ReadableSegment(
            files: files, entry: entry,
            path: StoreLayout.segment(manifest.streamID, entry.id, base: entry.base), maps: maps,
            mapByteCount: mapByteCount, readableEnd: end, summary: nil)
    }

    /// Makes a new stream, whose records are counted from `start` on. When it returns, the stream
    /// survives power loss.
    ///
    /// Throws `alreadyExists`, `invalidArgument`, or what the system said; then there is none.
    package func create(
        _ name: StreamName, _ configuration: StreamConfiguration, from start: Offset = .zero
    ) throws(WeirError) {
        guard !isReadOnly else { throw Self.readOnly() }
        try exclusively { () throws(WeirError) in
            try expectNoGroup(name)
            try createAlone(name, configuration, from: start)
        }
    }

    /// Beside no other creation or deletion.
    func createAlone(
        _ name: StreamName, _ configuration: StreamConfiguration, from start: Offset = .zero
    ) throws(WeirError) {
        guard stream(name) == nil else {
            throw WeirError(
                .alreadyExists, "The stream \(name) exists already; choose another name.",
                at: .init(stream: name.description))
        }
        if let failure = failure(of: name) { throw failure.error }
        let id = StreamID(host.random())
        let creation = StoreLayout.creation(id)
        // Made under another name and renamed when it is whole: a crash leaves a stream or none.
        try files.createDirectory(creation)
        var (bytes, checksum) = ManifestEdit.created(id, name, configuration)
            .encode(sequence: 1, previous: 0)
        if start > .zero {
            bytes += ManifestEdit.logStart(start).encode(sequence: 2, previous: checksum).bytes
        }
        let file = try files.open(creation + "/" + StoreLayout.manifestName, .createExclusive)
        try files.writeAll(file, bytes, at: .zero)
        try files.sync(file)
        try files.close(file)
        try files.syncDirectory(creation)
        try files.rename(creation, to: StoreLayout.stream(id))
        try files.syncDirectory(StoreLayout.streams)
        guard
            let outcome = try StreamRecovery.recover(
                id, files: files, tail: nil, isSameBoot: { _ in false }, isReadOnly: false)
        else { return }
        try adopt(outcome)
    }

    /// Removes a stream and its records for ever. The edit is the point of no return: a crash after
    /// it, and the next opening removes the rest.
    ///
    /// The stream is out of sight at once; `draining` then ends whatever is under way in it.
    package func delete(
        _ name: StreamName, draining: () -> Void = {}
    ) throws(WeirError) {
        guard !isReadOnly else { throw Self.readOnly() }
        try exclusively { () throws(WeirError) in
            try expectNoPartition(name)
            try deleteAlone(name, draining: draining)
        }
    }

    /// Beside no other creation or deletion.
    package func deleteAlone(_ name: StreamName, draining: () -> Void) throws(WeirError) {
        guard let stream = take(name) else {
            if let failure = failure(of: name) { return try deleteUnread(name, failure.id) }
            throw noStream(name)
        }
        draining()
        do throws(WeirError) {
            try stream.writer?.delete()
        } catch {
            _ = insert(stream)
            throw error
        }
        try StoreDirectory.removeTree(StoreLayout.stream(stream.id), files: files)
    }

    /// One at a time creates or deletes a stream, or takes one up. Blocks the thread.
    package func exclusively<Result>(
        _ body: () throws(WeirError) -> Result
    ) throws(WeirError) -> Result {
        _ = creation.wait { isBusy -> Void? in
            if isBusy { return nil }
            isBusy = true
        }
        defer { creation.signal { $0 = false } }
        return try body()
    }

    /// A stream that could not be opened, a full disk's among them, can still make room: under the
    /// name of an unfinished creation the next opening removes what a crash leaves of it.
    private func deleteUnread(_ name: StreamName, _ id: StreamID) throws(WeirError) {
        try files.rename(StoreLayout.stream(id), to: StoreLayout.creation(id))
        try files.syncDirectory(StoreLayout.streams)
        try StoreDirectory.removeTree(StoreLayout.creation(id), files: files)
        forgetFailure(of: name)
    }

    package func noStream(_ name: StreamName) -> WeirError {
        if let first = partitions(claiming: name).first {
            return WeirError(
                .notFound,
                "There is no stream \(name), but a partitioned stream of that name; name one of "
                    + "its partitions, such as \(first.name) (in Swift, `partitionedStream` opens "
                    + "all of them).")
        }
        let streams = streams.map(\.name).filter { !$0.isSystem }
        let names = streams.prefix(5).map(\.description)
        let more = streams.count > names.count ? " and others" : ""
        let known =
            names.isEmpty ? "which has none" : "which has " + names.joined(separator: ", ") + more
        return WeirError(
            .notFound,
            "There is no stream \(name) in this store, \(known); check the name, or create it.")
    }

    static func readOnly() -> WeirError {
        WeirError(.invalidArgument, "The store is open for reading only; open it for writing.")
    }

    // MARK: readers in other processes

    /// Makes every stream readable, by the writer's slots where one lives.
    func adoptReadOnly(
        slots: [StreamID: (index: Int, slot: TailSlot)],
        isSameBoot: @escaping @Sendable (Epoch?) -> Bool, threads: Int
    ) throws(WeirError) {
        if !hasLiveWriter {
            let found = try Self.recoverAll(
                files: files, slots: slots, isSameBoot: isSameBoot, isReadOnly: true,
                threads: threads)
            add(reports: found.reports)
            note(found.failures)
            for outcome in found.outcomes {
                let manifest = outcome.stream.manifest
                let view = makeView(
                    outcome.stream, readableEnd: outcome.readableEnd,
                    flushedEnd: outcome.stream.nextOffset)
                // Nobody will make more of it durable: everything that is there is shown.
                view.advance(
                    flushedEnd: outcome.stream.nextOffset, durableEnd: outcome.stream.nextOffset)
                insertFollowed(
                    OpenStream(
                        id: manifest.streamID, name: manifest.name,
                        configuration: manifest.configuration, view: view, writer: nil))
            }
            return
        }
        for name in try files.list(StoreLayout.streams).sorted() {
            guard let id = StreamID(hexadecimal: name) else { continue }
            do throws(WeirError) {
                if let owner = try ManifestState.creation(in: id, files: files), owner.id != id {
                    add(reports: [StoreDirectory.report(.copiedStream, StoreLayout.stream(id))])
                    continue
                }
                try adoptLive(id, slots[id])
            } catch {
                // Deleted while it was looked at; or its trouble is its own.
                guard error.code != .notFound else { continue }
                add(reports: [StoreDirectory.unreadable(id, error)])
            }
        }
    }

    /// A stream by its name, even if another process's writer made it since this reader was opened.
    func discover(_ name: StreamName) throws(WeirError) -> OpenStream? {
        if let stream = stream(name) { return stream }
        guard isReadOnly, let tail else { return nil }
        let known = Set(streams.map(\.id))
        for (id, found) in tail.slots where found.slot.epoch > epoch && !known.contains(id) {
            try adoptLive(id, found)
        }
        return stream(name)
    }

    private func adoptLive(
        _ id: StreamID, _ found: (index: Int, slot: TailSlot)?
    ) throws(WeirError) {
        let slot = found?.slot
        guard let stream = try FollowedStream.load(id, slot: slot, files: files) else { return }
        // What is sealed is durable, and all that is known where the writer publishes no slot.
        let sealed = stream.manifest.segments.last { $0.sealed != nil }?.sealed?.endOffset
        let known = max(sealed ?? .zero, stream.manifest.logStart)
        let recovered = RecoveredStream(
            manifest: stream.manifest, nextOffset: slot?.flushedEnd ?? known,
            durableEnd: slot?.durableEnd ?? known, lastAppendTime: .distantPast, tail: nil,
            reports: [])
        let view = makeView(
            recovered, readableEnd: stream.readableEnd, flushedEnd: slot?.flushedEnd ?? known)
        if let slot { view.follow(stream.manifest.configuration, edition: slot.edition) }
        insertFollowed(
            OpenStream(
                id: id, name: stream.manifest.name, configuration: stream.manifest.configuration,
                view: view, writer: nil))
    }

    /// A stream that another process writes, or may come to write: what that one replaces or
    /// retires is looked up when it is missed.
    private func insertFollowed(_ stream: OpenStream) {
        guard insert(stream) else { return }
        let id = stream.id
        // Held by the view itself, which therefore must not be held.
        stream.view.onMissing { [weak self, weak view = stream.view] () throws(WeirError) in
            guard let self, let view else { return }
            try self.onlyRefresh { () throws(WeirError) in
                try self.reload(view, id, self.tail?.slot(of: id)?.slot)
            }
        }
    }

    /// Brings a reader's view up to what the writer has published since.
    ///
    /// What readers see never shrinks: a reader that found the end itself, while no writer lived,
    /// has seen records that no writer has yet made durable.
    package func refresh(_ stream: OpenStream) throws(WeirError) {
        guard isBehind(stream) else { return }
        try onlyRefresh { () throws(WeirError) in try refreshAlone(stream) }
    }

    /// One at a time: an older slot must not be laid over a newer one.
    private func onlyRefresh(_ body: () throws(WeirError) -> Void) throws(WeirError) {
        _ = refreshing.wait { isBusy -> Void? in
            if isBusy { return nil }
            isBusy = true
        }
        defer { refreshing.signal { $0 = false } }
        try body()
    }

    private func refreshAlone(_ stream: OpenStream) throws(WeirError) {
        guard isBehind(stream), let slot = tail?.slot(of: stream.id)?.slot else { return }
        let view = stream.view
        let hasOtherSettings = view.edition != slot.edition
        if !hasOtherSettings, let last = view.segments.last, last.id == slot.segment {
            last.advance(readableEnd: max(slot.writtenEnd, last.readableEnd))
        } else if hasOtherSettings || slot.flushedEnd > view.flushedEnd {
            try reload(view, stream.id, slot)
        }
        view.advance(
            flushedEnd: max(slot.flushedEnd, view.flushedEnd),
            durableEnd: max(slot.durableEnd, view.durableEnd))
    }

    private func isBehind(_ stream: OpenStream) -> Bool {
        guard let slot = tail?.slot(of: stream.id)?.slot, slot.epoch > epoch else { return false }
        return slot.flushedEnd > stream.view.flushedEnd
            || slot.durableEnd > stream.view.durableEnd || slot.edition != stream.view.edition
    }

    /// The writer rolled, compacted, retired or changed settings: manifest and directory tell.
    /// Segments that are known are kept, with their maps, unless these have become too short.
    private func reload(
        _ view: LogView<Files>, _ id: StreamID, _ slot: TailSlot?
    ) throws(WeirError) {
        let loaded = try FollowedStream.load(id, slot: slot, files: files)
        if let slot { view.follow(loaded?.manifest.configuration, edition: slot.edition) }
        guard let now = loaded else { return }
        var known: [SegmentID: ReadableSegment<Files>] = [:]
        for segment in view.segments { known[segment.id] = segment }
        var segments = now.manifest.segments.map { entry -> ReadableSegment<Files> in
            let end = now.readableEnd[entry.id]
            let made = makeSegment(entry, of: now.manifest, readableEnd: end)
            guard let segment = known[entry.id], segment.mapByteCount >= made.mapByteCount else {
                return made
            }
            if let sealed = entry.sealed { segment.seal(sealed, summary: nil) }
            if let end { segment.advance(readableEnd: max(end, segment.readableEnd)) }
            return segment
        }
        // Begun, and not yet in the manifest; without a slot nobody else tells of them.
        let listed = Set(segments.map(\.id)).union(now.manifest.retired)
        let end = segments.last?.base ?? .zero
        segments += view.segments.filter { !listed.contains($0.id) && $0.base >= end }
        view.publish(segments: segments, logStart: now.manifest.logStart)
    }

    /// Waits until the writer publishes, at most so long; returns at once if the reader sees beyond
    /// `offset` already. Blocks the thread.
    ///
    /// Without a slot there is nothing to wake it: it looks again when the time is over.
    package func wait(
        _ stream: OpenStream, beyond offset: Offset, milliseconds: Int
    ) throws(WeirError) {
        guard let tail else {
            _ = Monitor(()).wait(milliseconds: min(milliseconds, 500)) { _ -> Void? in nil }
            return
        }
        let found = tail.slot(of: stream.id)
        // The word is read before the view is brought up: a publish in between changes it.
        try refresh(stream)
        guard stream.view.visibleEnd <= offset else { return }
        tail.wait(
            found?.index ?? 0, while: found?.word ?? 0,
            milliseconds: found == nil ? min(milliseconds, 500) : milliseconds)
    }
}
