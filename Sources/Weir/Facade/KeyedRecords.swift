public import WeirBase
import WeirFiles
import WeirFormat
import WeirIndex
import WeirLog

/// A step of a replay by key, header or time.
public enum KeyedStep: Sendable, Hashable {
    /// A record that is wanted.
    case record(Record)
    /// Records are missing that might have been; the next step goes on behind them.
    case gap(Gap)
    /// There were no more when the replay began.
    case end
}

/// The records of one key, with one header, or of a window of time, in the order of the log.
///
/// ```swift
/// var orders = try stream.records(key: "N14228")
/// while case .record(let record) = try orders.next() { use(record) }
/// ```
///
/// The store's index says where they are, and every place is looked at and compared. What
/// the index does not cover is read from the log, so the answer is complete whatever state the
/// index is in; it only takes longer. May wait for the disk: not for Swift's own threads.
public struct KeyedRecords: ~Copyable {
    /// Why the log is read, in whole or in part, where the index is of no use; `nil` if it is used.
    public private(set) var scanReason: String?
    /// The first offset that is not looked at: at most what the stream had when the replay began.
    public let endOffset: Offset
    /// When the last record that was given was appended.
    package private(set) var appendTime = Timestamp.distantPast

    private let stream: LogStream
    private let wanted: WantedField
    private let hash: UInt64
    private let fields: IndexedFields
    /// Everything before it was looked at.
    private var place: Offset
    /// Which index was asked last.
    private var reader: IndexReader?
    /// What it named, from `place` on, and up to where that is all.
    private var named: ArraySlice<Offset> = []
    private var namedEnd: Offset
    /// Up to here the log is read; behind it the index is asked.
    private var scanEnd: Offset
    private var scan: LogCursor<RealFileSystem>?
    /// Goes from hit to hit, so that a segment is opened once.
    private var looking: LogCursor<RealFileSystem>?
    /// Found in the last batch and not yet given.
    private var found: ArraySlice<(record: Record, appendTime: Timestamp)> = []

    /// Offsets that the index is asked for at once: few at first, for those who want one record.
    private var namedCount = 8
    private static let namedCountMax = 1024
    /// What a writer that is not behind may not have indexed yet.
    private static let tailRecords = 256 << 10

    init(_ stream: LogStream, _ wanted: WantedField, from start: Offset, before end: Offset?) {
        self.stream = stream
        self.wanted = wanted
        self.hash = wanted.hash
        self.fields = IndexedFields(stream.open)
        self.place = max(start, stream.view.logStart)
        let visibleEnd = stream.view.visibleEnd
        self.endOffset = min(end ?? visibleEnd, visibleEnd)
        self.namedEnd = place
        self.scanEnd = place
    }

    /// Goes to the next record.
    ///
    /// Throws `damaged` where mapped pages vanish under the reader, `newerFormat`, and what the
    /// medium said. May be asked again after it threw.
    public mutating func next() throws(WeirError) -> KeyedStep {
        while true {
            if let (record, time) = found.popFirst() {
                appendTime = time
                return .record(record)
            }
            guard place < endOffset else { return .end }
            if place < scanEnd {
                if let gap = try scanOn() { return .gap(gap) }
            } else if let offset = named.first {
                if let gap = try look(at: offset) { return .gap(gap) }
            } else if place < namedEnd {
                place = namedEnd
            } else {
                ask()
            }
        }
    }

    /// Decides about the next part: by the index, or by reading up to where it begins again.
    private mutating func ask() {
        scan = nil
        if case .times(let window) = wanted { return passSegments(outside: window) }
        if let reason = wanted.reasonToScan(fields) {
            return readLog(to: endOffset, because: reason)
        }
        switch stream.index.lookup() {
        case .none(let reason): readLog(to: endOffset, because: reason)
        case .reader(let reader, let owner):
            self.reader = reader
            do throws(WeirError) {
                let answer = try reader.offsets(
                    of: hash, in: stream.open.id, from: place, limit: namedCount,
                    writtenBy: owner)
                namedCount = min(8 * namedCount, Self.namedCountMax)
                switch answer {
                case .offsets(let offsets, let upTo):
                    named = offsets[...]
                    namedEnd = min(upTo, endOffset)
                    named = named.prefix { $0 < endOffset }
                case .unknown(let upTo):
                    scanEnd = min(upTo ?? endOffset, endOffset)
                    // A tail that was appended a moment ago is no news.
                    if scanEnd - place > Self.tailRecords {
                        scanReason =
                            scanReason
                            ?? "the index does not cover offsets \(place) to before \(scanEnd) yet"
                    }
                }
            } catch {
                distrust(error)
            }
        }
    }

