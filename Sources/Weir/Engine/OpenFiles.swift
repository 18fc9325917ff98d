import Synchronization
import WeirBase
import WeirLog

/// The streams of a store that have their segment open for appending: a bounded number.
///
///     leader: a file was opened ─▶ enter ─▶ more than three quarters of the bound? ─▶ a thread of
///                                    │                  Weir's puts some to rest, one at a time
///                                    └────▶ more than the bound? ─▶ the leader does so itself
///
/// `SecondChance` says which. One that is just being led stays, and the next is asked: the bound
/// holds but for as many streams as threads append at that moment, and nobody waits for it.
final class OpenFiles: Sendable {
    private struct State {
        var streams = SecondChance<Committer>()
        var countMax = Limits.openFilesMax
        /// A thread puts streams to rest.
        var isTidying = false
        var hasEnded = false

        var isCrowded: Bool { streams.count > countMax / 4 * 3 }
    }
    private static let refusalsMax = 32
    private let state = Lock(State())
    private let pool: ThreadPool

    init(pool: ThreadPool) { self.pool = pool }

    /// Tests go lower.
    var countMax: Int {
        get { state.withLock { $0.countMax } }
        set { state.withLock { $0.countMax = newValue } }
    }

    /// A leader opened its stream's file. Called when its appends were told.
    func enter(_ committer: Committer) {
        let (isFull, starts) = state.withLock { state in
            guard !state.hasEnded else { return (false, false) }
            state.streams.add(committer)
            let starts = state.isCrowded && !state.isTidying
            if starts { state.isTidying = true }
            return (state.streams.count > state.countMax, starts)
        }
        if isFull { putToRest { $0.streams.count > $0.countMax } }
        if starts {
            pool.run {
                self.putToRest { $0.isCrowded }
                self.state.withLock { $0.isTidying = false }
            }
        }
    }

    /// Gives up when many in a row are led, or their disk refuses: the next opening tries again.
    private func putToRest(while isWanted: (State) -> Bool) {
        var refusals = 0
        while refusals < Self.refusalsMax, let committer = next(isWanted) {
            if committer.rest() {
                refusals = 0
                continue
            }
            refusals += 1
            state.withLock { if !$0.hasEnded { $0.streams.add(committer) } }
        }
    }

    private func next(_ isWanted: (State) -> Bool) -> Committer? {
        state.withLock { state in
            guard isWanted(state) else { return nil }
            return state.streams.next { $0.wasUsed.exchange(false, ordering: .relaxed) }
        }
    }

    /// Holds nobody any more.
    func end() {
        let streams = state.withLock { state in
            defer { state.streams.removeAll() }
            state.hasEnded = true
            return state.streams
        }
        withExtendedLifetime(streams) {}
    }
}

extension Store {
    /// Streams whose segment may be open for appending at a time.
    package var openFilesMax: Int {
        get { housekeeper.openFiles.countMax }
        set { housekeeper.openFiles.countMax = newValue }
    }
}
