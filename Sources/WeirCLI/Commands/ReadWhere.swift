import Foundation
import Weir
import WeirSQL

/// `weir read --where`: the offsets come from SQL, the records from the log.
struct ConditionalReader {
    private let stream: LogStream
    private let condition: String
    private let database: RecordsDatabase
    private let gaps: Lock<[Gap]>

    init(_ store: Store, _ stream: LogStream, where condition: String) throws {
        self.stream = stream
        self.condition = condition
        let gaps = Lock<[Gap]>([])
        self.gaps = gaps
        var events = RecordsDatabase.Events()
        events.onGap = { gap in gaps.withLock { $0.append(gap) } }
        events.onScan = { Words.say("weir: note: \($0)") }
        events.isCancelled = { Interrupt.isRequested }
        database = try RecordsDatabase(store, events: events)
    }

    /// Calls with each record that fulfils the condition, from an offset on, until `body` gives
    /// `false`.
    func read(from start: Offset, _ body: (Record) throws -> Bool) throws {
        // Looked at by itself, so that nothing can reach out of the parentheses.
        try RecordsDatabase.expectExpression(condition)
        let isWhole = start <= stream.firstOffset
        let whole = isWhole ? condition : "\"offset\" >= \(start) AND (\n\(condition)\n)"
        var cursor = try stream.cursor(from: .offset(start))
        var batch: [Record] = []
        var index = 0
        do {
            try database.offsets(of: stream.name.description, where: whole) { offset in
                while true {
                    while index < batch.count, batch[index].offset < offset { index += 1 }
                    if index < batch.count { break }
                    guard case .batch = try cursor.next() else {
                        if cursor.nextOffset <= offset { continue }
                        return true
                    }
                    batch.removeAll(keepingCapacity: true)
                    index = 0
                    guard cursor.nextOffset > offset else {
                        // Not in the next batch: whatever is between was found not to fit.
                        cursor = try stream.cursor(from: .offset(offset))
                        continue
                    }
                    var records = cursor.records
                    while let record = records.next() { batch.append(record.copy()) }
                }
                return try body(batch[index])
            }
        } catch is CancellationError {
            throw ExitRequest(status: ExitStatus.interrupted)
        }
    }

    /// Records that were not there, told once.
    var missing: [Gap] { gaps.withLock { $0 } }
}
