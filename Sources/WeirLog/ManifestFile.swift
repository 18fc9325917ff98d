import WeirBase
package import WeirFiles
package import WeirFormat

/// A stream's manifest as its writer has it: edits go to its end, synced before they are used.
///
/// It is open only for as long as an edit takes: they are few, and streams may be many.
///
/// Only the writer's leader, whoever performs a roll, or recovery before there is a writer, touches
/// it. After a failed write the file may end in a part of an edit; it is cut away before the next
/// one. After a failed sync nothing more may be written: the caller poisons itself.
package final class ManifestFile<Files: FileSystem>: @unchecked Sendable {
    // @unchecked: one owner at a time, as said above.
    private let files: Files
    private let path: String
    package private(set) var state: ManifestState
    private var endsInRubbish = false

    package init(files: Files, path: String, state: ManifestState) {
        self.files = files
        self.path = path
        self.state = state
    }

    /// Writes edits and syncs them: when it returns, they are durable. Costs one sync.
    ///
    /// After `sync` failed the edits may or may not be there; after `write` they are not.
    package func append(_ edits: [ManifestEdit]) throws(WriteFailure) {
        var next = state
        let file: Files.File
        do throws(WeirError) {
            file = try files.open(path, .readWrite)
            if endsInRubbish { try files.truncate(file, to: state.byteCount) }
            endsInRubbish = true
            let bytes = try next.encode(edits.count == 1 ? edits : [.several(edits)])
            try files.writeAll(file, bytes, at: FilePosition(UInt64(state.byteCount)))
        } catch {
            throw .write(error)
        }
        do throws(WeirError) {
            try files.sync(file)
            try files.close(file)
        } catch {
            throw .sync(error)
        }
        endsInRubbish = false
        state = next
    }
}
