package import Synchronization
package import WeirBase
package import WeirFiles
package import WeirFormat

/// One file of batches as its readers share it: opened and mapped on first use.
///
/// A sealed file never changes. An active one grows below a map that already has its whole maximal
/// size, so tailing needs no new one; `readableEnd` says how far its bytes may be looked at.
package final class ReadableSegment<Files: FileSystem>: Sendable {
    package let id: SegmentID
    package let base: Offset
    package let path: String
    package let generation: UInt32
    private let files: Files
    private let mapByteCount: Int
    private let readable: Atomic<UInt64>
    private let state: Lock<State>

    private struct State {
        var file: Files.File?
        var mapping: Mapping?
        var sealed: SealedSegment?
        /// Live statistics of an active segment; of a sealed one, its footer once it was read.
        var summary: SegmentSummary?
    }

    /// `summary` is given for an active segment, `sealed` for a sealed one.
    package init(
        files: Files, entry: SegmentEntry, path: String, mapByteCount: Int,
        readableEnd: FilePosition, summary: SegmentSummary?
    ) {
        self.id = entry.id
        self.base = entry.base
        self.path = path
        self.generation = entry.generation
        self.files = files
        self.mapByteCount = mapByteCount
        self.readable = Atomic(readableEnd.value)
        self.state = Lock(State(sealed: entry.sealed, summary: summary))
    }

    deinit {
        // A descriptor opened for reading has nothing to lose by a failing close.
        state.withLock { state in
            if let file = state.file {
                do throws(WeirError) { try files.close(file) } catch { _ = error }
            }
        }
    }

    package var readableEnd: FilePosition {
        FilePosition(readable.load(ordering: .acquiring))
    }
    package var sealed: SealedSegment? { state.withLock { $0.sealed } }

    package func advance(readableEnd: FilePosition) {
        readable.store(readableEnd.value, ordering: .releasing)
    }

    package func seal(_ sealed: SealedSegment, summary: SegmentSummary?) {
        readable.store(sealed.batchesEnd.value, ordering: .releasing)
        state.withLock {
            $0.sealed = sealed
            $0.summary = summary ?? $0.summary
        }
    }

    /// The writer notes each batch, so that searches in an active segment find their block.
    package func note(_ change: (inout SegmentSummary) -> Void) {
        state.withLock { state in
            if state.summary != nil { change(&state.summary!) }
        }
    }

    package func file() throws(WeirError) -> Files.File {
        if let file = state.withLock({ $0.file }) { return file }
        let opened = try files.open(path, .read)
        let (kept, surplus) = state.withLock { state -> (Files.File, Files.File?) in
            if let file = state.file { return (file, opened) }
            state.file = opened
            return (opened, nil)
        }
        if let surplus { try files.close(surplus) }
        return kept
    }

    package func mapping() throws(WeirError) -> Mapping {
        if let mapping = state.withLock({ $0.mapping }) { return mapping }
        let made = try files.map(file(), byteCount: mapByteCount)
        return state.withLock { state in
            if let mapping = state.mapping { return mapping }
            state.mapping = made
            return made
        }
    }
}
