public import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// How a reader gets at the bytes.
public enum Reading: Sendable, Hashable {
    /// Through a shared map of the segment: nothing is copied.
    case mapped
    /// Copied by `pread`: for media that nobody trusts.
    case copied
}

/// A synchronous reader: for tools, threads and whoever wants the last nanosecond.
///
/// ```swift
/// var cursor = try orders.cursor(from: .first)
/// while case .batch = try cursor.next() {
///     var records = cursor.records
///     while let record = records.next() { total += record.value.byteCount }
/// }
/// ```
///
/// Batches are proven by their checksums before they are shown. The cursor may wait for the disk:
/// use a subscription in tasks.
public struct Cursor: ~Copyable {
    /// What a step found.
    public enum Step: Sendable, Hashable {
        /// A batch; `records` shows its records.
        case batch
        /// Records are missing; the next step goes on behind them.
        case gap(Gap)
        /// Nothing more at the moment.
        case end
    }

    private let stream: LogStream
    private var inner: LogCursor<RealFileSystem>
    private var appendTime = Timestamp.distantPast

    init(stream: LogStream, inner: consuming LogCursor<RealFileSystem>) {
        self.stream = stream
        self.inner = inner
    }

    /// The offset that the next step looks for.
    public var nextOffset: Offset { inner.nextOffset }

    /// Goes to the next batch.
    ///
    /// Throws `damaged` where mapped pages vanish under the reader, `newerFormat`, and what the
    /// medium said; damage on disk is a gap. A cursor that threw may be asked again.
    public mutating func next() throws(WeirError) -> Step {
        var step = try inner.next()
        if step == .end, stream.engine.isReadOnly {
            try stream.engine.refresh(stream.open)
            step = try inner.next()
        }
        switch step {
        case .batch(let header):
            appendTime = header.appendTime
            return .batch
        case .gap(let gap): return .gap(gap)
        case .end, .held: return .end
        }
    }

    /// The records of the batch that the last step found, borrowed until the next one.
    public var records: BorrowedRecords {
        @_lifetime(borrow self) borrowing get {
            let records = BorrowedRecords(inner.records, appendTime: appendTime)
            return unsafe _overrideLifetime(records, borrowing: self)
        }
    }

    /// Bytes found damaged on the way that cost no record.
    public var reports: [DamageReport] { inner.reports }

    /// Waits at the end for more, at most so long. Blocks the thread; no polling within that time.
    public func wait(milliseconds: Int) throws(WeirError) {
        let wanted = inner.nextOffset
        let engine = stream.engine
        guard engine.isReadOnly else {
            let view = stream.view
            return stream.watch.wait(milliseconds: milliseconds) { view.visibleEnd > wanted }
        }
        try engine.wait(stream.open, beyond: wanted, milliseconds: milliseconds)
    }

    /// Asked by whoever keeps copies of a batch's records, before it keeps them; throws `damaged`.
    package mutating func expectIntact() throws(WeirError) { try inner.expectIntact() }

    borrowing func lend() -> LentBatch? { inner.lend() }
}

/// Where reading begins, and what is told first.
struct ReadingStart: Sendable {
    let offset: Offset
    var gap: Gap?
}

extension LogStream {
    /// The offset that a start position means at this moment. May wait for the disk.
    public func offset(of start: StartPosition) throws(WeirError) -> Offset {
        try begin(start).offset
    }

    /// The same, and what is missing before it: a cursor that power loss moved back says so.
    func begin(_ start: StartPosition) throws(WeirError) -> ReadingStart {
        if case .cursor(let name) = start { return try begin(atCursor: name) }
        if engine.isReadOnly { try engine.refresh(open) }
        return ReadingStart(offset: try LogSearch(view).offset(of: start))
    }

    /// The offset of the first of the last `count` records; the first offset where there are fewer.
    ///
    /// Counts records, not offsets: what compaction took away is not among them. May wait for the
    /// disk.
    public func offset(ofLast count: Int) throws(WeirError) -> Offset {
        guard count >= 0 else {
            throw WeirError(
                .invalidArgument, "The last \(count) records are asked for; expected 0 or more.")
        }
        if engine.isReadOnly { try engine.refresh(open) }
        return try LogSearch(view).offset(ofLast: count)
    }

    /// A reader that begins at a position. May wait for the disk.
    public func cursor(
        from start: StartPosition = .first, reading: Reading = .mapped
    ) throws(WeirError) -> Cursor {
        let begin = try begin(start)
        return Cursor(
            stream: self,
            inner: LogCursor(
                view: view, at: begin.offset, mode: reading == .mapped ? .mapped : .copied,
                after: begin.gap))
    }
}
