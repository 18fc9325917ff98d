package import WeirBase
package import WeirFiles
package import WeirFormat

/// A stream's manifest, open for writing: edits go to its end, synced before they are used.
///
/// Only the writer's leader, whoever performs a roll, or recovery before there is a writer, touches
/// it. After a failed write the file may end in a part of an edit; it is cut away before the next
/// one. After a failed sync nothing more may be written: the caller poisons itself.
package final class ManifestFile<Files: FileSystem>: @unchecked Sendable {
    // @unchecked: one owner at a time, as said above.
    private let files: Files
    private let file: Files.File
    package private(set) var state: ManifestState
    private var endsInRubbish = false

    package init(files: Files, file: Files.File, state: ManifestState) {
        self.files = files
        self.file = file
        self.state = state
    }

    /// Writes edits and syncs them: when it returns, they are durable. Costs one sync.
    ///
    /// After `sync` failed the edits may or may not be there; after `write` they are not.
    package func append(_ edits: [ManifestEdit]) throws(WriteFailure) {
        var next = state
        do throws(WeirError) {
            if endsInRubbish { try files.truncate(file, to: state.byteCount) }
            endsInRubbish = true
            let bytes = try next.encode(edits.count == 1 ? edits : [.several(edits)])
            try files.writeAll(file, bytes, at: FilePosition(UInt64(state.byteCount)))
        } catch {
            throw .write(error)
        }
        do throws(WeirError) {
            try files.sync(file)
        } catch {
            throw .sync(error)
        }
        endsInRubbish = false
        state = next
    }

    package func close() throws(WeirError) { try files.close(file) }
}
