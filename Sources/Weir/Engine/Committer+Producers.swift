import WeirBase
import WeirFormat
import WeirLog

/// Appends of named producers: which are repeats, and what becomes of those.
///
///     producer              queue                     leader
///     append 5   ─────────▶ taken: 5     ──────────▶  write, note in the book
///     append 5 again ─────▶ a repeat     ──────────▶  behind it: is 5 in the book?
///                ◀── as durable as asked, or why 5 failed ──
///
/// A repeat holds permits like any append, so no more of them wait than the gate lets through.
extension Committer {
    /// Reads what the log says of its producers, once. Blocks the thread.
    func loadProducers() throws(WeirError) {
        guard !writer.producers.isLoaded else { return }
        writer.producers.load(try writer.view.producers())
    }

    /// Takes a repeat in; `nil` for an append that is new.
    func join(_ call: Queue.Repeat, _ queue: inout Queue) throws(WeirError) -> Queue.Action? {
        try queue.join(call, last: writer.producers.last(of: call.publishing.name))
    }

    /// Takes in what became of a group, and answers the repeats that need no sync; gives back those
    /// that do.
    func settle(
        _ outcome: GroupOutcome<AppendWaiter>, _ group: Group
    ) -> [(call: Queue.Repeat, original: ProducerTable.Entry)] {
        guard outcome.hasProducers || !group.repeats.isEmpty else { return [] }
        // Before anybody is told: whoever is told may send again at once.
        let left = queue.withLock { $0.queue.settle(outcome) }
        tell(left)
        queue.withLock { shared in
            for (batch, _) in left { shared.queue.recycle(batch) }
        }
        var waiting: [(call: Queue.Repeat, original: ProducerTable.Entry)] = []
        for call in group.repeats {
            guard let original = writer.original(of: call) else {
                fail(call, failure(of: call))
                continue
            }
            // An append is written and synced whole: one record tells for all.
            if call.level == .durable, original.offset >= writer.durableEnd {
                waiting.append((call, original))
            } else {
                finish(call, original)
            }
        }
        return waiting
    }

    func finish(_ call: Queue.Repeat, _ original: ProducerTable.Entry) {
        giveBack(call.permits)
        call.waiter.resume(
            .success(
                Receipt(
                    offset: original.offset, recordCount: call.recordCount, epoch: writer.epoch,
                    level: call.level, isDuplicate: true)))
    }

    func fail(_ call: Queue.Repeat, _ error: WeirError) {
        giveBack(call.permits)
        call.waiter.resume(.failure(error))
    }

    private func failure(of call: Queue.Repeat) -> WeirError {
        let known = queue.withLock { $0.queue.failure(of: call.publishing.name) }
        return known
            ?? WeirError(
                .system,
                "The append that this one repeats, of producer \(call.publishing.name) with "
                    + "publishing id \(call.publishing.id), failed; nothing was appended, send it "
                    + "again.", at: .init(stream: name.description))
    }
}
