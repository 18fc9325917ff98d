import Weir
import WeirBase

/// Finds the records of one key, or with one header, in the part of a stream that a plan leaves: by
/// the index, and where it does not reach by reading the log.
final class KeyScan: RecordSource {
    typealias Find = (LogStream, StartPosition, Offset?) throws -> KeyedRecords

    private let plan: RecordPlan
    private let onGap: @Sendable (Gap) -> Void
    /// Told once, with the reason, if the index was of no use.
    private var onScan: ((String) -> Void)?
    private var records: KeyedRecords
    private(set) var row: RecordRow?

    /// Goes to the first row. Throws what reading throws.
    init(
        _ stream: LogStream, _ plan: RecordPlan, find: Find,
        onGap: @escaping @Sendable (Gap) -> Void, onScan: @escaping (String) -> Void
    ) throws {
        self.plan = plan
        self.onGap = onGap
        self.onScan = onScan
        let last = plan.offsets.upperBound
        records = try find(
            stream, .offset(plan.start(in: stream)),
            plan.isEmpty ? .zero : last == .max ? nil : Offset(last + 1))
        try advance()
    }

    func advance() throws {
        row = nil
        while row == nil {
            let step = try records.next()
            if let reason = records.scanReason {
                onScan?(reason)
                onScan = nil
            }
            switch step {
            case .record(let record): row = RecordRow(record, appendTime: records.appendTime)
            case .gap(let gap): onGap(gap)
            case .end: return
            }
            // Append times never go back.
            if let row, let last = plan.appendedTo, row.appendTime > last {
                self.row = nil
                return
            }
        }
    }
}

extension RecordRow {
    fileprivate init(_ record: Record, appendTime: Timestamp) {
        self.init(
            offset: record.offset, time: record.time, appendTime: appendTime,
            isTombstone: record.value == nil, key: record.key, headers: record.headers,
            value: record.value)
    }
}
