import Weir
import WeirBase

/// A record as a row, with what the query looks at and no more.
struct RecordRow {
    let offset: Offset
    let time: Timestamp
    let appendTime: Timestamp
    let isTombstone: Bool
    var key: [UInt8]?
    var headers = Headers()
    var value: [UInt8]?
}

/// Gives the rows that a plan leaves of a stream, and maybe others, in the order of offsets.
protocol RecordSource: AnyObject {
    /// `nil` behind the last one.
    var row: RecordRow? { get }
    func advance() throws
}

extension RecordPlan {
    /// The first offset that is looked at. Throws what reading throws.
    func start(in stream: LogStream) throws(WeirError) -> Offset {
        var start = Offset(offsets.lowerBound)
        guard !isEmpty else { return start }
        if let time = timeFrom { start = max(start, try stream.offset(of: .time(time))) }
        if let time = appendedFrom { start = max(start, try stream.offset(of: .appended(time))) }
        return start
    }
}

/// Walks the part of a stream that a plan leaves.
final class RecordScan: RecordSource {
    private let stream: LogStream
    private let plan: RecordPlan
    private let onGap: @Sendable (Gap) -> Void
    private var cursor: Cursor
    private var rows: [RecordRow] = []
    private var index = 0
    private var isOver = false

    /// Goes to the first row. Throws what reading throws.
    init(
        _ stream: LogStream, _ plan: RecordPlan, onGap: @escaping @Sendable (Gap) -> Void
    ) throws(WeirError) {
        self.stream = stream
        self.plan = plan
        self.onGap = onGap
        cursor = try stream.cursor(from: .offset(try plan.start(in: stream)))
        isOver = plan.isEmpty
        try fill()
    }

    var row: RecordRow? { index < rows.count ? rows[index] : nil }

    func advance() throws {
        index += 1
        try fill()
    }

    /// Sees to it that there is a row, if there are more.
    private func fill() throws(WeirError) {
        while index >= rows.count, !isOver {
            switch try cursor.next() {
            case .batch:
                rows.removeAll(keepingCapacity: true)
                index = 0
                if !Self.take(cursor, plan, into: &rows) { isOver = true }
                try cursor.expectIntact()
            case .gap(let gap): onGap(gap)
            case .end: isOver = true
            }
            if cursor.nextOffset.value > plan.offsets.upperBound { isOver = true }
        }
    }

    /// The rows of a batch that the plan leaves; `false` behind the last of all.
    private static func take(
        _ cursor: borrowing Cursor, _ plan: RecordPlan, into rows: inout [RecordRow]
    ) -> Bool {
        var records = cursor.records
        while let record = records.next() {
            guard record.offset.value <= plan.offsets.upperBound else { return false }
            // Append times never go back.
            if let last = plan.appendedTo, record.appendTime > last { return false }
            var row = RecordRow(
                offset: record.offset, time: record.time, appendTime: record.appendTime,
                isTombstone: record.isTombstone)
            if RecordColumn.key.isIn(plan.columns), let key = record.key { row.key = bytes(key) }
            if RecordColumn.headers.isIn(plan.columns) { row.headers = record.headers }
            if RecordColumn.value.isIn(plan.columns), !record.isTombstone {
                row.value = bytes(record.value)
            }
            rows.append(row)
        }
        return true
    }

    private static func bytes(_ span: RawSpan) -> [UInt8] {
        unsafe span.withUnsafeBytes { unsafe Array($0) }
    }
}
