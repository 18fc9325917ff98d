import Logging
import Weir
import WeirBase
import WeirSQL
import WeirTesting

/// Opens a store, walks over it, and holds every answer that might come by an index against that.
struct IndexJudge {
    struct Wrong: Error, CustomStringConvertible {
        let description: String
    }
    /// A record, and when Weir took it.
    struct Known {
        let record: Record
        let appendTime: Timestamp
    }
    private struct Walk {
        var known: [Known] = []
        /// Offsets that nobody can read.
        var gaps: [Range<Offset>] = []
    }

    let path: String
    private var random: SeededRandom
    private(set) var tally = IndexTally()
    static let keyCount = 30
    static let header = "mark"
    /// Of every fifth the bytes are no text.
    static func key(_ number: Int) -> [UInt8] {
        Array("key \(number)".utf8) + (number % 5 == 4 ? [0xFF] : [])
    }
    private static let logger = {
        var logger = Logger(label: "weir")
        logger.logLevel = .critical
        return logger
    }()

    init(path: String, seed: UInt64) {
        self.path = path
        random = SeededRandom(seed: seed)
    }

    /// As a reading process without a writer.
    mutating func read(probes: Int) throws {
        let store = try open(.read)
        _ = try check(store, probes)
        try store.closeBlocking()
    }

    /// As the writer, whose index is perhaps being made at this moment, and a reader beside it.
    mutating func write(probes: Int) throws {
        let store = try open(.write)
        // Perhaps before its thread has looked at the index, which may tell of lost records there.
        if random.oneIn(2) { try append(store) }
        _ = try check(store, probes)
        let beside = try open(.read)
        _ = try check(beside, probes)
        try beside.closeBlocking()
        try store.closeBlocking()
    }

    private mutating func append(_ store: Store) throws {
        guard let name = store.streamNames.first(where: { !$0.isSystem }) else { return }
        let writer = try store.streamBlocking(name.description).syncWriter()
        var batch = Batch()
        for _ in 0..<60 {
            let key = Self.key(random.below(Self.keyCount))
            _ = try batch.append(key: key, value: Array("later".utf8))
        }
        try writer.append(&batch)
    }

    /// After a writer closed: the index covers everything, and no lookup walks over the log.
    mutating func readIndexed(probes: Int, mayHideDamage: Bool) throws {
        let store = try open(.read)
        let report = store.indexReport()
        guard report.generation != nil, report.lag == 0 else {
            throw Wrong(description: "not brought up to date by a clean close: \(report)")
        }
        if let reason = try check(store, probes), !mayHideDamage {
            throw Wrong(description: "the log was read although the index is whole: \(reason)")
        }
        try store.closeBlocking()
    }

    private func open(_ access: Store.Access) throws -> Store {
        try Store.openBlocking(at: path, access, logger: Self.logger)
    }

    /// Says why the log was read for a key or an indexed header, if it was.
    private mutating func check(_ store: Store, _ probes: Int) throws -> String? {
        let names = store.streamNames.filter { !$0.isSystem }
        guard !names.isEmpty else { return nil }
        var reason: String?
        let scans = Lock(0)
        var events = RecordsDatabase.Events()
        events.onScan = { _ in scans.withLock { $0 += 1 } }
        let database = try RecordsDatabase(store, events: events)
        for name in names {
            let stream = try store.streamBlocking(name.description)
            let walk = try Self.walk(stream)
            let known = walk.known
            for probe in 0..<probes / names.count {
                switch probe % 7 {
                case 0: try checkOffset(stream, known)
                case 1: try checkTime(stream, walk)
                case 2: try checkAppendTime(stream, walk)
                case 3: try checkWindow(stream, known)
                case 4: reason = try checkHeader(stream, known) ?? reason
                case 5: try checkCondition(database, scans, stream, known)
                default: reason = try checkKey(stream, known) ?? reason
                }
                tally.probes += 1
            }
        }
        return reason
    }

