package import WeirBase
package import WeirFormat

/// Whose append it is, and its number.
package struct Publishing: Sendable, Hashable {
    package let name: ProducerName
    package let id: UInt64
    package init(name: ProducerName, id: UInt64) {
        self.name = name
        self.id = id
    }
}

/// One producer's appends in a batch.
package struct ProducerMark: Sendable, Hashable {
    package let name: ProducerName
    package let firstID: UInt64
    package internal(set) var lastID: UInt64
    /// Where the records of the last append begin.
    package internal(set) var index: Int

    package init(name: ProducerName, id: UInt64, index: Int) {
        self.name = name
        self.firstID = id
        self.lastID = id
        self.index = index
    }
}

/// What became of the batches that a leader took.
package struct GroupOutcome<Waiter: Sendable> {
    package var written: [(batch: CommitQueue<Waiter>.Batch, first: Offset)] = []
    package var failed: [(batch: CommitQueue<Waiter>.Batch, error: WeirError)] = []
    /// Noted on the way: mostly there are none, and nothing has to be looked for.
    package var hasProducers = false

    package init(
        written: [(batch: CommitQueue<Waiter>.Batch, first: Offset)] = [],
        failed: [(batch: CommitQueue<Waiter>.Batch, error: WeirError)] = []
    ) {
        self.written = written
        self.failed = failed
    }
}

/// Which appends of named producers are repeats.
///
///     id ≤ the last one under way, or else in the log   ─▶ a repeat: waits for the leader's word
///     behind one that failed, which was not sent again   ─▶ refused with that one's error
///     else                                               ─▶ new: goes into a batch
///
/// An id is taken when its append is added, and given back when that fails. Then everything behind
/// it fails too, in whichever batch it waits: were id 6 written after id 5 had failed, a second 5
/// would pass for a duplicate and be lost.
extension CommitQueue {
    struct UnderWay: Sendable {
        var lastID: UInt64
        /// Batches that hold some of its appends.
        var batchCount = 0
    }
    package struct Failure: Sendable {
        let id: UInt64
        let error: WeirError
    }

    /// An append that has been sent before. It waits like any other, and is answered by the leader,
    /// who has the original behind it by then.
    package struct Repeat: Sendable {
        package let publishing: Publishing
        package let recordCount: Int
        package let level: DurabilityLevel
        /// Held until it is answered.
        package let permits: Credit
        package let waiter: Waiter
        /// The original, or a later append of its producer, if the log had it already.
        package fileprivate(set) var known: ProducerTable.Entry?

        package init(
            _ publishing: Publishing, recordCount: Int, level: DurabilityLevel, permits: Credit,
            waiter: Waiter
        ) {
            self.publishing = publishing
            self.recordCount = recordCount
            self.level = level
            self.permits = permits
            self.waiter = waiter
        }
    }

    /// Takes a repeat in; `nil` for an append that is new. `last` is what the log has.
    package mutating func join(
        _ candidate: Repeat, last: ProducerTable.Entry?
    ) throws(WeirError) -> Action? {
        if let refusal { throw refusal }
        let (name, id) = (candidate.publishing.name, candidate.publishing.id)
        if let taken = underWay[name]?.lastID ?? last?.lastPublishingID, id <= taken {
            var joined = candidate
            if let last, id <= last.lastPublishingID { joined.known = last }
            repeats.append(joined)
            return led()
        }
        if let failure = failures[name], id > failure.id { throw failure.behind(id) }
        return nil
    }

    /// Whether a batch has room for one more producer's appends.
    func hasRoom(in batch: Batch, for publishing: Publishing?) -> Bool {
        guard let publishing, batch.marks.count >= Limits.batchProducersMax else { return true }
        return batch.marks.contains { $0.name == publishing.name }
    }

    /// The records behind `index` of a batch are this append's.
    mutating func note(_ publishing: Publishing, in batch: Batch, index: Int) {
        let (name, id) = (publishing.name, publishing.id)
        failures[name] = nil
        var state = underWay[name] ?? UnderWay(lastID: id)
        state.lastID = id
        if let place = batch.marks.lastIndex(where: { $0.name == name }) {
            batch.marks[place].lastID = id
            batch.marks[place].index = index
        } else {
            batch.marks.append(ProducerMark(name: name, id: id, index: index))
            state.batchCount += 1
        }
        underWay[name] = state
    }

    /// The leader's next work with the repeats that came meanwhile; `nil` ends the lead.
    package mutating func takeGroup(
        keepingLead: Bool = false
    ) -> (batches: [Batch], repeats: [Repeat])? {
        guard let batches = take(keepingLead: keepingLead) else { return nil }
        return (batches, takeRepeats())
    }

