import Synchronization
package import WeirBase
package import WeirFiles
import WeirFormat

/// Room on the disk for what must go on when users' records have filled it: manifests, cursors,
/// and so everything that makes room again.
///
///     made ── an edit or a cursor's commit meets a full disk ──▶ lent   its blocks are free,
///       ▲                                                         │     users' appends refused
///       └──────────────── there is room again ────────────────────┘
///
/// A file whose blocks are set aside and which nobody reads. To lend it is to remove it. While it
/// is lent, users' appends are kept out, since they would take what was meant for others; each of
/// them looks first whether it can be made again.
package final class DiskReserve<Files: FileSystem>: Sendable {
    private let files: Files
    private let lent = Atomic(false)
    private struct State {
        /// Whether the file is there with all of its blocks, as far as this process knows.
        var isMade = false
        /// Those who are about to use what was lent: nobody takes it from under them.
        var borrowers = 0
    }
    private let state = Lock(State())

    package init(files: Files) { self.files = files }

    /// Whether it was given away and is not there yet again.
    package var isLent: Bool { lent.load(ordering: .relaxed) }

    /// Gives the room away; `false` where there is none to give.
    package func lend() -> Bool {
        state.withLock { state in
            state.isMade = false
            do throws(WeirError) {
                try files.removeFile(StoreLayout.reserve)
            } catch {
                return false
            }
            lent.store(true, ordering: .relaxed)
            return true
        }
    }

    /// Sets the room aside, unless it is. `false` where there is not so much; then nothing is
    /// changed. Costs a few system calls.
    @discardableResult
    package func make() -> Bool {
        state.withLock { state in
            if state.isMade { return true }
            if state.borrowers > 0 { return false }
            do throws(WeirError) {
                state.isMade = try reserve()
            } catch {
                state.isMade = false
            }
            if state.isMade { lent.store(false, ordering: .relaxed) }
            return state.isMade
        }
    }

    private func reserve() throws(WeirError) -> Bool {
        let isThere = try files.list("").contains(StoreLayout.reserve)
        let file = try files.open(StoreLayout.reserve, isThere ? .readWrite : .createExclusive)
        let isWhole = files.reserve(
            file, from: .zero, to: FilePosition(UInt64(Limits.reserveBytes)))
        try files.close(file)
        if !isWhole { try files.removeFile(StoreLayout.reserve) }
        return isWhole
    }

    /// Does something that is to go on when the disk is full: once more with the room of the
    /// reserve, if there was none. Also where there is nothing to lend: a try to make the reserve
    /// takes all room for a moment, and gives it back when that is too little.
    package func lending<Result, Failure: Error>(
        isFull: (Failure) -> Bool, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        do throws(Failure) {
            return try body()
        } catch {
            guard isFull(error) else { throw error }
            state.withLock { $0.borrowers += 1 }
            defer { state.withLock { $0.borrowers -= 1 } }
            _ = lend()
            return try body()
        }
    }

    /// Throws `noSpace` for a user's append while the room is lent.
    func expectMade(_ stream: StreamName) throws(WeirError) {
        guard isLent, !make() else { return }
        throw WeirError(
            .noSpace,
            "The disk is full, and what was kept in reserve is in use for cursors and manifests; "
                + "nothing was appended. Make room: `weir trim`, retention, or other files.",
            at: .init(stream: stream.description))
    }
}

extension WeirError {
    package static func isNoSpace(_ error: WeirError) -> Bool { error.code == .noSpace }
}
