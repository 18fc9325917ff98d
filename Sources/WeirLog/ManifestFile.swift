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
        var failure: WeirError?
    }
    private let files: Files
    private let path: String
    private let shared: Monitor<Shared>

    package init(files: Files, path: String, state: ManifestState) {
        self.files = files
        self.path = path
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
        var next = now.state
        let file: Files.File
        do throws(WeirError) {
            file = try files.open(path, .readWrite)
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
}
