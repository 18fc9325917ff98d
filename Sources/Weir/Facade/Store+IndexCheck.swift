public import WeirBase
import WeirFormat
import WeirIndex

/// What holding the index against the log found.
public struct IndexCheckReport: Sendable {
    /// How far the index has come.
    public let index: IndexReport
    /// Why it, or the rest of it, was not looked at; `nil` if all was.
    public let trouble: String?
    /// Streams that cannot be opened are among them: of these nothing was compared.
    public let findings: [DamageReport]
    /// Keys and headers of records that were looked up, or compared.
    public let keyCount: Int
}

extension Store {
    /// Holds the index of keys against the log: whether SQLite finds its tables whole, each run its
    /// checksum, and whether it answers what the records say, of a thousand records of each stream,
    /// or of every key.
    ///
    /// Changes nothing, and works beside a writer. `everyKey` reads the whole log and the whole
    /// index. Blocks the thread. `progress` is told how many keys were compared, and ends the work
    /// by returning false. Throws what opening a store throws.
    public static func checkIndex(
        ofStoreAt path: String, everyKey: Bool = false, progress: (Int) -> Bool = { _ in true }
    ) throws(WeirError) -> IndexCheckReport {
        try withStore(at: path, .read) { store throws(WeirError) in
            let report = store.indexReport()
            // Whether the index says what their records say, nobody knows.
            let unopened = store.reports.filter { $0.kind == .unreadableStream }
            switch try IndexCheck.open(store.engine, leavingFiles: false) {
            case .none(let reason):
                return IndexCheckReport(
                    index: report, trouble: reason, findings: unopened, keyCount: 0)
            case .damaged(let finding):
                return IndexCheckReport(
                    index: report, trouble: nil, findings: unopened + [finding], keyCount: 0)
            case .check(var check):
                try check.run(everyKey ? .everyKey : .sample, isWanted: progress)
                return IndexCheckReport(
                    index: report, trouble: check.trouble, findings: unopened + check.findings,
                    keyCount: check.keyCount)
            }
        }
    }
}

/// How far the making of an index is.
public struct IndexProgress: Sendable, Hashable, Codable {
    /// A stream that is indexed.
    public struct Stream: Sendable, Hashable, Codable {
        public let name: String
        public let first: UInt64
        public let coveredEnd: UInt64
        /// Where the log ended when this was asked.
        public let end: UInt64

        package init(name: String, first: UInt64, coveredEnd: UInt64, end: UInt64) {
            self.name = name
            self.first = first
            self.coveredEnd = coveredEnd
            self.end = end
        }
    }
    public let generation: UInt64?
    /// What keeps it from going on at the moment.
    public let trouble: String?
    public let streams: [Stream]

    package init(generation: UInt64?, trouble: String?, streams: [Stream]) {
        self.generation = generation
        self.trouble = trouble
        self.streams = streams
    }

    /// Offsets that are covered, and that there are.
    public var covered: Int { streams.reduce(0) { $0 + Int($1.coveredEnd - $1.first) } }
    public var total: Int { streams.reduce(0) { $0 + Int($1.end - $1.first) } }
}

/// Whether an index that is made anew is done: a decider.
package struct IndexRebuild: Sendable {
    private let generation: UInt64
    private let ends: [String: UInt64]
    private var last: IndexProgress
    private var idleCount = 0
    /// Asked so often without a step forward, trouble that is told is believed to stay.
    package static let idleCountMax = 50

    package enum Action: Sendable, Hashable {
        case wait
        case done
        case fail(String)
    }

    /// As it stood when it was thrown away: what was appended later need not be waited for.
    package init(_ before: IndexProgress) {
        generation = before.generation ?? 0
        ends = Dictionary(before.streams.map { ($0.name, $0.end) }) { $1 }
        last = before
    }

    package mutating func look(_ now: IndexProgress) -> Action {
        let isNew = (now.generation ?? 0) > generation
        // One that was deleted meanwhile is not missed.
        let isDone = now.streams.allSatisfy { $0.coveredEnd >= ends[$0.name] ?? 0 }
        if isNew, isDone { return .done }
        idleCount =
            now.covered == last.covered && now.generation == last.generation
            ? idleCount + 1 : 0
        last = now
        if let trouble = now.trouble, idleCount >= Self.idleCountMax { return .fail(trouble) }
        return .wait
    }
}
