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

    init(_ stream: LogStream, _ listener: Listener) {
        self.stream = stream
        self.listener = listener
    }

    var declaration: String { RecordColumn.declaration }

    /// Which conditions become bounds. Their numbers lie in the low bits, the columns that are
    /// looked at above them.
    func plan(_ question: PlanQuestion) -> PlanAnswer {
        var chosen: [RecordBound: Int] = [:]
        for condition in question.conditions {
            // The row's id is the offset.
            guard let column = RecordColumn(rawValue: Int32(max(condition.column, 0))),
                let bound = RecordBound(column, condition.comparison), chosen[bound] == nil,
                // Without an index, one walk for all keys is better than one for each.
                bound != .keyEqual || !condition.isList || stream.looksUpKeys
            else { continue }
            chosen[bound] = condition.place
        }
        let recordCount = Double(max(1, stream.endOffset - stream.firstOffset))
        var answer = PlanAnswer(cost: recordCount, rowCount: recordCount)
        for bound in RecordBound.allCases {
            guard let place = chosen[bound] else { continue }
            answer.places.append(place)
            answer.number |= 1 << Int32(bound.rawValue)
            answer.rowCount *= bound.selectivity
            // Looking for a key costs the walk, if there is no index.
            if bound != .keyEqual || stream.looksUpKeys { answer.cost *= bound.selectivity }
        }
        // To begin somewhere costs as much as some rows, and a row by index as some by walking.
        answer.cost = max(10, answer.cost * (chosen[.keyEqual] == nil ? 1 : 10))
        answer.number |= Int32(question.columns & 0x7FFF) << Self.columnsShift
        answer.isUnique = chosen[.offsetEqual] != nil
        answer.isOrdered = question.order.map { $0 <= 0 } ?? false
        return answer
    }

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
        if let key = plan.key {
            source = try KeyScan(table.stream, plan, key: key, onGap: table.listener.onGap) {
                reason in
                self.tellScan(plan, reason)
            }
        } else {
            tellScan(plan, nil)
            source = try RecordScan(table.stream, plan, onGap: table.listener.onGap)
        }
    }

    /// Once a statement, however often it begins.
    private func tellScan(_ plan: RecordPlan, _ reason: String?) {
        let stream = table.stream
        guard !hasToldScan, plan.isUnbounded(from: stream.firstOffset) else { return }
        hasToldScan = true
        let columns = RecordColumn.allCases.filter { $0.isIn(plan.columns) }.map(\.name)
        table.listener.onScan(
            RecordsDatabase.Scan(
                stream: stream, columns: reason == nil ? columns : ["key"], reason: reason))
    }

    func advance() throws { try source?.advance() }

    var isAtEnd: Bool { source?.row == nil }

    var rowID: Int64 { Int64(clamping: source?.row?.offset.value ?? 0) }

    func value(inColumn number: Int) -> SQLValue {
        guard let row = source?.row, let column = RecordColumn(rawValue: Int32(clamping: number))
        else { return .null }
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
