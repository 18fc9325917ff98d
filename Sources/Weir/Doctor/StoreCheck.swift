import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirRecovery

/// Looks at a store from its files up, and changes nothing.
///
///     WEIR, EPOCHS, tail ─▶ every stream as a reader opens it ─▶ every segment, several at once
///                                                            └▶ cursors, index
///
/// What a reader's opening finds (manifests, directories, tails that a crash left) it has from
/// there; the rest it looks at itself. One thing that does not hold keeps it from no other.
struct StoreCheck<Files: FileSystem> {
    private let files: Files
    private let host: Host
    private let threads: Int
    private(set) var findings: [DamageReport] = []
    private(set) var segmentCount = 0

    init(files: Files, host: Host, threads: Int) {
        self.files = files
        self.host = host
        self.threads = threads
    }

    // MARK: the store's own files

    /// Opens the store as a reader does, even one that has lost its file WEIR.
    ///
    /// Throws `invalidArgument` for a directory that is no store, `newerFormat`, and what the
    /// system said where nothing can be looked at.
    mutating func open(holdsLock: Bool) throws(WeirError) -> StoreEngine<Files> {
        let header = try checkHeader()
        let history = try checkEpochs()
        try checkTail(header)
        let engine = try StoreEngine.openReadOnly(
            files: files, host: host, threads: threads,
            header: header ?? StoreHeader(storeID: StoreID(0), creationTime: .distantPast),
            holdsLock: holdsLock,
            isSameBoot: StoreEngine<Files>.bootCheck(history, host))
        findings += engine.reports
        for stream in engine.streams {
            if engine.hasLiveWriter { checkBesideWriter(stream) } else { checkManifestEnd(stream) }
        }
        if engine.hasLiveWriter { checkFollowing(engine) } else { checkReach(of: history, engine) }
        if !engine.hasLiveWriter { try checkSlots() }
        return engine
    }

    private mutating func checkHeader() throws(WeirError) -> StoreHeader? {
        let names = try files.list("")
        guard names.contains(StoreLayout.header) else {
            // Says in its own words that this is no store.
            guard names.contains(StoreLayout.streams) else {
                return try StoreDirectory.readHeader(files: files)
            }
            add(.missingStoreHeader, StoreLayout.header, "the file WEIR is missing")
            return nil
        }
        do throws(WeirError) {
            return try StoreDirectory.readHeader(files: files)
        } catch {
            guard error.code == .damaged else { throw error }
            add(.damagedStoreHeader, StoreLayout.header, error.message)
            return nil
        }
    }

    private mutating func checkEpochs() throws(WeirError) -> EpochRecord.History {
        do throws(WeirError) {
            let bytes = try read(StoreLayout.epochs)
            let history = EpochRecord.decodeAll(bytes)
            if history.isDamaged {
                findings.append(StoreDirectory.report(.damagedEpochs, StoreLayout.epochs))
            }
            return history
        } catch {
            guard error.code == .notFound else { throw error }
            add(.damagedEpochs, StoreLayout.epochs, "the file EPOCHS is missing")
            return EpochRecord.decodeAll([])
        }
    }

    private mutating func checkTail(_ header: StoreHeader?) throws(WeirError) {
        do throws(WeirError) {
            let bytes = try read(StoreLayout.tail)
            guard let header, !bytes.starts(with: TailSlot.header(header.storeID).prefix(16))
            else { return }
            add(.damagedTail, StoreLayout.tail, "the file tail is not this store's")
        } catch {
            // Derived: an opening makes it anew.
            if error.code != .notFound { throw error }
        }
    }

    /// An opening is written down in EPOCHS before any stream names it.
    private mutating func checkReach(
        of history: EpochRecord.History, _ engine: StoreEngine<Files>
    ) {
        let named = engine.streams.flatMap { $0.view.segments.map(\.epoch) }.max()
        guard let named, named > history.last, !history.isDamaged else { return }
        if findings.contains(where: { $0.kind == .damagedEpochs }) { return }
        add(
            .damagedEpochs, StoreLayout.epochs,
            "the file EPOCHS tells of openings up to epoch \(history.last), and streams name epoch "
                + "\(named)")
    }

    /// Without its slot another process does not see what a live writer appends.
    private mutating func checkFollowing(_ engine: StoreEngine<Files>) {
        for stream in engine.streams where engine.tail?.slot(of: stream.id) == nil {
            // One that was made a moment ago may be about to get it.
            guard stream.view.segments.contains(where: { $0.sealed == nil }) else { continue }
            findings.append(
                DamageReport(
                    kind: .damagedTail, stream: stream.name.description, path: StoreLayout.tail,
                    detail: "the file tail tells nothing of a stream that a process writes: until "
                        + "that one closes the store, others see only what is sealed"))
        }
    }

    private mutating func checkSlots() throws(WeirError) {
        let count = try TailFile.damagedSlotCount(files: files)
        if count > 0 {
            add(.damagedTail, StoreLayout.tail, "slots whose checksum does not hold: \(count)")
        }
    }

    private func read(_ path: String) throws(WeirError) -> [UInt8] {
        let file = try files.open(path, .read)
        let bytes = try files.read(file, at: .zero, byteCount: try files.size(of: file))
        try files.close(file)
        return bytes
    }

    // MARK: streams

    /// A reader beside a writer believes what that publishes; here manifest and directory are
    /// looked at as well. A segment that is not listed may be one that the writer is about to list.
    private mutating func checkBesideWriter(
        _ stream: StoreEngine<Files>.OpenStream
    ) {
        do throws(WeirError) {
            let directory = try StreamDirectory.list(stream.id, files: files)
            let loaded = try ManifestLoader.load(directory, files: files, settling: false)
            findings += loaded?.reports ?? []
            for name in directory.unknown + directory.copies {
                add(.unknownFile, directory.path(name), "a file that is no part of the stream")
            }
        } catch {
            // Deleted meanwhile.
            if error.code != .notFound { note(error, StoreLayout.stream(stream.id)) }
        }
    }

