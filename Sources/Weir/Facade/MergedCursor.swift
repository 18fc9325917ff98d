public import WeirBase

/// A record of one of several streams.
public struct MergedRecord: Sendable, Hashable {
    /// The stream's place in the list that is merged.
    public let source: Int
    public let stream: StreamName
    public let record: Record
}

/// A synchronous reader of several streams, in the order of their record times.
///
/// ```swift
/// var merged = try Store.merged(orders.partitions, from: .time(noon))
/// while case .record(let found) = try merged.next() { print(found.stream, found.record.time) }
/// ```
///
/// Of the records that come next in each stream, the one with the least time is given; of equal
/// times, that of the first stream in the list. Within a stream the order of the log is kept: where
/// its times go back, such a record comes at once behind the one before it, as late as it is.
///
/// Each stream is read by a cursor of its own, a batch at a time. So it holds no more than one
/// batch a stream, copied, whatever the streams' lengths. The cursor may wait for the disk: use
/// `Store.replay` in tasks.
public struct MergedCursor: ~Copyable {
    /// What a step found.
    public enum Step: Sendable, Hashable {
        case record(MergedRecord)
        /// Records of one of the streams are missing; the next step goes on.
        case gap(Gap, stream: StreamName)
        /// Nothing more at the moment, in any of them. The next step looks again.
        case end
    }

    private let sources: [MergeSource]
    private var queue = MergeQueue()
    /// Sources of which it is not known what comes next. The last one is asked first.
    private var unasked: [Int]
    /// Sources that were at their end. They rest until all are: what is appended to one of them
    /// meanwhile might be older than what was given already.
    private var resting: [Int] = []

    init(_ sources: [MergeSource]) {
        self.sources = sources
        self.unasked = Array(sources.indices.reversed())
    }

    /// Goes to the next record.
    ///
    /// Errors as `Cursor.next`; it may be asked again, and goes on where it was.
    public mutating func next() throws(WeirError) -> Step {
        while let index = unasked.last {
            let source = sources[index]
            switch try source.fill() {
            case .batch:
                if let time = source.nextTime { queue.insert(time, of: index) }
            case .gap(let gap): return .gap(gap, stream: source.name)
            case .end: resting.append(index)
            }
            unasked.removeLast()
        }
        guard let first = queue.takeFirst(), let record = sources[first.source].take() else {
            unasked = resting.sorted(by: >)
            resting = []
            return .end
        }
        let source = sources[first.source]
        if let time = source.nextTime {
            queue.insert(time, of: first.source)
        } else {
            unasked.append(first.source)
        }
        return .record(MergedRecord(source: first.source, stream: source.name, record: record))
    }

    /// Waits at the end for more in any of the streams, at most so long. Blocks the thread.
    ///
    /// Looks at all of them every few milliseconds.
    public func wait(milliseconds: Int) throws(WeirError) {
        let step = min(milliseconds, sources.count == 1 ? milliseconds : Self.waitMilliseconds)
        var left = milliseconds
        while left > 0 {
            for source in sources where try source.hasMore() { return }
            try sources.first?.wait(milliseconds: min(step, left))
            left -= step
        }
    }

    private static let waitMilliseconds = 10

    /// Bytes found damaged on the way that cost no record.
    public var reports: [DamageReport] { sources.flatMap(\.reports) }

    /// Why the log of one of the streams is read, where the records of a key or header are merged
    /// and the index is of no use there; `nil` where it is used.
    public var scanReason: String? { sources.lazy.compactMap(\.scanReason).first }
}

/// One of the streams that are merged: its cursor, and the batch that it stands in.
final class MergeSource {
    let name: StreamName
    private let stream: LogStream
    private var cursor: Cursor
    /// Where only some of the records are wanted; the cursor stands behind the last of
    /// them then.
    private var keyed: KeyedRecords?
    /// Copies, since borrowed records cannot outlive the cursor's next step.
    private var records: [Record] = []
    private var place = 0

    init(
        _ stream: LogStream, from start: StartPosition, _ wanted: WantedField? = nil
    ) throws(WeirError) {
        self.name = stream.name
        self.stream = stream
        guard let wanted else {
            self.cursor = try stream.cursor(from: start)
            return
        }
        let keyed = KeyedRecords(
            stream, wanted, from: try stream.offset(of: start), before: nil)
        self.cursor = try stream.cursor(from: .offset(keyed.endOffset))
        self.keyed = consume keyed
    }

    /// Of the next record; `nil` where the batch is used up.
    var nextTime: Timestamp? { place < records.count ? records[place].time : nil }

    func take() -> Record? {
        guard place < records.count else { return nil }
        defer { place += 1 }
        return records[place]
    }