    /// Steps over the sealed segments that have nothing of a window, and has the next one read.
    private mutating func passSegments(outside window: Range<Timestamp>) {
        scanEnd = endOffset
        for segment in stream.view.segments where segment.base <= place {
            guard let sealed = segment.sealed, sealed.endOffset > place else { continue }
            guard window.isAside(of: sealed.minRecordTime, sealed.maxRecordTime) else {
                scanEnd = min(sealed.endOffset, endOffset)
                return
            }
            place = min(sealed.endOffset, endOffset)
        }
    }

    private mutating func readLog(to end: Offset, because reason: String) {
        scanReason = scanReason ?? reason
        named = []
        namedEnd = place
        scanEnd = end
    }

    private func cursor(at offset: Offset) -> LogCursor<RealFileSystem> {
        LogCursor(view: stream.view, at: offset, passing: wanted.passed)
    }

    // MARK: by the index

    /// Takes the records that the index named in one batch.
    private mutating func look(at offset: Offset) throws(WeirError) -> Gap? {
        var cursor = looking.take() ?? cursor(at: offset)
        cursor.move(to: offset)
        // One batch and nothing behind it: the next hit is far away.
        let step: LogCursor<RealFileSystem>.Step
        let before = (named, place)
        var wrong: String?
        do throws(WeirError) {
            step = try cursor.next { _ in .read(ahead: Credit(bytes: 0, records: 0)) }
            if case .batch(let header) = step { wrong = take(cursor.records, of: header) }
            try cursor.expectIntact()
        } catch {
            (named, place) = before
            found = []
            looking = consume cursor
            throw error
        }
        var missing: Gap?
        switch step {
        case .batch: if let wrong { distrust(WeirError.damaged("The index \(wrong).")) }
        case .gap(let gap):
            // The index names what can be read no more; so would a scan have met it.
            named = named.drop { $0 < gap.next }
            place = min(gap.next, namedEnd)
            missing = gap
        case .end, .held:
            named = []
            place = namedEnd
        }
        looking = consume cursor
        return missing
    }

    /// What the index was wrong about, if it was.
    private mutating func take(
        _ records: consuming RecordWalker, of header: BatchHeader
    ) -> String? {
        let end = header.endOffset
        guard header.keyedCount > 0 || !wanted.isKey else {
            let isCompacted = header.recordCount < header.offsetSpan
            if isCompacted || named.first.map({ $0 < header.firstOffset }) ?? false {
                // A record that compaction took away is no longer there to be found.
                named = named.drop { $0 < end }
                return nil
            }
            return "names a key at offset \(named.first ?? place) where none is"
        }
        while let record = records.next(), let offset = named.first, offset < end {
            // A record that compaction took away is no longer there to be found.
            while let next = named.first, next < record.offset { named.removeFirst() }
            guard named.first == record.offset else { continue }
            var isNamed = false
            fields.forEachHash(of: record) { isNamed = isNamed || $0 == hash }
            guard isNamed else {
                return "names what is not at offset \(record.offset)"
            }
            named.removeFirst()
            place = record.offset + 1
            keep(record, of: header)
        }
        // What lies before the next one was not looked at: it is, if that one turns out wrong.
        named = named.drop { $0 < end }
        return nil
    }

    /// The index was proven and is wrong all the same: it is of another history of this store.
    private mutating func distrust(_ error: WeirError) {
        let reason = reader.map { stream.index.distrust(error, of: $0) }
        readLog(to: endOffset, because: reason ?? error.description)
    }

    // MARK: by the log

