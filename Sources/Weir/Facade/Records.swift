public import WeirBase
public import WeirFormat
package import WeirLog

/// A record as a value of its own: copied, to be kept as long as one likes.
public struct Record: Sendable, Hashable {
    public let offset: Offset
    /// The record's own time, or when it was appended.
    public let time: Timestamp
    public let key: [UInt8]?
    public let headers: Headers
    /// `nil` for a tombstone.
    public let value: [UInt8]?
}

/// A record where it stands in its batch: nothing is copied, and it cannot outlive the batch.
public struct BorrowedRecord: ~Escapable {
    @usableFromInline package let view: RecordView
    @usableFromInline package let appendTime: Timestamp

    @inlinable @inline(__always) @_lifetime(copy view)
    package init(_ view: consuming RecordView, appendTime: Timestamp) {
        self.view = view
        self.appendTime = appendTime
    }

    @inlinable public var offset: Offset { view.offset }
    /// The value's bytes; empty for a tombstone. A message whose body is of another shape than one
    /// value, and an entry that is no message at all, are their own values: the whole entry.
    @inlinable public var value: RawSpan { @_lifetime(copy self) get { view.value } }
    @inlinable public var key: RawSpan? { @_lifetime(copy self) get { view.key } }
    /// The entry as it is stored: an AMQP message.
    @inlinable public var entry: RawSpan { @_lifetime(copy self) get { view.entry } }
    public var isTombstone: Bool { view.isTombstone }
    /// The record's own time, or when it was appended.
    public var time: Timestamp { view.recordTime ?? appendTime }

    /// Calls `body` with each header. Takes memory for names and values.
    public func forEachHeader(_ body: (String, HeaderValue) -> Void) {
        view.forEachHeader(body)
    }

    /// All headers, copied.
    public var headers: Headers {
        var headers = Headers()
        view.forEachHeader { headers.append($0, $1) }
        return headers
    }

    /// A copy to keep: its key, headers and value are arrays and strings of their own.
    public func copy() -> Record {
        let key: [UInt8]? =
            if let bytes = view.key { unsafe bytes.withUnsafeBytes { unsafe Array($0) } } else {
                nil
            }
        let value = view.isTombstone ? nil : unsafe view.value.withUnsafeBytes { unsafe Array($0) }
        return Record(offset: offset, time: time, key: key, headers: headers, value: value)
    }
}

/// Steps through the records of a batch without copying, locking or counting references.
///
/// ```swift
/// var records = batch.records
/// while let record = records.next() { total += record.value.byteCount }
/// ```
public struct BorrowedRecords: ~Escapable {
    @usableFromInline package var walker: RecordWalker
    @usableFromInline package let appendTime: Timestamp

    @usableFromInline @_lifetime(copy walker)
    package init(_ walker: consuming RecordWalker, appendTime: Timestamp) {
        self.walker = walker
        self.appendTime = appendTime
    }

    @inlinable @inline(__always) @_lifetime(copy self)
    public mutating func next() -> BorrowedRecord? {
        guard let view = walker.next() else { return nil }
        return BorrowedRecord(view, appendTime: appendTime)
    }
}

/// A batch that was read, to keep and to hand on.
///
/// It holds its bytes: through the map of its segment, or copied where it had to be unpacked. As a
/// sequence it gives copied records; `records` and `forEach` give them borrowed, which is the fast
/// way.
public struct RecordBatch: Sendable, Sequence {
    package let lent: LentBatch
    private let lease: Lease?

    init(_ lent: LentBatch, lease: Lease?) {
        self.lent = lent
        self.lease = lease
    }

    /// Says that the work on the batch is done: its credit comes back at once, and not only when
    /// the next one is asked for. A batch that was kept goes off the consumer's own account.
    ///
    /// When the subscription has ended, by cancellation too, all credit came back with it: then
    /// there is nothing to do and that is no error, so that this may stand in a `defer`.
    ///
    /// Throws `invalidArgument` if it was released already, `damaged` if its pages vanished while
    /// it was used, also after the end.
    public func release() throws(WeirError) {
        guard let lease else { return }
        try lease.release()
        if !lent.isIntact { throw FeedState.lost(lent) }
    }

    /// Takes the batch onto the consumer's own account: its credit comes back, and its memory
    /// counts for the consumer, not for the store, until `release()`. One that is dropped before
    /// counts as released, as nobody could do that any more. After the subscription's end there is
    /// nothing to do: the batch stays readable for as long as somebody holds it. Throws
    /// `invalidArgument` if it was released already.
    public func keep() throws(WeirError) { try lease?.keep() }

    public var firstOffset: Offset { Swift.max(lent.header.firstOffset, lent.firstWanted) }
    /// The first offset behind the batch: where a reader goes on.
    public var endOffset: Offset { lent.header.endOffset }
    public var appendTime: Timestamp { lent.header.appendTime }
    public var epoch: Epoch { lent.header.epoch }
    /// Bytes of the records, unpacked.
    public var byteCount: Int { lent.header.rawBodyLength }

    public var records: BorrowedRecords {
        @_lifetime(borrow self) get {
            let records = BorrowedRecords(lent.records, appendTime: lent.header.appendTime)
            return unsafe _overrideLifetime(records, borrowing: self)
        }
    }

    public func forEach(_ body: (borrowing BorrowedRecord) throws -> Void) rethrows {
        var records = self.records
        while let record = records.next() { try body(record) }
    }

    public func makeIterator() -> IndexingIterator<[Record]> {
        var copies: [Record] = []
        copies.reserveCapacity(lent.header.recordCount)
        forEach { copies.append($0.copy()) }
        return copies.makeIterator()
    }
}