    /// Brings in the next batch that has a record.
    func fill() throws(WeirError) -> Cursor.Step {
        records = []
        place = 0
        switch try keyed?.next() {
        case .record(let record)?:
            records = [record]
            return .batch
        case .gap(let gap)?: return .gap(gap)
        case .end?: return .end
        case nil: break
        }
        while true {
            let step = try cursor.next()
            guard step == .batch else { return step }
            let copies = Self.copies(cursor)
            try cursor.expectIntact()
            records = copies
            if !records.isEmpty { return .batch }
        }
    }

    private static func copies(_ cursor: borrowing Cursor) -> [Record] {
        var copies: [Record] = []
        var batch = cursor.records
        while let record = batch.next() { copies.append(record.copy()) }
        return copies
    }

    /// Whether something was appended since the cursor was at the end. A key's records are those
    /// that were there at the beginning.
    func hasMore() throws(WeirError) -> Bool {
        guard keyed == nil else { return false }
        return try stream.offset(of: .next) > cursor.nextOffset
    }

    func wait(milliseconds: Int) throws(WeirError) { try cursor.wait(milliseconds: milliseconds) }

    var reports: [DamageReport] { cursor.reports }
    var scanReason: String? { keyed?.scanReason }
}

extension Store {
    /// Reads several streams, or the partitions of one, as one, in the order of record times.
    ///
    /// The position is looked for in each of them: `.first`, `.time` and `.appended` mean the same
    /// in all. A stream may be in the list once only. Throws `invalidArgument` for an empty list or
    /// a stream that is in it twice, and what looking for the position meets. May wait for the
    /// disk.
    public static func merged(
        _ streams: [LogStream], from start: StartPosition = .first
    ) throws(WeirError) -> MergedCursor {
        try merged(streams.map { ($0, start) })
    }

    /// The same, of the records that have a key: those that the streams have now, found as
    /// `LogStream.records(key:from:)` finds them.
    ///
    /// All partitions are looked through where partitions are merged; `PartitionedStream.records`
    /// asks the key's alone.
    public static func merged(
        _ streams: [LogStream], key: [UInt8], from start: StartPosition = .first
    ) throws(WeirError) -> MergedCursor {
        try merged(streams, .key(key), from: start)
    }

    /// The same for a key that is text, in UTF-8.
    public static func merged(
        _ streams: [LogStream], key: String, from start: StartPosition = .first
    ) throws(WeirError) -> MergedCursor {
        try merged(streams, key: Array(key.utf8), from: start)
    }

    /// The same for a header of a name with a value, as `LogStream.records(header:equalTo:from:)`
    /// finds them.
    public static func merged(
        _ streams: [LogStream], header name: String, equalTo value: HeaderValue,
        from start: StartPosition = .first
    ) throws(WeirError) -> MergedCursor {
        try merged(streams, .header(name: name, value: value), from: start)
    }

    /// The same of the records whose time is in a window, as `LogStream.records(time:)` finds them.
    public static func merged(
        _ streams: [LogStream], time window: Range<Timestamp>
    ) throws(WeirError) -> MergedCursor {
        try merged(streams, .times(window), from: .first)
    }

    static func merged(
        _ streams: [LogStream], _ wanted: WantedField, from start: StartPosition
    ) throws(WeirError) -> MergedCursor {
        try merged(streams.map { ($0, start) }, wanted)
    }

    /// For a header of any kind but bytes whose value is printed as a text.
    package static func merged(
        _ streams: [LogStream], header name: String, printedAs text: String,
        from start: StartPosition
    ) throws(WeirError) -> MergedCursor {
        try merged(streams, .headerText(name: name, text: text), from: start)
    }

    /// The same with a position for each stream.
    public static func merged(
        _ streams: [(stream: LogStream, start: StartPosition)]
    ) throws(WeirError) -> MergedCursor {
        try merged(streams, nil)
    }

    private static func merged(
        _ streams: [(stream: LogStream, start: StartPosition)], _ wanted: WantedField?
    ) throws(WeirError) -> MergedCursor {
        guard !streams.isEmpty else {
            throw WeirError(.invalidArgument, "No stream is named to be merged; name at least one.")
        }
        var names: Set<StreamName> = []
        var sources: [MergeSource] = []
        for (stream, start) in streams {
            guard names.insert(stream.name).inserted else {
                throw WeirError(
                    .invalidArgument,
                    "The stream \(stream.name) is to be merged with itself; name each stream once.")
            }
            sources.append(try MergeSource(stream, from: start, wanted))
        }
        return MergedCursor(sources)
    }
}
