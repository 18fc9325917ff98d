import Synchronization
import WeirBase
import WeirFormat
import WeirLog

/// What others have a stream's leader do between two groups of appends, since the writer is the
/// leader's alone.
///
///     whoever asks ──errand──▶ queue ──▶ the leader, after its group ─▶ done
///                    └ nobody leads: leads for it
extension Committer {
    /// Called with nothing to do it, or with an error that keeps it from being done.
    typealias Errand = @Sendable (WeirError?) -> Void

    /// Goes on in a new segment, so that what is in the active one can be compacted or retired.
    /// Blocks the thread.
    func sealActive() throws(WeirError) {
        try betweenGroups { writer throws(WeirError) in try writer.sealActive() }
    }

    /// What `sealActive` would leave. Blocks the thread.
    func outlineOfSealed() throws(WeirError) -> LogOutline {
        try betweenGroups { writer throws(WeirError) in try writer.outlineOfSealed() }
    }

    /// Lets a log that never had a record begin at a later offset, so that the records of another
    /// keep theirs; `false` for any other log. Blocks the thread.
    func begin(at offset: Offset) throws(WeirError) -> Bool {
        defer { watch.wake() }
        return try betweenGroups { writer throws(WeirError) in try writer.begin(at: offset) }
    }

    /// Leaves out the offsets up to `end`, where the log ends at `start`, as another had them and
    /// no record any more; `false` where it ends elsewhere. Durable when it returns, with what a
    /// producer has come to by that. Blocks the thread.
    func skip(
        from start: Offset, to end: Offset, noting row: ProducerRow
    ) throws(WeirError) -> Bool {
        defer { watch.wake() }
        return try betweenGroups { writer throws(WeirError) in
            try writer.skip(from: start, to: end, noting: row)
        }
    }

    /// Makes durable what was appended without waiting for that. Blocks the thread.
    func sync() throws(WeirError) {
        try betweenGroups { writer throws(WeirError) in try writer.sync() }
        watch.wake()
    }

    /// Changes settings, and gives those that hold then. Blocks the thread.
    func configure(
        _ change: @escaping @Sendable (inout StreamConfiguration) throws(WeirError) -> Void
    ) throws(WeirError) -> StreamConfiguration {
        try betweenGroups { [self] writer throws(WeirError) in
            var settings = writer.configuration
            let before = settings
            try change(&settings)
            // What its creation has said may stay.
            try settings.validate(
                segmentBytesMin: min(before.segmentBytes, Limits.segmentBytesMin))
            if settings.retention?.heldBy != before.retention?.heldBy {
                try settings.retention?.validateNames()
            }
            // Readers may see more than before, whatever becomes of it.
            defer { watch.wake() }
            try writer.configure(settings)
            acknowledgedLevel = settings.durability == .durable ? .durable : .flushed
            tellGateEnd()
            hasQuota.store(true, ordering: .relaxed)
            countQuota()
            hasQuota.store(settings.quota != nil, ordering: .relaxed)
            return settings
        }
    }

    private func betweenGroups<Result: Sendable>(
        _ body: @escaping @Sendable (SystemWriter) throws(WeirError) -> Result
    ) throws(WeirError) -> Result {
        // A failed sync, whoever asked for it, is the end of appending.
        defer { refuseIfPoisoned() }
        let slot = Slot<Swift.Result<Result, WeirError>>()
        let errand: Errand = { [writer] refusal in
            if let refusal { return slot.finish(.failure(refusal)) }
            do throws(WeirError) {
                slot.finish(.success(try body(writer)))
            } catch {
                slot.finish(.failure(error))
            }
        }
        let leads = try queue.withLock { shared throws(WeirError) in
            if let refusal = shared.queue.refusal { throw refusal }
            shared.errands.append(errand)
            hasErrands.store(true, ordering: .relaxed)
            return shared.queue.beginLead()
        }
        if leads {
            performErrands()
            lead(until: nil)
        }
        return try slot.wait().get()
    }

    /// By the leader.
    func performErrands() {
        guard hasErrands.load(ordering: .relaxed) else { return }
        for errand in takeErrands() { errand(nil) }
        noteUse()
    }

    /// By whoever keeps the lead for ever.
    func refuseErrands(_ error: WeirError) {
        for errand in takeErrands() { errand(error) }
    }

    private func takeErrands() -> [Errand] {
        queue.withLock { shared in
            defer { shared.errands = [] }
            hasErrands.store(false, ordering: .relaxed)
            return shared.errands
        }
    }
}