    package mutating func takeRepeats() -> [Repeat] {
        defer { repeats = [] }
        return repeats
    }

    /// Takes in what became of a group, before anybody is told: what was written is the log's to
    /// know, and what waits behind a failed append is given back, to fail with it.
    package mutating func settle(
        _ outcome: GroupOutcome<Waiter>
    ) -> [(batch: Batch, error: WeirError)] {
        for (batch, _) in outcome.written {
            for mark in batch.marks { end(mark.name) }
        }
        var broken: [ProducerName: Failure] = [:]
        for (batch, error) in outcome.failed { breakOff(batch, error, &broken) }
        if broken.isEmpty { return [] }
        var left: [(batch: Batch, error: WeirError)] = []
        var kept: [Batch] = []
        for batch in ready + (open.map { [$0] } ?? []) {
            guard let mark = batch.marks.first(where: { broken[$0.name] != nil }),
                let failure = broken[mark.name]
            else {
                kept.append(batch)
                continue
            }
            if batch === open { open = nil }
            // Others in the same batch cannot be told apart any more: they fail with it.
            breakOff(batch, failure.error, &broken)
            left.append((batch, failure.error))
        }
        ready = kept.filter { $0 !== open }
        for batch in kept { holdAgain(batch, broken) }
        for (name, failure) in broken {
            if failures.count >= Limits.producersMax { _ = failures.popFirst() }
            failures[name] = failure
        }
        return left
    }

    private mutating func end(_ name: ProducerName) {
        guard var state = underWay[name] else { return }
        state.batchCount -= 1
        underWay[name] = state.batchCount > 0 ? state : nil
    }

    private mutating func breakOff(
        _ batch: Batch, _ error: WeirError, _ broken: inout [ProducerName: Failure]
    ) {
        for mark in batch.marks {
            underWay[mark.name] = nil
            // The first that failed is the one to go on from.
            broken[mark.name] = broken[mark.name] ?? Failure(id: mark.firstID, error: error)
        }
    }

    /// What waits before a place where others broke a producer off is under way still: were it
    /// forgotten, a repeat of it would be written a second time.
    private mutating func holdAgain(_ batch: Batch, _ broken: [ProducerName: Failure]) {
        for mark in batch.marks where broken[mark.name] != nil {
            var state = underWay[mark.name] ?? UnderWay(lastID: mark.lastID)
            state.lastID = mark.lastID
            state.batchCount += 1
            underWay[mark.name] = state
        }
    }

    /// Why an append of this producer failed that was not sent again.
    package func failure(of name: ProducerName) -> WeirError? { failures[name]?.error }

    /// Whoever asks for a producer anew knows where to go on.
    package mutating func forgive(_ name: ProducerName) { failures[name] = nil }
}

extension CommitQueue.Failure {
    func behind(_ found: UInt64) -> WeirError {
        WeirError(
            error.code,
            "The append with publishing id \(id) failed, so the one with \(found) is not taken; "
                + "send \(id) again first, or ask for the producer anew and go on from its last "
                + "publishing id.", at: error.place, cause: error.cause ?? error.message,
            errno: error.errno)
    }
}

extension LogWriter {
    /// Writes what a leader took, in its order. A batch behind a failed one of the same producer
    /// fails with it.
    package func writeGroup<Waiter>(
        _ batches: [CommitQueue<Waiter>.Batch]
    ) -> GroupOutcome<Waiter> {
        var outcome = GroupOutcome<Waiter>()
        var broken: [ProducerName: WeirError] = [:]
        for batch in batches {
            if !batch.marks.isEmpty { outcome.hasProducers = true }
            do throws(WeirError) {
                for mark in batch.marks {
                    if let error = broken[mark.name] { throw error }
                }
                let first = try append(
                    &batch.builder, expecting: batch.expecting, marks: batch.marks,
                    adoption: batch.adoption, needsSync: batch.needsSync)
                outcome.written.append((batch, first))
            } catch {
                for mark in batch.marks { broken[mark.name] = error }
                outcome.failed.append((batch, error))
            }
        }
        return outcome
    }

    /// Where the original of a repeat stands, or a later append of its producer; `nil` if it
    /// failed. Asked when the group that holds the original was written.
    package func original<Waiter>(
        of repeated: CommitQueue<Waiter>.Repeat
    ) -> ProducerTable.Entry? {
        if let known = repeated.known { return known }
        guard let entry = producers.last(of: repeated.publishing.name),
            entry.lastPublishingID >= repeated.publishing.id
        else { return nil }
        return entry
    }
}
