import WeirBase
import WeirFiles
import WeirFormat
import WeirRecovery

/// Recovers the streams of a store, each by itself: several at once where threads are given, as
/// most of the time goes into waiting for the medium.
extension StoreEngine {
    struct Found {
        var outcomes: [StreamRecovery<Files>.Outcome] = []
        var reports: [DamageReport] = []
        var lastEpoch = Epoch(0)
        var failures: [StreamName: Failure] = [:]

        mutating func fail(_ name: StreamName, _ id: StreamID, _ error: WeirError) {
            failures[name] = .init(id: id, error: error)
            reports.append(
                DamageReport(
                    kind: .unreadableStream, stream: name.description,
                    path: StoreLayout.stream(id), detail: "the stream cannot be opened: \(error)"))
        }
    }

    /// A stream that could not be recovered, and why.
    struct Failure: Sendable {
        let id: StreamID
        let error: WeirError
    }

    /// Whether the kernel is still the one under which a writer of this epoch opened the store.
    static func bootCheck(
        _ history: EpochRecord.History, _ host: Host
    ) -> @Sendable (Epoch?) -> Bool {
        { epoch in
            let record = history.records.last { epoch == nil || $0.epoch == epoch }
            return host.bootID != .unknown && record?.bootID == host.bootID
        }
    }

    /// What is found does not depend on the number of threads.
    static func recoverAll(
        files: Files, slots: [StreamID: (index: Int, slot: TailSlot)],
        isSameBoot: @escaping @Sendable (Epoch?) -> Bool, isReadOnly: Bool, threads: Int
    ) throws(WeirError) -> Found {
        var found = Found()
        let ids = try listStreams(files, isReadOnly, &found)
        let attempts = SystemThread.map(count: ids.count, threads: threads) { number in
            attempt(ids[number], files) { id throws(WeirError) in
                try StreamRecovery.recover(
                    id, files: files, tail: slots[id]?.slot, isSameBoot: isSameBoot,
                    isReadOnly: isReadOnly)
            }
        }
        for (id, attempt) in zip(ids, attempts) {
            switch attempt {
            case .found(let outcome): try take(outcome, files, isReadOnly, &found)
            case .nothing(let kind):
                found.reports.append(StoreDirectory.report(kind, StoreLayout.stream(id)))
            case .failed(let name?, let error): found.fail(name, id, error)
            // Without a name nobody could ask for it later and be told, and a writer might give
            // the name away.
            case .failed(nil, let error):
                guard isReadOnly else { throw error }
                found.reports.append(StoreDirectory.unreadable(id, error))
            }
        }
        return found
    }

    private static func listStreams(
        _ files: Files, _ isReadOnly: Bool, _ found: inout Found
    ) throws(WeirError) -> [StreamID] {
        var ids: [StreamID] = []
        for name in try files.list(StoreLayout.streams).sorted() {
            let path = StoreLayout.streams + "/" + name
            if let id = StreamID(hexadecimal: name) {
                ids.append(id)
            } else if !name.hasPrefix(StoreLayout.creationPrefix) {
                found.reports.append(StoreDirectory.report(.unknownFile, path))
            } else if !isReadOnly {
                // A creation that was never finished: nobody was told of the stream.
                try StoreDirectory.removeTree(path, files: files)
            }
        }
        return ids
    }

    private static func take(
        _ outcome: StreamRecovery<Files>.Outcome, _ files: Files, _ isReadOnly: Bool,
        _ found: inout Found
    ) throws(WeirError) {
        let manifest = outcome.stream.manifest
        if manifest.isDeleted {
            let path = StoreLayout.stream(manifest.streamID)
            if !isReadOnly { try StoreDirectory.removeTree(path, files: files) }
            return
        }
        for entry in manifest.segments { found.lastEpoch = max(found.lastEpoch, entry.epoch) }
        switch manifest.closing {
        case .neverOpened: break
        case .opened(let epoch): found.lastEpoch = max(found.lastEpoch, epoch)
        case .clean(let close): found.lastEpoch = max(found.lastEpoch, close.epoch)
        }
        found.reports += outcome.stream.reports
        found.outcomes.append(outcome)
    }

    /// What recovering a stream's directory came to; a failure stays with that stream.
    private enum Attempt: Sendable {
        case found(StreamRecovery<Files>.Outcome)
        /// It holds no stream, or that of another directory.
        case nothing(DamageReport.Kind)
        /// With the stream's name, if that could be read.
        case failed(StreamName?, WeirError)
    }

    private static func attempt(
        _ id: StreamID, _ files: Files,
        _ recover: (StreamID) throws(WeirError) -> StreamRecovery<Files>.Outcome?
    ) -> Attempt {
        var owner: (id: StreamID, name: StreamName)?
        do throws(WeirError) {
            owner = try ManifestState.creation(in: id, files: files)
            if let owner, owner.id != id { return .nothing(.copiedStream) }
            return try recover(id).map { .found($0) } ?? .nothing(.unfinishedCreation)
        } catch {
            return .failed(owner?.name, error)
        }
    }
}
