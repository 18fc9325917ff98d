import Foundation
import GRDB
import Testing
import WeirBase

@testable import Weir
@testable import WeirSQL

/// How records are asked for, of one stream or of both.
private enum Way: CaseIterable {
    case walk, copies, time, key, keyWithoutIndex, header, printedHeader, headerWithoutIndex
    case merged, mergedByTime, mergedKey, mergedHeader
    case everyRow, rowsByKey, rowsByHeader, rowsByTime, offsets

    private static let condition = "headers ->> 'h' = 'x'"
    private static let start = Timestamp(microseconds: 10)

    var isIndexed: Bool { self != .keyWithoutIndex && self != .headerWithoutIndex }
    var streamCount: Int {
        [.merged, .mergedByTime, .mergedKey, .mergedHeader].contains(self) ? 2 : 1
    }

    func name(of index: Int) -> String { "\(self)\(index)" }

    func wants(_ record: Weir.Record) -> Bool {
        switch self {
        case .walk, .copies, .everyRow, .merged: true
        case .time, .rowsByTime, .mergedByTime: record.time >= Self.start
        case .key, .keyWithoutIndex, .rowsByKey, .mergedKey: record.key == Array("k0".utf8)
        case .header, .printedHeader, .headerWithoutIndex, .rowsByHeader, .offsets, .mergedHeader:
            record.headers["h"] == "x"
        }
    }

    /// Asks, and calls `body` with each record as it comes.
    func ask(
        _ store: Store, _ streams: [LogStream], _ body: (Int, Offset) throws -> Void
    ) throws {
        let first = streams[0]
        switch self {
        case .walk: try walk(first.cursor(), body)
        case .copies: try walk(first.cursor(reading: .copied), body)
        case .time: try walk(first.cursor(from: .time(Self.start)), body)
        case .key, .keyWithoutIndex: try walk(first.records(key: "k0"), body)
        case .header, .headerWithoutIndex:
            try walk(first.records(header: "h", equalTo: "x"), body)
        case .printedHeader: try walk(first.records(header: "h", printedAs: "x"), body)
        case .merged: try walk(Store.merged(streams), body)
        case .mergedByTime: try walk(Store.merged(streams, from: .time(Self.start)), body)
        case .mergedKey: try walk(Store.merged(streams, key: "k0"), body)
        case .mergedHeader:
            try walk(Store.merged(streams, header: "h", equalTo: "x"), body)
        case .everyRow: try rows(store, "value <> ''", body)
        case .rowsByKey: try rows(store, "key = 'k0'", body)
        case .rowsByHeader: try rows(store, Self.condition, body)
        case .rowsByTime: try rows(store, "time_us >= 10", body)
        case .offsets:
            try RecordsDatabase(store).offsets(of: name(of: 0), where: Self.condition) { offset in
                try body(0, offset)
                return true
            }
        }
    }

    private func walk(
        _ cursor: consuming Weir.Cursor, _ body: (Int, Offset) throws -> Void
    ) throws {
        while true {
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                while let record = records.next() { try body(0, record.offset) }
            case .gap(let gap): Issue.record("a gap: \(gap)")
            case .end: return
            }
        }
    }

    private func walk(
        _ records: consuming KeyedRecords, _ body: (Int, Offset) throws -> Void
    ) throws {
        while true {
            switch try records.next() {
            case .record(let record): try body(0, record.offset)
            case .gap(let gap): Issue.record("a gap: \(gap)")
            case .end:
                #expect((records.scanReason == nil) == isIndexed)
                return
            }
        }
    }

    private func walk(
        _ cursor: consuming MergedCursor, _ body: (Int, Offset) throws -> Void
    ) throws {
        while true {
            switch try cursor.next() {
            case .record(let found): try body(found.source, found.record.offset)
            case .gap(let gap, let stream): Issue.record("a gap of \(stream): \(gap)")
            case .end: return
            }
        }
    }

    private func rows(
        _ store: Store, _ condition: String, _ body: (Int, Offset) throws -> Void
    ) throws {
        let sql = "SELECT \"offset\" FROM \"\(name(of: 0))\" WHERE \(condition) ORDER BY \"offset\""
        try RecordsDatabase(store).query(sql) { row in
            try body(0, Offset(UInt64(row[0] as Int64)))
            return true
        }
    }
}

/// A pair of streams for each way, in segments of two batches, the last of which is not sealed.
private final class PairsToCompact {
    let path = NSTemporaryDirectory() + "weir-swap-" + UUID().uuidString
    let store: Store
    private var streams: [Way: [LogStream]] = [:]

