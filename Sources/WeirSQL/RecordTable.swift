import Weir
import WeirBase

/// A stream's records as rows.
final class RecordTable: VirtualTable {
    /// Whom to tell about what a query meets.
    struct Listener {
        let onGap: @Sendable (Gap) -> Void
        let onScan: @Sendable (RecordsDatabase.Scan) -> Void
    }

    fileprivate let stream: LogStream
    fileprivate let listener: Listener
    fileprivate let headers: [HeaderColumn]

    init(_ stream: LogStream, _ listener: Listener) {
        self.stream = stream
        self.listener = listener
        self.headers = HeaderColumn.all(stream.configuration.indexedHeaders)
    }

    var declaration: String { RecordColumn.declaration(headers) }

    /// Which conditions become bounds. Their numbers lie in the low bits, the columns that are
    /// looked at above them, and between them which header is meant.
    func plan(_ question: PlanQuestion) -> PlanAnswer {
        var chosen: [RecordBound: Int] = [:]
        var header = 0
        for condition in question.conditions {
            guard let bound = bound(for: condition), chosen[bound] == nil,
                // Without an index, one walk for all keys is better than one for each.
                !bound.isByIndex || !condition.isList || looksUp(bound)
            else { continue }
            chosen[bound] = condition.place
            if bound == .headerEqual { header = condition.column - RecordColumn.allCases.count }
        }
        let recordCount = Double(max(1, stream.endOffset - stream.firstOffset))
        var answer = PlanAnswer(cost: recordCount, rowCount: recordCount)
        for bound in RecordBound.allCases {
            guard let place = chosen[bound] else { continue }
            answer.places.append(place)
            answer.number |= 1 << Int32(bound.rawValue)
            answer.rowCount *= bound.selectivity
            // Looking for a key costs the walk, if there is no index.
            if !bound.isByIndex || looksUp(bound) { answer.cost *= bound.selectivity }
        }
        // To begin somewhere costs as much as some rows, and a row by index as some by walking.
        let isByIndex = chosen.keys.contains { $0.isByIndex }
        answer.cost = max(10, answer.cost * (isByIndex ? 10 : 1))
        answer.number |= Int32(header) << Self.headerShift
        answer.number |= Int32(Self.columns(question.columns)) << Self.columnsShift
        answer.isUnique = chosen[.offsetEqual] != nil
        answer.isOrdered = question.order.map { $0 <= 0 } ?? false
        return answer
    }

    private func bound(for condition: PlanQuestion.Condition) -> RecordBound? {
        // The row's id is the offset.
        let column = RecordColumn(rawValue: Int32(max(condition.column, 0)))
        // In another order than the column's own other values are equal.
        guard condition.isOfTimes == column?.isTime ?? false else { return nil }
        guard let column else { return condition.comparison == .equal ? .headerEqual : nil }
        return RecordBound(column, condition.comparison)
    }

    /// Whether an index may answer a condition on a column, by its name.
    fileprivate func isIndexable(_ column: String) -> Bool {
        column == RecordColumn.key.name || column == RecordColumn.headers.name
            || headers.contains { $0.name == column }
    }

    private func looksUp(_ bound: RecordBound) -> Bool {
        bound == .keyEqual ? stream.looksUpKeys : stream.looksUpHeaders
    }

    /// Hidden columns are made of the headers.
    private static func columns(_ used: UInt64) -> UInt64 {
        let count = UInt64(RecordColumn.allCases.count)
        let headers: UInt64 = used >> count == 0 ? 0 : 1 << UInt64(RecordColumn.headers.rawValue)
        return used & (1 << count - 1) | headers
    }

    fileprivate static let headerShift: Int32 = 12
    fileprivate static let headerMask: Int32 = 0xF
    fileprivate static let columnsShift: Int32 = 16

    func makeWalk() -> any TableWalk { RecordWalk(self) }
}

private final class RecordWalk: TableWalk {
    private let table: RecordTable
    private var source: (any RecordSource)?
    private var hasToldScan = false

    init(_ table: RecordTable) { self.table = table }

    func begin(_ number: Int32, _ values: [SQLValue]) throws {
        var plan = RecordPlan(columns: UInt64(number >> RecordTable.columnsShift))
        let bounds = RecordBound.allCases.filter { number & (1 << Int32($0.rawValue)) != 0 }
        for (bound, value) in zip(bounds, values) { plan.add(bound, value) }
        // What was found before is let go of.
        source = nil
        let header = Int(number >> RecordTable.headerShift & RecordTable.headerMask)
        if let key = plan.key {
            source = try keyScan(plan, RecordColumn.key.name) { stream, start, end in
                try stream.records(key: key, from: start, before: end)
            }
        } else if let text = plan.header, table.headers.indices.contains(header) {
            let column = table.headers[header]
            source = try keyScan(plan, column.name) { stream, start, end in
                try stream.records(
                    header: column.header, equalTo: .string(text), from: start, before: end)
            }
        } else {
            let columns = RecordColumn.allCases.filter { $0.isIn(plan.columns) }.map(\.name)
            tellScan(plan, columns + table.headers.map(\.name), nil)
            source = try RecordScan(table.stream, plan, onGap: table.listener.onGap)
        }
    }

    private func keyScan(
        _ plan: RecordPlan, _ column: String, find: KeyScan.Find
    ) throws -> KeyScan {
        // Weak, as the walk has the scan: each would keep the other, and the store, for good.
        try KeyScan(table.stream, plan, find: find, onGap: table.listener.onGap) {
            [weak self] reason in
            self?.tellScan(plan, [column], reason)
        }
    }

    /// Once a statement, however often it begins.
    private func tellScan(_ plan: RecordPlan, _ columns: [String], _ reason: String?) {
        let stream = table.stream
        let first = stream.firstOffset
        guard !hasToldScan, plan.isBoundedByTimeAtMost(from: first) else { return }
        let isWhole = plan.isUnbounded(from: first)
        // A beginning by time is an answer for a time, and none for what an index would look up.
        let unanswered = isWhole ? columns : columns.filter(table.isIndexable)
        guard !unanswered.isEmpty else { return }
        hasToldScan = true
        table.listener.onScan(
            RecordsDatabase.Scan(
                stream: stream, columns: unanswered, isFromTime: !isWhole, reason: reason))
    }

    func advance() throws { try source?.advance() }

    var isAtEnd: Bool { source?.row == nil }

    var rowID: Int64 { Int64(clamping: source?.row?.offset.value ?? 0) }

    func value(inColumn number: Int) -> SQLValue {
        guard let row = source?.row else { return .null }
        guard let column = RecordColumn(rawValue: Int32(clamping: number)) else {
            return table.headers[number - RecordColumn.allCases.count].value(in: row.headers)
        }
        switch column {
        case .offset: return .integer(row.offset.value)
        case .time: return .string(TimeText.text(of: row.time))
        case .timeMicroseconds: return .integer(row.time.microseconds)
        case .appendTime: return .string(TimeText.text(of: row.appendTime))
        case .appendTimeMicroseconds: return .integer(row.appendTime.microseconds)
        case .key: return .textOrBytes(row.key)
        case .headers:
            var out: [UInt8] = []
            JSONText.append(row.headers, to: &out)
            return .text(out)
        case .value: return .textOrBytes(row.value)
        case .tombstone: return .flag(row.isTombstone)
        }
    }
}
