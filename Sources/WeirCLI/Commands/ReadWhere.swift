import Foundation
import Weir
import WeirSQL

/// `weir read --where`: the offsets come from SQL, the records from the log.
///
/// Several streams are merged as `MergedCursor` merges them: of the records that come next in each,
/// the one with the least time is given, and of equal times that of the first stream.
struct ConditionalReader {
    /// What was met on the way.
    private struct Met {
        var stream: StreamName?
        var gaps: [(gap: Gap, stream: StreamName?)] = []
        var notes: Set<String> = []
    }

    private let sources: [ConditionalSource]
    private let met: Lock<Met>

    init(
        _ store: Store, _ asked: ReadSources, from start: StartPosition, where condition: String
    ) throws {
        // Looked at by itself, so that nothing can reach out of the parentheses.
        try RecordsDatabase.expectExpression(condition)
        let met = Lock(Met())
        self.met = met
        var events = RecordsDatabase.Events()
        events.onGap = { gap in met.withLock { $0.gaps.append((gap, $0.stream)) } }
        events.onScan = { scan in
            // Of a partitioned stream it is told once, and not of each partition.
            let note = scan.description(of: asked.title(of: scan.stream))
            let isNews = met.withLock { $0.notes.insert(note).inserted }
            if isNews { Words.say("weir: note: \(note)") }
        }
        events.isCancelled = { Interrupt.isRequested }
        let database = try RecordsDatabase(store, events: events)
        sources = try asked.streams.map { stream in
            // What SQLite refuses is told before anything is read, and where nothing is.
            let nothing = "\"offset\" < 0 AND (\n\(condition)\n)"
            try database.offsets(of: stream.name.description, where: nothing) { _ in false }
            return try ConditionalSource(stream, from: start) { bound, body in
                met.withLock { $0.stream = asked.namesStream ? stream.name : nil }
                let whole = bound.map { "\"offset\" >= \($0) AND (\n\(condition)\n)" } ?? condition
                try database.offsets(of: stream.name.description, where: whole) { try body($0) }
            }
        }
    }

    /// Calls with each record that fulfils the condition until `body` gives `false`.
    func read(_ body: (Record, StreamName) throws -> Bool) throws {
        var queue = MergeQueue()
        var heads: [Record?] = sources.map { _ in nil }
        func takeHead(of index: Int) throws {
            heads[index] = try sources[index].next()
            if let time = heads[index]?.time { queue.insert(time, of: index) }
        }
        do {
            for index in sources.indices { try takeHead(of: index) }
            while let index = queue.takeFirst()?.source, let record = heads[index] {
                try Interrupt.check()
                guard try body(record, sources[index].stream.name) else { return }
                try takeHead(of: index)
            }
        } catch is CancellationError {
            throw ExitRequest(status: ExitStatus.interrupted)
        }
    }

    /// Records that were not there; the stream is told where several are read.
    var missing: [(gap: Gap, stream: StreamName?)] { met.withLock { $0.gaps } }
}

/// One of the streams that are asked: the offsets that SQL named, and the batch that they are in.
///
/// SQL is asked for some offsets at a time, since no statement can stand open while another
/// stream's is asked: for one at first, for those who want one record.
private final class ConditionalSource {
    let stream: LogStream
    private let ask: (_ from: Offset?, _ body: (Offset) throws -> Bool) throws -> Void
    /// What the stream has when reading begins is all that is read of it.
    private let end: Offset
    /// Everything before it was asked for.
    private var place: Offset
    private var isOver = false
    private var named: ArraySlice<Offset> = []
    private var namedCount = 1
    private var cursor: Cursor
    private var batch: [Record] = []
    private var index = 0

    private static let namedCountMax = 4096

    init(
        _ stream: LogStream, from start: StartPosition,
        ask: @escaping (_ from: Offset?, _ body: (Offset) throws -> Bool) throws -> Void
    ) throws {
        self.stream = stream
        self.ask = ask
        end = stream.endOffset
        place = try stream.offset(of: start)
        cursor = try stream.cursor(from: .offset(place))
    }

    func next() throws -> Record? {
        while true {
            if named.isEmpty, !isOver { try askOn() }
            guard let offset = named.popFirst() else { return nil }
            if let record = try record(at: offset) { return record }
        }
    }

    private func askOn() throws {
        isOver = true
        // Without a bound it is told where all of the stream is looked at.
        try ask(place <= stream.firstOffset ? nil : place) { offset in
            guard offset < end else { return false }
            named.append(offset)
            guard named.count == namedCount else { return true }
            isOver = false
            place = offset + 1
            return false
        }
        namedCount = min(4 * namedCount, Self.namedCountMax)
    }

    /// `nil` where it was lost between the question and now.
    private func record(at offset: Offset) throws -> Record? {
        while true {
            while index < batch.count, batch[index].offset < offset { index += 1 }
            if index < batch.count { return batch[index].offset == offset ? batch[index] : nil }
            switch try cursor.next() {
            case .batch where cursor.nextOffset > offset:
                batch = Self.copies(cursor)
                index = 0
                try cursor.expectIntact()
            // Not in the next batch: whatever is between was found not to fit.
            case .batch: cursor = try stream.cursor(from: .offset(offset))
            case .gap: if cursor.nextOffset > offset { return nil }
            case .end: return nil
            }
        }
    }

    private static func copies(_ cursor: borrowing Cursor) -> [Record] {
        var copies: [Record] = []
        var records = cursor.records
        while let record = records.next() { copies.append(record.copy()) }
        return copies
    }
}
