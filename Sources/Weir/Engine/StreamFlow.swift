import Synchronization
import WeirBase
import WeirFiles
import WeirFlow
import WeirFormat
import WeirLog

/// What all subscriptions of a store share.
final class StoreFlow: Sendable {
    let budget: StoreBudget
    let signals = SignalBook()
    let timers = Timers()
    let tail = TailClock()
    let quota = StoreQuota()
    /// Of threads whose appends wait.
    let waitingWatch = Lock<WaitingWatch?>(nil)
    private let flags: Lock<FlowFlags>
    private let keys = Atomic<UInt64>(0)
    /// Goes up with each group of appends: what is not urgent makes way for them.
    let groupsWritten = Atomic<UInt64>(0)
    /// Of these, how many are being written or synced.
    let groupsUnderWay = Atomic<UInt64>(0)

    init(budgetBytes: Int, flags: FlowFlags) {
        let timers = timers
        budget = StoreBudget(total: budgetBytes) { timers.schedule(after: 0, $0) }
        self.flags = Lock(flags)
    }

    func nextKey() -> UInt64 { keys.add(1, ordering: .relaxed).newValue }
    func variant(for consumer: String) -> FlowVariant {
        flags.withLock { $0.variant(for: consumer) }
    }
    func set(_ new: FlowFlags) { flags.withLock { $0 = new } }
    var currentFlags: FlowFlags { flags.withLock { $0 } }

    func end() {
        budget.end()
        timers.end()
        signals.end()
    }
}

/// When a consumer of the store was last served at the end of its log.
final class TailClock: Sendable {
    private let nanoseconds = Atomic(Int64.min)

    func note(_ now: Moment) { nanoseconds.store(now.nanoseconds, ordering: .relaxed) }

    var served: Moment? {
        let found = nanoseconds.load(ordering: .relaxed)
        return found == .min ? nil : Moment(nanoseconds: found)
    }
}

/// Whom a feed's figures are about.
struct FeedLabel: Sendable {
    let key: UInt64
    let name: String
    /// Under which its signals are counted; empty for those without a name.
    let source: String
    let mode: String
    let variant: FlowVariant

    /// Producers may wait for those who have a name.
    var isBound: Bool { !source.isEmpty && variant.lagBoundProducers }
}

/// The subscriptions of one stream.
final class StreamFeeds: Sendable {
    struct Entry: Sendable {
        let feed: Feed<RealFileSystem>
        let label: FeedLabel
        let account: BudgetAccount
        /// Of a consumer whom producers may wait for.
        let request: UInt64?
    }
    private struct State {
        var entries: [UInt64: Entry] = [:]
        /// Subscriptions that wait for a place in the store's budget.
        var pending: [UInt64: @Sendable (WeirError) -> Void] = [:]
        var latencies: LatencyBook?
    }
    private let state = Lock(State())
    /// Made for the first subscription: most streams of a large store have none.
    var latencies: LatencyBook {
        state.withLock { state in
            let book = state.latencies ?? LatencyBook()
            state.latencies = book
            return book
        }
    }

    func latencyReport(stream: String) -> [FlowReport.Latency] {
        state.withLock { $0.latencies }?.report(stream: stream) ?? []
    }

    func add(_ entry: Entry) { state.withLock { $0.entries[entry.label.key] = entry } }

    /// The one that it was: let go outside the lock.
    func remove(_ key: UInt64) -> Entry? { state.withLock { $0.entries.removeValue(forKey: key) } }

    var all: [Entry] {
        state.withLock { Array($0.entries.values) }.sorted { $0.label.key < $1.label.key }
    }

    func addPending(_ key: UInt64, _ tell: @escaping @Sendable (WeirError) -> Void) {
        state.withLock { $0.pending[key] = tell }
    }

    func removePending(_ key: UInt64) {
        let tell = state.withLock { $0.pending.removeValue(forKey: key) }
        withExtendedLifetime(tell) {}
    }

    /// Ends every subscription with an error.
    func finish(_ error: WeirError) {
        for entry in all { entry.feed.finish(error) }
        let pending = state.withLock { Array($0.pending.values) }
        for tell in pending { tell(error) }
    }
}

extension LogStream {
    /// A subscription's reader, known to the stream until it ends.
    func makeFeed(
        _ label: FeedLabel, settings: FeedSettings, account: BudgetAccount, start: StartPosition,
        reading: Reading
    ) -> Feed<RealFileSystem> {
        let feed = Feed(
            view: view, settings: settings, reading: reading == .mapped ? .mapped : .copied,
            account: account, around: surroundings(label)
        ) { () throws(WeirError) in try self.begin(start) }
        let request =
            label.isBound ? releaseRequests.add { [weak feed] in feed?.tellReleased() } : nil
        feeds.add(.init(feed: feed, label: label, account: account, request: request))
        // A stream that was closed meanwhile has told the others already.
        if isClosed { feed.finish(Store.closed()) }
        return feed
    }

    /// Whose signals a consumer's are.
    func source(_ consumer: String, _ variant: FlowVariant) -> SignalSource {
        SignalSource(
            stream: name.description, partition: open.configuration.partition?.index,
            consumer: consumer, variant: "\(variant)")
    }

    private func surroundings(_ label: FeedLabel) -> FeedSurroundings {
        let source = self.source(label.source, label.variant)
        let began = Host.wallClock()
        let latencies = feeds.latencies
        return FeedSurroundings(
            run: { self.pool.run($0) },
            whenMore: { self.whenMore(than: $0, key: label.key, $1) },
            after: { self.flow.timers.schedule(after: $0, $1) },
            now: MonotonicClock.now,
            random: { UInt64.random(in: 0 ... .max) },
            note: { self.flow.signals.note($0, source, detail: $1) },
            released: { offset in
                if label.isBound { self.consumer(label.source, released: offset) }
            },
            delivered: { batch in
                // Of what had been there before, it would tell the log's age.
                guard batch.header.appendTime >= began else { return }
                latencies.noteDelivery(
                    microseconds: Host.wallClock().microseconds
                        - batch.header.appendTime.microseconds,
                    records: batch.header.recordCount, variant: label.variant)
            },
            tail: flow.tail,
            residence: { nanoseconds, records in
                latencies.noteRelease(
                    microseconds: nanoseconds / 1000, records: records, variant: label.variant)
            },
            ended: {
                self.watch.forget(label.key)
                if label.isBound { self.consumerEnded(label.source) }
                guard let entry = self.feeds.remove(label.key) else { return }
                if let request = entry.request { self.releaseRequests.remove(request) }
                entry.account.close()
            })
    }

    /// Calls once when the stream shows more than it did up to an offset.
    private func whenMore(
        than offset: Offset, key: UInt64, _ body: @escaping @Sendable () -> Void
    ) {
        guard engine.isReadOnly else {
            return watch.call(key, when: { self.view.visibleEnd > offset || self.isClosed }, body)
        }
        // Its feeds end, and the threads have.
        if isClosed { return }
        // A reading process waits on a thread, a second at a time, so that it sees an end.
        waiters.run {
            do throws(WeirError) {
                try self.engine.wait(self.open, beyond: offset, milliseconds: 1000)
            } catch {
                // What the writer published cannot be looked at now; perhaps in a second.
                self.flow.timers.schedule(after: 1_000_000_000, body)
                return
            }
            body()
        }
    }
}
