import Weir
import WeirBase
import WeirCompaction
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

/// A stream of keyed records on a simulated disk, and what a dictionary says of it.
struct CompactedStream {
    typealias Engine = StoreEngine<SimulatedFileSystem>

    struct Broken: Error, CustomStringConvertible {
        let description: String
    }
    struct Entry: Hashable {
        let key: [UInt8]?
        let value: [UInt8]?
    }

    /// Never in a hurry, and nobody waits for it.
    private struct Unhurried: CompactionPace {
        func step(byteCount: Int) {}
        func begin(_ phase: CompactionPhase, byteCount: UInt64) {}
    }

    static let name: StreamName = {
        do throws(WeirError) { return try StreamName("s") } catch {
            preconditionFailure("\(error)")
        }
    }()
    static let policy = CompactionPolicy(
        dirtyPercent: 30, lagSecondsMin: 0, tombstoneSecondsMin: 0)

    let machine: SimulatedMachine
    /// What was appended to each offset, and whether it is promised to survive power loss.
    var appended: [UInt64: Entry] = [:]
    var durableEnd: UInt64 = 0
    /// Of the stream, when it is made.
    var segmentBytes = 8 << 10

    init(machine: SimulatedMachine) { self.machine = machine }

    func open(_ disk: SimulatedFileSystem) throws(WeirError) -> Engine {
        try Engine.open(files: disk, host: machine.host, creating: true)
    }

    func writer(
        _ engine: Engine, _ compression: Compression = .off
    ) throws -> LogWriter<SimulatedFileSystem> {
        if engine.stream(Self.name) == nil {
            try engine.create(
                Self.name,
                StreamConfiguration(
                    durability: .flushed, compression: compression, segmentBytes: segmentBytes,
                    batchBytesMax: 2 << 10, compaction: Self.policy))
        }
        guard let writer = engine.stream(Self.name)?.writer else {
            throw Broken(description: "no writer")
        }
        return writer
    }

    /// Appends a batch of some records with keys from a small set, some without, some tombstones.
    mutating func append(
        _ random: inout SeededRandom, to writer: LogWriter<SimulatedFileSystem>
    ) throws {
        var batch = Batch(byteLimit: 2 << 10)
        var entries: [Entry] = []
        for _ in 0...random.below(5) {
            let key = random.oneIn(6) ? nil : Array("key \(random.below(7))".utf8)
            let value: [UInt8]? =
                key != nil && random.oneIn(6)
                ? nil
                : Array("\(appended.count)".utf8) + .init(repeating: 1, count: random.below(300))
            let isAdded = try batch.append(key: key, headers: [:], time: nil, value: value)
            guard isAdded else { break }
            entries.append(Entry(key: key, value: value))
        }
        let first = writer.nextOffset.value
        for (index, entry) in entries.enumerated() { appended[first + UInt64(index)] = entry }
        do throws(WeirError) {
            _ = try writer.append(&batch.builder, needsSync: false)
        } catch {
            if error.code == .noSpace {
                for index in entries.indices { appended[first + UInt64(index)] = nil }
                return
            }
            throw error
        }
    }

    mutating func sync(_ writer: LogWriter<SimulatedFileSystem>) throws(WeirError) {
        try writer.sync()
        durableEnd = writer.durableEnd.value
    }

    /// Leaves out some offsets at the log's end, as the copy of a compacted log does.
    mutating func skip(
        _ count: Int, in writer: LogWriter<SimulatedFileSystem>
    ) throws(WeirError) {
        let end = writer.nextOffset
        let row = ProducerRow(
            name: try ProducerName("p"), lastPublishingID: end.value, offset: end)
        let isDone = try writer.skip(from: end, to: end + count, noting: row)
        if isDone { durableEnd = writer.nextOffset.value }
    }

    @discardableResult
    func compact(
        _ writer: LogWriter<SimulatedFileSystem>, on disk: SimulatedFileSystem,
        takesAll: Bool = true, mapBytes: Int = 2048, isDryRun: Bool = false
    ) throws(WeirError) -> CompactionReport {
        let leftovers = Leftovers(files: disk)
        let machine = machine
        let compactor = Compactor(
            writer, leftovers: leftovers, pace: Unhurried(), now: machine.host.now(),
            wall: machine.host.now(), random: machine.host.random)
        var request = CompactionRequest(policy: Self.policy)
        request.takesAll = takesAll
        request.isDryRun = isDryRun
        request.mapBytes = mapBytes
        request.markBytesMax = 40
        let ends = try Self.ends(writer.view, before: writer.epoch)
        let report = try compactor.run(request)
        guard try Self.ends(writer.view, before: writer.epoch) == ends else {
            throw .damaged("An epoch ends elsewhere than before the compaction: \(ends)")
        }
        try leftovers.sweep()
        return report
    }

