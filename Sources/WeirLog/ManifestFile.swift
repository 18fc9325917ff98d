import WeirBase
package import WeirFiles
package import WeirFormat

/// A stream's manifest as its writer has it: edits go to its end, synced before they are used.
///
/// It is open only for as long as an edit takes: they are few, and streams may be many.
///
///     leader ──┐                        one at a time
///     rolls  ──┼─▶ append(edits) ─▶ write ─▶ sync ─▶ state
///     upkeep ──┘                                       └ failed: nothing more is ever written
///
/// The writer's leader, whoever performs its rolls, and retention and compaction beside them. After
/// a failed write the file may end in a part of an edit; it is cut away before the next one.
package final class ManifestFile<Files: FileSystem>: Sendable {
    private struct Shared {
        var state: ManifestState
        var endsInRubbish = false
        var isBusy = false
        /// Of a sync: what the file holds is not known any more.
        @Rare var failure: WeirError? = nil
    }
    private let files: Files
    private let stream: StreamID
    private let rewriteBytes: Int
    package let reserve: DiskReserve<Files>
    private let shared: Monitor<Shared>

    package init(
        files: Files, state: ManifestState, rewriteBytes: Int = Limits.manifestRewriteBytes,
        reserve: DiskReserve<Files>? = nil
    ) {
        self.files = files
        self.stream = state.streamID
        self.rewriteBytes = rewriteBytes
        self.reserve = reserve ?? DiskReserve(files: files)
        self.shared = Monitor(Shared(state: state))
    }

    package var state: ManifestState { shared.read { $0.state } }

    /// Writes edits and syncs them: when it returns, they are durable. Costs one sync, and those of
    /// others who came before.
    ///
    /// After `sync` failed the edits may or may not be there; after `write` they are not.
    package func append(_ edits: [ManifestEdit]) throws(WriteFailure) {
        let start = shared.wait { shared -> Shared? in
            guard !shared.isBusy else { return nil }
            defer { shared.isBusy = true }
            return shared
        }
        guard var now = start else { return }
        defer {
            now.isBusy = false
            shared.signal { $0 = now }
        }
        if let failure = now.failure { throw .sync(failure) }
        guard !now.state.isDeleted else {
            throw .write(
                WeirError(
                    .closed,
                    "The stream \(now.state.name) was deleted; nothing of it changes any more.",
                    at: .init(stream: now.state.name.description)))
        }
        if now.state.isOvergrown(beyond: rewriteBytes) { try rewrite(&now) }
        try reserve.lending(
            isFull: { failure in
                if case .write(let error) = failure { error.code == .noSpace } else { false }
            },
            { () throws(WriteFailure) in try write(edits, &now) })
    }

    private func write(
        _ edits: [ManifestEdit], _ now: inout Shared
    ) throws(WriteFailure) {
        var next = now.state
        let file: Files.File
        do throws(WeirError) {
            file = try files.open(StoreLayout.manifest(stream), .readWrite)
            if now.endsInRubbish { try files.truncate(file, to: now.state.byteCount) }
            now.endsInRubbish = true
            let bytes = try next.encode(edits.count == 1 ? edits : [.several(edits)])
            try files.writeAll(file, bytes, at: FilePosition(UInt64(now.state.byteCount)))
        } catch {
            throw .write(error)
        }
        do throws(WeirError) {
            try files.sync(file)
            try files.close(file)
        } catch {
            now.failure = error
            throw .sync(error)
        }
        now.endsInRubbish = false
        now.state = next
    }

    /// Puts a new file in the place of one that has grown, with what its edits add up to.
    private func rewrite(_ now: inout Shared) throws(WriteFailure) {
        let directory = StoreLayout.stream(stream)
        do throws(WeirError) {
            // A file that is not there must stay away before its id is forgotten.
            try files.syncDirectory(directory)
            let names = try files.list(directory)
            var state = now.state
            state.forgetRetired(
                except: Set(names.compactMap { StoreLayout.parse(segmentName: $0)?.id }))
            let rewritten = try state.rewritten()
            let file = try files.replace(
                StoreLayout.manifest(stream), with: rewritten.bytes,
                beside: StoreLayout.newManifest(stream), in: directory)
            try files.close(file)
            now.state = rewritten.state
            now.endsInRubbish = false
        } catch {
            // Without room for a second one, the first grows on; it was not touched.
            if error.code == .noSpace { return }
            // Which of the two it is by now is not known.
            now.failure = error
            throw .sync(error)
        }
    }
}
