import WeirBase
import WeirFlow
import WeirIndex

extension IndexFeeder {
    /// What the thread has in its hands.
    struct Feeding {
        var writer: IndexWriter?
        var generation: UInt64 = 0
        /// Streams that are not indexed to their end.
        var due: [StreamID: SystemStream] = [:]
        /// Streams whose log could not be read, and why.
        var failed: [StreamID: (stream: SystemStream, reason: String)] = [:]
        /// Nothing is left to be done for what is indexed.
        var isQuiet = false
        var rebuildReason: String?
        private var mustRebuild = false
        private var finishingSince: Moment?

        var isBehind: Bool { !due.isEmpty }

        /// Whether finishing, asked about for the first time now or before, takes too long.
        mutating func isLate(_ nanoseconds: Int64) -> Bool {
            let now = MonotonicClock.now()
            let start = finishingSince ?? now
            finishingSince = start
            return now - start > nanoseconds
        }

        /// Opens the newest file, or makes the next one if that is not what it should be.
        mutating func open(
            _ files: IndexFiles, _ identity: IndexIdentity, after previous: IndexIdentity?,
            forgetting stale: (StreamID, Range<Offset>) -> Bool
        ) throws(WeirError) {
            let newest = try files.generations().last
            if let newest, let previous, !mustRebuild {
                do throws(WeirError) {
                    writer = try IndexWriter.open(
                        path: files.path(newest), identity, after: previous,
                        forgetting: stale)
                    generation = newest
                    try files.remove(but: newest)
                    return
                } catch {
                    guard error.code == .damaged else { throw error }
                    rebuildReason = "made anew: \(error)"
                }
            }
            try files.remove(but: nil)
            generation = max(newest ?? 0, generation) + 1
            try files.create(generation)
            writer = try IndexWriter.create(path: files.path(generation), identity)
            mustRebuild = false
        }

        mutating func discardIfDamaged(_ error: WeirError) {
            if error.code == .damaged { discard(error.description) }
        }

        mutating func discard(_ reason: String) {
            rebuildReason = "made anew: \(reason)"
            mustRebuild = true
            close()
        }

        mutating func checkpoint() {
            do throws(WeirError) {
                try writer?.checkpoint()
            } catch {
                rebuildReason = "the journal could not be shortened: \(error)"
            }
        }

        mutating func close() {
            do throws(WeirError) {
                try writer?.close()
            } catch {
                // What did not reach the file is indexed again.
                rebuildReason = "the last one did not close: \(error)"
            }
            writer = nil
        }
    }
}