    init(_ ways: [Way] = Way.allCases) throws {
        store = try Store.openBlocking(at: path)
        store.pauseUpkeep()
        for way in ways {
            let configuration = StreamConfiguration(
                durability: .flushed, keyIndex: way.isIndexed,
                indexedHeaders: way.isIndexed ? ["h"] : [],
                compaction: CompactionPolicy(tombstoneSecondsMin: 0))
            streams[way] = try (0..<way.streamCount).map { index in
                let stream = try store.streamBlocking(
                    way.name(of: index), creating: configuration)
                try fill(stream)
                return stream
            }
        }
        // Until it covers everything, a replay would read the log.
        _ = try Store.rebuildIndex(ofStoreAt: path)
    }

    private func fill(_ stream: LogStream) throws {
        let writer = try stream.syncWriter()
        for number in 0..<6 {
            var batch = Batch()
            for place in 0..<4 {
                // Of four records one has no key, and one a key of its own.
                let key = ["k0", "k1", "own \(number)", nil][place]
                _ = try batch.append(
                    key: key.map { Array($0.utf8) }, headers: ["h": place == 1 ? "y" : "x"],
                    time: Timestamp(microseconds: Int64(number * 10 + place)),
                    value: Array("\(number)".utf8))
            }
            try writer.append(&batch)
            if number % 2 == 1, number < 5 { try stream.committer?.sealActive() }
        }
    }

    func streams(_ way: Way) throws -> [LogStream] { try #require(streams[way]) }

    func compact(_ way: Way) throws {
        for stream in try streams(way) {
            let report = try stream.compactBlocking(CompactionOptions(isNow: true))
            #expect(report.segmentsRewritten > 1)
        }
    }

    /// What a walk finds now.
    func found(_ way: Way) throws -> [[Offset]] {
        try streams(way).map { stream in
            var found: [Offset] = []
            var cursor = try stream.cursor()
            while case .batch = try cursor.next() {
                var records = cursor.records
                while let record = records.next() {
                    if way.wants(record.copy()) { found.append(record.offset) }
                }
            }
            return found
        }
    }

    deinit {
        do {
            try store.closeBlocking()
            try FileManager.default.removeItem(atPath: path)
        } catch {
            Issue.record(error)
        }
    }
}

@Suite("A replay with a compaction in its middle")
struct SwapReplayTests {
    /// The files are swapped behind a record: the first, and one at the end of a batch.
    @Test(arguments: [1, 4]) func `repeats nothing, and loses nothing that stays`(
        swapAt: Int
    ) throws {
        let pairs = try PairsToCompact()
        for way in Way.allCases {
            let before = try pairs.found(way)
            var seen: [[Offset]] = before.map { _ in [] }
            try way.ask(pairs.store, try pairs.streams(way)) { stream, offset in
                seen[stream].append(offset)
                if seen.joined().count == swapAt { try pairs.compact(way) }
            }
            let after = try pairs.found(way)
            #expect(before != after, "\(way)")
            for stream in seen.indices {
                #expect(seen[stream] == Array(Set(seen[stream])).sorted(), "\(way)")
                #expect(Set(seen[stream]).isSubset(of: before[stream]), "\(way)")
                #expect(Set(after[stream]).isSubset(of: seen[stream]), "\(way)")
            }
        }
    }

    /// The replay ends where the stream ended when it began.
    @Test func `lacks a key whose next record is behind its end, and asked again has it`() throws {
        let pairs = try PairsToCompact([.key])
        let stream = try pairs.streams(.key)[0]
        var replay = try stream.records(key: "own 0")
        let newer = try stream.syncWriter().append(key: Array("own 0".utf8), value: [1])
        try stream.committer?.sealActive()
        try pairs.compact(.key)
        #expect(try replay.next() == .end)
        var again = try stream.records(key: "own 0", from: .offset(replay.endOffset))
        guard case .record(let record) = try again.next() else {
            Issue.record("the newer record is not found")
            return
        }
        #expect(record.offset == newer.offset)
    }

    /// A reader that had opened only some of the old files, and asks the manifest for the rest.
    @Test func `goes on in another process, and at the end of the log`() throws {
        let pairs = try PairsToCompact([.walk])
        let stream = try pairs.streams(.walk)[0]
        let reader = try Store.openBlocking(at: pairs.path, .read)
        var cursor = try reader.streamBlocking(stream.name.description).cursor()
        var seen: [Offset] = []
        for count in [4, 24, 25] {
            if count == 24 { try pairs.compact(.walk) }
            if count == 25 { try stream.syncWriter().append(value: Array("the last".utf8)) }
            while seen.last.map({ $0.value + 1 < count }) ?? true, try cursor.next() == .batch {
                var records = cursor.records
                while let record = records.next() { seen.append(record.offset) }
            }
            #expect(seen.last.map { $0.value + 1 } == UInt64(count))
        }
        #expect(seen == Array(Set(seen)).sorted())
        #expect(Set(try pairs.found(.walk)[0]).isSubset(of: seen))
        try reader.closeBlocking()
    }
}
