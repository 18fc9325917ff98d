import WeirBase
import WeirFiles
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
        /// What another thread reads of a stream while what lies before it is written.
        private var ahead: KeyReadAhead?
        /// In vain, one after the other.
        private var checkpointTries = 0
        private static let checkpointTriesMax = 60

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

        /// Has another thread read on, if none does that already. One stream at a time: what nobody
        /// took of another is let go. Where the system has no thread to give, the next pass reads.
        mutating func readAhead(
            of stream: StreamID, from start: Offset,
            _ read: @escaping @Sendable (Offset) -> KeyReadAhead.Part
        ) {
            if let ahead, ahead.continues(stream, at: start) { return }
            endAhead()
            do throws(WeirError) {
                ahead = try KeyReadAhead(of: stream, from: start, read)
            } catch {
                ahead = nil
            }
        }

        /// What was read of a stream from there on, if that was; waits for it.
        func takeAhead(of stream: StreamID, from start: Offset) -> KeyReadAhead.Part? {
            guard let ahead, ahead.continues(stream, at: start) else { return nil }
            return ahead.take()
        }

        /// Nothing more is read ahead until `readAhead` says so.
        func pauseAhead() { ahead?.stop() }

        /// And what nobody took is let go.
        mutating func endAhead() { ahead.take()?.stop() }

        mutating func discardIfDamaged(_ error: WeirError) {
            if error.code == .damaged { discard(error.description) }
        }

        mutating func discard(_ reason: String) {
            rebuildReason = "made anew: \(reason)"
            mustRebuild = true
            close()
        }

        /// Whether it need not be asked again: the journal is cut, or could not be for a minute of
        /// quiet seconds, since somebody looks in it.
        mutating func checkpoint() -> Bool {
            do throws(WeirError) {
                checkpointTries = try writer?.checkpoint() ?? true ? 0 : checkpointTries + 1
            } catch {
                checkpointTries += 1
                rebuildReason = "the journal could not be shortened: \(error)"
                discardIfDamaged(error)
            }
            if checkpointTries >= Self.checkpointTriesMax { checkpointTries = 0 }
            return checkpointTries == 0
        }

        mutating func close() {
            endAhead()
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
