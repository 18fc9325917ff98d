/// What flow control can tell. A closed set: each is counted by stream, partition and consumer.
public enum SignalKind: String, Sendable, Hashable, CaseIterable, Codable {
    // A consumer's window.
    /// A consumer's credit was used up, or it was granted none, while the log had more for it.
    case exhausted
    /// Credit came back after `exhausted`, and reading ahead goes on.
    case resumed
    /// One batch larger than the credit left was read, since the consumer waited for it.
    case overdraft
    /// The controller made the window larger, smaller, or cut it in half after a failure.
    case grew
    case shrank
    case halved
    /// A consumer held a batch for longer than its latency budget; told when it gives it back.
    case leaseHeld
    /// A consumer that cannot signal gets a small fixed window.
    case degraded

    // The store's budget.
    /// A subscription waits until the store's budget has room for its first batch.
    case budgetWaited
    /// A subscription was refused, since the store's budget has no room for its first batch.
    case budgetRefused

    // Producers.
    /// Appends wait: permits are used up, or a consumer that the stream waits for lags too far.
    case gateClosed
    case gateOpened
    /// The gate opened although a consumer still lags: it had been closed for as long as it may.
    case gateCapped
    /// An append was refused at once or after its timeout, since the gate was closed.
    case gateRefused

    // Groups of consumers.
    /// A member was not heard of for the time of its lease, or held a batch for as long.
    case leaseLapsed
    /// Another member took a partition over whose lease had lapsed.
    case takenOver
    /// A partition went from one member to another in good order, as one came or left.
    case handedOver
    /// A member's commit was refused, since another member has its partition by now.
    case commitRefused

    // Retention and quotas.
    /// A stream came to have as many bytes as its quota lets it.
    case quotaReached
    /// A cursor began to hold back what the stream's retention lets go, or what is held back came
    /// to twice the bytes of the last time.
    case retentionHeld
    /// Records went that a cursor had not committed, since it held back more than it may.
    case retentionForced

    // The failure path.
    /// A consumer waited with credit left and data in the log, and nothing came.
    case stalled
    /// Reading began anew at the last offset, after an error or a stall.
    case reopened
    /// A deadline passed before there was a batch.
    case timedOut
    /// Records that were expected are not there: told as an error, or skipped by choice.
    case gap
    case gapSkipped
    /// A subscription ended before its stream did: cancelled, or let go.
    case cancelled
}

/// How often each kind of signal came, and when last.
public struct SignalCounts: Sendable, Hashable {
    public struct Entry: Sendable, Hashable {
        public var count = 0
        /// `nil` before the first.
        public var last: Timestamp?
    }
    private var entries = [Entry](repeating: Entry(), count: SignalKind.allCases.count)

    public init() {}

    public subscript(kind: SignalKind) -> Entry { entries[kind.index] }

    package mutating func note(_ kind: SignalKind, at time: Timestamp) {
        entries[kind.index].count += 1
        entries[kind.index].last = max(entries[kind.index].last ?? time, time)
    }

    package mutating func merge(_ other: SignalCounts) {
        for index in entries.indices {
            entries[index].count += other.entries[index].count
            if let last = other.entries[index].last {
                entries[index].last = max(entries[index].last ?? last, last)
            }
        }
    }

    /// The kinds that came at least once.
    public var nonZero: [(kind: SignalKind, entry: Entry)] {
        SignalKind.allCases.map { ($0, self[$0]) }.filter { $0.1.count > 0 }
    }
}

extension SignalKind {
    /// Its place in tables.
    package var index: Int { Self.indices[self] ?? 0 }

    private static let indices: [SignalKind: Int] = Dictionary(
        uniqueKeysWithValues: allCases.enumerated().map { ($1, $0) })
}

/// Whom a signal is about.
public struct SignalSource: Sendable, Hashable {
    public var stream: String
    /// Of a partitioned stream.
    public var partition: Int?
    /// Empty for a producer's signal, and for consumers without a name.
    public var consumer: String
    /// Which mechanisms are on for the consumer, such as `adaptive+prefetch`; empty for a
    /// producer's.
    public var variant: String

    public init(
        stream: String, partition: Int? = nil, consumer: String = "", variant: String = ""
    ) {
        self.stream = stream
        self.partition = partition
        self.consumer = consumer
        self.variant = variant
    }
}

/// One signal, as the event feed tells it.
public struct Signal: Sendable, Hashable {
    public let kind: SignalKind
    public let source: SignalSource
    public let time: Timestamp
    /// For a person; may be empty.
    public let detail: String

    package init(_ kind: SignalKind, _ source: SignalSource, at time: Timestamp, detail: String) {
        self.kind = kind
        self.source = source
        self.time = time
        self.detail = detail
    }
}
