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

/// Walks the part of a stream that a plan leaves, in the order of offsets.
final class RecordScan {
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
        var start = Offset(plan.offsets.lowerBound)
        if !plan.isEmpty {
            if let time = plan.timeFrom { start = max(start, try stream.offset(of: .time(time))) }
            if let time = plan.appendedFrom {
                start = max(start, try stream.offset(of: .appended(time)))
            }
        }
        cursor = try stream.cursor(from: .offset(start))
        isOver = plan.isEmpty
        try fill()
    }

    /// `nil` behind the last one.
    var row: RecordRow? { index < rows.count ? rows[index] : nil }

    func advance() throws(WeirError) {
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