    /// A writer that lives may be in the middle of an edit.
    private mutating func checkManifestEnd(_ stream: StoreEngine<Files>.OpenStream) {
        do throws(WeirError) {
            let directory = try StreamDirectory.list(stream.id, files: files)
            guard
                try ManifestLoader.load(directory, files: files, settling: false)?.isTorn ?? false
            else { return }
            findings.append(
                DamageReport(
                    kind: .tornManifest, stream: stream.name.description,
                    path: StoreLayout.manifest(stream.id),
                    detail: "the last edit was not written to its end; nobody was told of it"))
        } catch {
            note(error, StoreLayout.manifest(stream.id))
        }
    }

    /// Whether the segments of a stream follow each other.
    private mutating func checkOrder(_ stream: StoreEngine<Files>.OpenStream) {
        let segments = stream.view.segments
        let found = BatchSequence.gaps(
            between: segments.map { ($0.base, $0.sealed?.endOffset) },
            logStart: stream.view.logStart)
        for (index, defect) in found { add(defect, stream.name, segments[index].path) }
    }

    // MARK: segments

    /// Looks at all segments. `isDeep`: at every byte of them.
    mutating func checkSegments(
        of engine: StoreEngine<Files>, isDeep: Bool,
        _ tell: @escaping @Sendable (VerifyProgress) -> Bool
    ) -> VerifyProgress {
        var jobs: [Job] = []
        for stream in engine.streams {
            checkOrder(stream)
            jobs += stream.view.segments.map { Job(engine: engine, stream: stream, segment: $0) }
        }
        segmentCount = jobs.count
        let total = jobs.reduce(0) { $0 + Int(clamping: $1.segment.readableEnd.value) }
        let meter = VerifyMeter(totalBytes: isDeep ? total : 0, tell)
        // The largest first, so that no thread is left alone with one.
        let work = jobs.sorted { $0.segment.readableEnd > $1.segment.readableEnd }
        let known = findings
        let results = SystemThread.map(count: work.count, threads: threads) { number in
            work[number].run(isDeep: isDeep, meter)
        }
        for report in results.joined() where !known.contains(where: { report.repeats($0) }) {
            findings.append(report)
        }
        return meter.figures
    }

    private struct Job: Sendable {
        let engine: StoreEngine<Files>
        let stream: StoreEngine<Files>.OpenStream
        let segment: ReadableSegment<Files>

        func run(isDeep: Bool, _ meter: VerifyMeter) -> [DamageReport] {
            guard !meter.hasStopped else { return [] }
            var check = SegmentCheck(segment, of: stream.id, files: engine.files)
            var failure: DamageReport?
            do throws(WeirError) {
                try check.run(isDeep: isDeep, meter)
            } catch {
                failure = report(error)
            }
            let name = stream.name.description
            return check.defects.map { DamageReport($0, stream: name, path: segment.path) }
                + (failure.map { [$0] } ?? [])
        }

        private func report(_ error: WeirError) -> DamageReport? {
            let name = stream.name.description
            guard error.code == .notFound else {
                return DamageReport(error, stream: name, path: segment.path)
            }
            // Without a writer, opening has told; beside one, it may have been retired meanwhile.
            guard engine.hasLiveWriter, isListed else { return nil }
            return DamageReport(
                kind: .missingSegment, stream: name, path: segment.path,
                offsets: segment.sealed.map { segment.base.value..<$0.endOffset.value },
                detail: "a segment that the manifest lists is missing")
        }

        private var isListed: Bool {
            do throws(WeirError) {
                let directory = try StreamDirectory.list(stream.id, files: engine.files)
                let loaded = try ManifestLoader.load(
                    directory, files: engine.files, settling: false)
                return loaded?.state.segments.contains { $0.id == segment.id } ?? false
                    && directory.segments[segment.id] == nil
            } catch {
                return false
            }
        }
    }

    // MARK: findings

    private mutating func add(_ kind: DamageReport.Kind, _ path: String, _ detail: String) {
        findings.append(DamageReport(kind: kind, stream: "", path: path, detail: detail))
    }

    private mutating func add(
        _ defect: BatchSequence.Defect, _ stream: StreamName, _ path: String
    ) {
        findings.append(DamageReport(defect, stream: stream.description, path: path))
    }

    mutating func note(_ error: WeirError, _ path: String) {
        findings.append(DamageReport(error, stream: "", path: path))
    }

    mutating func note(_ reports: [DamageReport]) { findings += reports }
}

extension DamageReport {
    init(_ defect: BatchSequence.Defect, stream: String, path: String) {
        self.init(
            kind: defect.kind, stream: stream, path: path, bytes: defect.bytes,
            offsets: defect.offsets, detail: defect.detail)
    }

    /// Of something that could not be looked at.
    init(_ error: WeirError, stream: String, path: String) {
        let kind: Kind =
            switch error.code {
            case .newerFormat: .newerFormat
            case .damaged: .damagedBatches
            default: .unreadableFile
            }
        self.init(kind: kind, stream: stream, path: path, detail: error.description)
    }

    /// Whether another report has told of the same bytes, or of the same part of a file.
    fileprivate func repeats(_ other: DamageReport) -> Bool {
        guard kind == other.kind, path == other.path else { return false }
        guard let bytes, let told = other.bytes else { return kind == .damagedSegmentHeader }
        return bytes.overlaps(told)
    }
}
