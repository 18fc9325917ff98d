package import WeirBase
package import WeirFiles
import WeirFormat

/// Files of segments that were replaced or retired, until their last reader has let go of them.
///
///     edit in the manifest ─▶ expected ── last reader leaves ──▶ due ── sweep ──▶ gone
///
/// The manifest let them go before: what a crash leaves of them, the next opening removes.
package final class Leftovers<Files: FileSystem>: Sendable {
    private struct State {
        var due: [(path: String, byteCount: UInt64)] = []
        /// Of files that are still there.
        var byteCount: UInt64 = 0
    }
    private let state = Lock(State())
    private let files: Files

    package init(files: Files) { self.files = files }

    /// Bytes of files that would be gone if nobody read them.
    package var pendingBytes: UInt64 { state.withLock { $0.byteCount } }

    /// Called before the segments are taken out of the readers' view.
    package func expect(_ segments: [ReadableSegment<Files>]) {
        for segment in segments {
            let path = segment.path
            let byteCount = segment.sealed?.fileBytes ?? 0
            state.withLock { $0.byteCount += byteCount }
            segment.retire { [weak self] in
                self?.state.withLock { $0.due.append((path, byteCount)) }
            }
        }
    }

    /// Removes the files that nobody reads. What cannot be removed now is tried again at the next
    /// sweep, and at the next opening; the error says what the system said.
    package func sweep() throws(WeirError) {
        let due = state.withLock { state in
            defer { state.due = [] }
            return state.due
        }
        guard !due.isEmpty else { return }
        var failure: WeirError?
        var directories: Set<String> = []
        for (path, byteCount) in due {
            do throws(WeirError) {
                try files.removeFile(path)
                let end = path.lastIndex(of: "/") ?? path.startIndex
                directories.insert(String(path[..<end]))
            } catch {
                if error.code != .notFound {
                    failure = failure ?? error
                    state.withLock { $0.due.append((path, byteCount)) }
                    continue
                }
            }
            state.withLock { $0.byteCount -= byteCount }
        }
        for directory in directories {
            do throws(WeirError) {
                try files.syncDirectory(directory)
            } catch {
                // A stream that was deleted took its directory along.
                if error.code != .notFound { failure = failure ?? error }
            }
        }
        if let failure { throw failure }
    }
}