    /// What a power failure took is told by where each epoch ended.
    static func ends(
        _ view: LogView<SimulatedFileSystem>, before epoch: Epoch
    ) throws(WeirError) -> [Offset] {
        var ends: [Offset] = []
        for earlier in 0..<epoch.value { ends.append(try view.end(of: Epoch(earlier))) }
        return ends
    }

    // MARK: what must hold

    /// Reads everything, and holds it against what was appended. Gives what is there.
    func check(_ engine: Engine, from start: UInt64 = 0) throws -> [UInt64: Entry] {
        guard let view = engine.stream(Self.name)?.view else { return [:] }
        if let report = engine.reports.first(where: \.isDamage) {
            throw Broken(description: "damage: \(report)")
        }
        var found: [UInt64: Entry] = [:]
        var cursor = LogCursor(view: view, at: Offset(start))
        var next = start
        while true {
            switch try cursor.next() {
            case .gap(let gap): throw Broken(description: "gap: \(gap)")
            case .end, .held:
                try expectComplete(found, end: view.visibleEnd.value)
                return found
            case .batch:
                var records = cursor.records
                while let record = records.next() {
                    let offset = record.offset.value
                    guard offset >= next else {
                        throw Broken(description: "\(offset) comes behind \(next)")
                    }
                    next = offset + 1
                    let copy = BorrowedRecord(copy record, appendTime: .distantPast).copy()
                    let entry = Entry(key: copy.key, value: copy.value)
                    guard appended[offset] == entry else {
                        throw Broken(description: "\(offset) is not what was appended")
                    }
                    found[offset] = entry
                }
            }
        }
    }

    /// What is missing is superseded by a record that is there, or is a tombstone.
    private func expectComplete(_ found: [UInt64: Entry], end: UInt64) throws {
        guard end >= durableEnd else {
            throw Broken(description: "it ends at \(end), and \(durableEnd) was durable")
        }
        var last: [[UInt8]: UInt64] = [:]
        for (offset, entry) in appended where offset < end {
            if let key = entry.key { last[key] = max(last[key] ?? 0, offset) }
        }
        for (offset, entry) in appended where offset < end && found[offset] == nil {
            guard let key = entry.key, let latest = last[key] else {
                throw Broken(description: "the keyless record \(offset) is gone")
            }
            let isHidden = latest > offset && found[latest] != nil
            let isDeleted = appended[latest]?.value == nil
            guard isHidden || isDeleted else {
                throw Broken(description: "record \(offset) is gone, the latest of its key")
            }
        }
        // A tombstone that went must have left nothing of its key behind.
        for (offset, entry) in found {
            guard let key = entry.key, let latest = last[key], found[latest] == nil else {
                continue
            }
            throw Broken(description: "record \(offset) is back, whose tombstone \(latest) went")
        }
    }

    /// What is left when everything has been compacted; the last segment never is.
    func kept(before end: UInt64) -> Set<UInt64> {
        var last: [[UInt8]: UInt64] = [:]
        for (offset, entry) in appended where offset < end {
            if let key = entry.key { last[key] = max(last[key] ?? 0, offset) }
        }
        return Set(
            appended.filter { offset, entry in
                guard offset < end, let key = entry.key else { return offset < end }
                return last[key] == offset && entry.value != nil
            }.keys)
    }

    /// Files that no manifest lists.
    func strays(_ engine: Engine, on disk: SimulatedFileSystem) throws -> [String] {
        guard let stream = engine.stream(Self.name), let writer = stream.writer else { return [] }
        let listed = Set(
            writer.manifest.state.segments.map { StoreLayout.segmentName($0.id, base: $0.base) })
        return try disk.list(StoreLayout.stream(stream.id)).filter { name in
            !listed.contains(name) && name != StoreLayout.manifestName
                && name != StoreLayout.quarantineName
        }
    }
}