    private static func walk(_ stream: LogStream) throws -> Walk {
        var cursor = try stream.cursor(from: .first)
        var found = Walk()
        while true {
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                let appendTime = records.appendTime
                while let record = records.next() {
                    found.known.append(Known(record: record.copy(), appendTime: appendTime))
                }
            case .gap(let gap) where gap.expected < gap.next:
                found.gaps.append(gap.expected..<gap.next)
            case .gap: continue
            case .end: return found
            }
        }
    }

    /// Reading from a place gives this record first, unless the place is in a gap before it: what
    /// is missing there may have had the time that was asked for.
    private func expect(
        _ expected: Known?, at start: StartPosition, _ stream: LogStream,
        _ gaps: [Range<Offset>] = []
    ) throws {
        let place = try stream.offset(of: start)
        let isBefore = expected.map { place <= $0.record.offset } ?? true
        if isBefore, gaps.contains(where: { $0.contains(place) }) { return }
        var cursor = try stream.cursor(from: start)
        var first: Record?
        while first == nil {
            let step = try cursor.next()
            if case .end = step { break }
            guard case .batch = step else { continue }
            var records = cursor.records
            first = records.next()?.copy()
        }
        guard first == expected?.record else {
            throw Wrong(
                description: "\(start) of \(stream.name) leads to \(Self.say(first)); the walk "
                    + "gives \(Self.say(expected?.record))")
        }
    }

    private static func say(_ record: Record?) -> String { record.map { "\($0)" } ?? "the end" }

    private mutating func checkOffset(_ stream: LogStream, _ known: [Known]) throws {
        let offset = Offset(UInt64(random.below(Int(stream.endOffset.value) + 3)))
        try expect(
            known.first { $0.record.offset >= offset }, at: .offset(offset), stream)
    }

    /// Of a record, a little beside it, or beyond all.
    private mutating func time(_ known: [Known], of: (Known) -> Timestamp) -> Timestamp {
        guard !known.isEmpty, !random.oneIn(16) else {
            return [.distantPast, .distantFuture, Timestamp(microseconds: 0)][random.below(3)]
        }
        let time = of(known[random.below(known.count)])
        return Timestamp(microseconds: time.microseconds + Int64(random.below(3)) - 1)
    }

    private mutating func checkTime(_ stream: LogStream, _ walk: Walk) throws {
        let time = time(walk.known) { $0.record.time }
        try expect(walk.known.first { $0.record.time >= time }, at: .time(time), stream, walk.gaps)
    }

    private mutating func checkAppendTime(_ stream: LogStream, _ walk: Walk) throws {
        let time = time(walk.known) { $0.appendTime }
        try expect(
            walk.known.first { $0.appendTime >= time }, at: .appended(time), stream, walk.gaps)
    }

    private mutating func checkWindow(_ stream: LogStream, _ known: [Known]) throws {
        let (one, other) = (time(known) { $0.record.time }, time(known) { $0.record.time })
        let window = min(one, other)..<max(one, other)
        _ = try expect(
            try stream.records(time: window), "\(window)", stream,
            known.filter { window.contains($0.record.time) })
    }

    private mutating func checkHeader(_ stream: LogStream, _ known: [Known]) throws -> String? {
        // One of them no record has.
        let value = HeaderValue.int(Int64(random.below(Self.keyCount + 1)))
        let start = Offset(UInt64(random.below(Int(stream.endOffset.value) + 1)))
        let records = try stream.records(
            header: Self.header, equalTo: value, from: .offset(start))
        let reason = try expect(
            records, "\(Self.header) \(value) from \(start)", stream,
            known.filter { $0.record.headers[Self.header] == value && $0.record.offset >= start })
        guard stream.configuration.indexedHeaders.contains(Self.header) else { return nil }
        if reason == nil { tally.headersByIndex += 1 }
        return reason
    }

    private mutating func checkKey(_ stream: LogStream, _ known: [Known]) throws -> String? {
        // One of them no record has.
        let key = Self.key(random.below(Self.keyCount + 1))
        let start = Offset(UInt64(random.below(Int(stream.endOffset.value) + 1)))
        let reason = try expect(
            try stream.records(key: key, from: .offset(start)),
            "\(String(decoding: key, as: UTF8.self)) from \(start)", stream,
            known.filter { $0.record.key == key && $0.record.offset >= start })
        if reason == nil { tally.byIndex += 1 }
        return reason
    }

    private mutating func checkCondition(
        _ database: RecordsDatabase, _ scans: Lock<Int>, _ stream: LogStream, _ known: [Known]
    ) throws {
        let condition = ProbedCondition.any(known, &random)
        let scansBefore = scans.withLock { $0 }
        let found = try condition.offsets(of: stream.name, in: database)
        let expected = known.filter { condition.holds(for: $0) == true }.map(\.record.offset)
        guard found == expected else {
            throw Wrong(
                description: "\(condition.sql) with \(condition.arguments) of \(stream.name) is "
                    + "at \(found); the walk finds it at \(expected)")
        }
        tally.conditions += 1
        if condition.isOfKeyAlone, scans.withLock({ $0 }) == scansBefore {
            tally.conditionsByIndex += 1
        }
    }

    /// What is wanted is found, all of it and nothing else. Says why the log was read.
    private func expect(
        _ wanted: consuming KeyedRecords, _ what: String, _ stream: LogStream, _ expected: [Known]
    ) throws -> String? {
        var records = wanted
        var found: [Record] = []
        while true {
            let step = try records.next()
            if case .end = step { break }
            if case .record(let record) = step { found.append(record) }
        }
        guard found == expected.map(\.record) else {
            throw Wrong(
                description: "\(what) of \(stream.name) is at \(found.map(\.offset)); the walk "
                    + "finds it at \(expected.map(\.record.offset)), and the index was "
                    + (records.scanReason.map { "not used: \($0)" } ?? "used"))
        }
        return records.scanReason
    }
}