    private mutating func scanOn() throws(WeirError) -> Gap? {
        var cursor = scan.take() ?? cursor(at: place)
        let step: LogCursor<RealFileSystem>.Step
        do throws(WeirError) {
            step = try cursor.next()
            if case .batch(let header) = step, !wanted.passed.hold(header) {
                var records = cursor.records
                while let record = records.next(), record.offset < scanEnd {
                    keep(record, of: header)
                }
                try cursor.expectIntact()
            }
        } catch {
            found = []
            // The batch is read again, by copies, whoever asks again.
            cursor.move(to: place)
            scan = consume cursor
            throw error
        }
        var missing: Gap?
        switch step {
        case .batch(let header):
            place = min(header.endOffset, scanEnd)
        case .gap(let gap):
            place = min(gap.next, scanEnd)
            missing = gap
        case .end, .held: place = scanEnd
        }
        scan = consume cursor
        return missing
    }

    /// Copies a record if it is wanted.
    private mutating func keep(_ record: borrowing RecordView, of header: BatchHeader) {
        guard wanted.matches(record, appendTime: header.appendTime) else { return }
        let copy = BorrowedRecord(copy record, appendTime: header.appendTime).copy()
        found.append((copy, header.appendTime))
    }
}

extension LogStream {
    /// The records that have a key, from a position to the end that the stream has now, or to
    /// before an offset.
    ///
    /// With the index it costs the batches that hold them; without, a walk over the stream. Throws
    /// as `offset(of:)` does.
    public func records(
        key: [UInt8], from start: StartPosition = .first, before end: Offset? = nil
    ) throws(WeirError) -> KeyedRecords {
        KeyedRecords(self, .key(key), from: try offset(of: start), before: end)
    }

    /// The same for a key that is text, in UTF-8.
    public func records(
        key: String, from start: StartPosition = .first, before end: Offset? = nil
    ) throws(WeirError) -> KeyedRecords {
        try records(key: Array(key.utf8), from: start, before: end)
    }

    /// The records whose time is in a window, wherever they stand, from a position to the end that
    /// the stream has now, or to before an offset.
    ///
    /// ```swift
    /// var night = try flights.records(time: midnight..<morning)
    /// ```
    ///
    /// A record without a time of its own counts by when it was appended. Record times
    /// may go back, so everything is looked at, and damage is told: of sealed segments that have
    /// none of the window nothing, of such batches their header. Throws as `offset(of:)` does.
    public func records(
        time window: Range<Timestamp>, from start: StartPosition = .first,
        before end: Offset? = nil
    ) throws(WeirError) -> KeyedRecords {
        KeyedRecords(self, .times(window), from: try offset(of: start), before: end)
    }

    /// Whether an index of the stream's keys is kept and used; it may be behind, or broken.
    package var looksUpKeys: Bool {
        index.use == .on && IndexedFields(open).hasKeys
    }

    /// The same for the headers that its configuration names.
    package var looksUpHeaders: Bool {
        index.use == .on && !IndexedFields(open).headers.isEmpty
    }

    /// The records that have a header of a name with a value, from a position to the end that the
    /// stream has now, or to before an offset.
    ///
    /// ```swift
    /// var late = try flights.records(header: "carrier", equalTo: "UA")
    /// ```
    ///
    /// A value is equal to one of the same kind that cannot be told apart: `.int(5)` is no
    /// `.unsigned(5)`, and texts are compared byte by byte. If the stream's configuration names the
    /// header among its `indexedHeaders`, it costs the batches that hold the records; otherwise a
    /// walk over the stream, and `scanReason` says so. Throws as `offset(of:)` does.
    public func records(
        header name: String, equalTo value: HeaderValue, from start: StartPosition = .first,
        before end: Offset? = nil
    ) throws(WeirError) -> KeyedRecords {
        KeyedRecords(
            self, .header(name: name, value: value), from: try offset(of: start), before: end)
    }

    /// The same for a header of any kind but bytes whose value is printed as a text.
    package func records(
        header name: String, printedAs text: String, from start: StartPosition = .first
    ) throws(WeirError) -> KeyedRecords {
        KeyedRecords(
            self, .headerText(name: name, text: text), from: try offset(of: start), before: nil)
    }
}
