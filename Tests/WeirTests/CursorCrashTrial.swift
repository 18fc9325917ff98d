import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

/// One seeded life of a store with three cursors: appends, commits that gather, syncs, and a crash
/// at any operation. Then every cursor is held against what was acknowledged and what is there.
struct CursorCrashTrial {
    struct Broken: Error, CustomStringConvertible {
        let description: String
    }
    private typealias Engine = StoreEngine<SimulatedFileSystem>
    private typealias Ledger = CursorLedger<Waiter>

    private struct Waiter: Sendable {
        let offset: UInt64
    }
    /// A record of a cursor, and the records of the stream that lay below it then.
    private struct Written {
        let offset: UInt64
        let processed: [Int?]
    }
    private struct Model {
        /// What an offset of the stream holds; `nil` where recovery left a hole.
        var records: [Int?] = []
        var nextValue = 0
        var written: [String: [Written]] = [:]
        /// Which of these was the last that somebody was told of.
        var acknowledged: [String: Int] = [:]
    }

    let seed: UInt64
    private var random: SeededRandom
    private let machine: SimulatedMachine
    private var disk: SimulatedFileSystem
    private var model = Model()
    private let name: StreamName
    private let durability: Durability
    /// Cursors are set back too.
    private var forces: Bool { seed % 3 == 0 }
    private(set) var acknowledged = 0
    private(set) var moved = 0

    init(seed: UInt64) throws {
        self.seed = seed
        random = SeededRandom(seed: seed)
        machine = SimulatedMachine(seed: seed &* 31)
        disk = SimulatedFileSystem(seed: seed &* 17)
        name = try StreamName("s")
        durability = seed % 2 == 0 ? .flushed : .durable
    }

    mutating func run() throws {
        for _ in 0..<4 {
            disk.stop(after: 30 + random.below(250))
            do {
                try live()
            } catch let error as WeirError {
                // The machine stopped, perhaps in a sync.
                guard [.machineStopped, .poisoned].contains(error.code) else {
                    throw broken("unexpected: \(error)")
                }
            }
            if random.oneIn(3) {
                disk = disk.afterKill()
            } else {
                disk = disk.afterPowerLoss(seed: random.next())
                machine.restart()
            }
            try check()
        }
    }

    private func broken(_ what: String) -> Broken { Broken(description: "seed \(seed): \(what)") }

    // MARK: a life

    private mutating func live() throws {
        let engine = try Engine.open(files: disk, host: machine.host, creating: true)
        let (stream, cursors) = (try writer(name, engine), try writer(CursorLog.streamName, engine))
        var ledger = Ledger()
        ledger.load(try load(engine).settled([try id(engine): stream.view]))
        var flying: [CursorKey: Ledger.Change] = [:]
        for _ in 0..<10 + random.below(40) {
            switch random.below(5) {
            case 0, 1: try append(to: stream)
            case 2: try write(&flying, of: &ledger, to: cursors)
            default:
                let key = CursorKey(
                    stream: try id(engine), name: ["a", "b", "c"][random.below(3)])
                let change = try commit(key, stream.view, engine.epoch, &ledger)
                if let change { flying[key] = change }
            }
        }
        if random.oneIn(3) { try engine.close() }
    }

    private func writer(
        _ name: StreamName, _ engine: Engine
    ) throws -> LogWriter<SimulatedFileSystem> {
        if engine.stream(name) == nil {
            try engine.create(
                name,
                StreamConfiguration(
                    durability: name.isSystem ? .durable : durability,
                    segmentBytes: 12 << 10, batchBytesMax: 4 << 10))
        }
        guard let writer = engine.stream(name)?.writer else { throw broken("no writer") }
        return writer
    }

    private func id(_ engine: Engine) throws -> StreamID {
        guard let id = engine.stream(name)?.id else { throw broken("no stream") }
        return id
    }

    private mutating func append(to writer: LogWriter<SimulatedFileSystem>) throws {
        var builder = BatchBuilder(byteLimit: 4 << 10)
        model.nextValue += 1
        let value = Array("\(model.nextValue)".utf8)
        guard builder.append(value: value.span.bytes) else { throw broken("no room") }
        let offset = Int(writer.nextOffset.value)
        while model.records.count < offset { model.records.append(nil) }
        model.records = model.records.prefix(offset) + [model.nextValue]
        _ = try writer.append(&builder, needsSync: durability == .durable)
        if durability == .durable || random.oneIn(3) { try writer.sync() }
    }

    /// A consumer commits, mostly forward, within what it sees.
    private mutating func commit(
        _ key: CursorKey, _ view: LogView<SimulatedFileSystem>, _ epoch: Epoch,
        _ ledger: inout Ledger
    ) throws -> Ledger.Change? {
        let offset = UInt64(random.below(Int(view.visibleEnd.value) + 1))
        let commit = CursorCommit(
            position: CursorPosition(epoch: epoch, offset: Offset(offset)),
            time: machine.host.now())
        do throws(WeirError) {
            let action = try ledger.commit(
                key, commit, force: forces && random.oneIn(6), waiter: Waiter(offset: offset))
            guard case .write(let change) = action else { return nil }
            return change
        } catch {
            guard error.code == .unexpectedOffset else { throw broken("refused: \(error)") }
            return nil
        }
    }

    /// The records that wait, as one group, and one sync for all.
    private mutating func write(
        _ flying: inout [CursorKey: Ledger.Change], of ledger: inout Ledger,
        to writer: LogWriter<SimulatedFileSystem>
    ) throws {
        var builder = BatchBuilder(byteLimit: 4 << 10)
        // In one order, so that a seed means one life.
        let group = flying.sorted { $0.key.name < $1.key.name }
        for (key, change) in group {
            guard case .move(let commit) = change else { continue }
            let isAdded = try builder.append(
                key: CursorRecord.encode(key).span.bytes, time: nil,
                value: CursorRecord.encode(commit).span.bytes
            ) { _ in }
            guard isAdded else { throw broken("no room for commits") }
            let offset = commit.position.offset.value
            model.written[key.name, default: []].append(
                Written(offset: offset, processed: Array(model.records.prefix(Int(offset)))))
        }
        guard !builder.isEmpty else { return }
        _ = try writer.append(&builder, needsSync: true)
        try writer.sync()
        flying = [:]
        for (key, change) in group {
            let (waiters, next) = ledger.finish(key, isDurable: true)
            model.acknowledged[key.name] = (model.written[key.name]?.count ?? 0) - 1
            acknowledged += waiters.count
            if let next { flying[key] = next }
            for waiter in waiters where !forces && waiter.offset > change.offset.value {
                throw broken("\(waiter.offset) was told of when \(change.offset) was durable")
            }
        }
    }

    // MARK: what must hold

    private func load(_ engine: Engine) throws -> CursorLog {
        var log = CursorLog()
        if let stream = engine.stream(CursorLog.streamName) { try log.walk(stream.view) }
        guard log.gaps.isEmpty, log.strangers == 0 else {
            throw broken("gaps \(log.gaps), \(log.strangers) strangers")
        }
        return log
    }

    private mutating func check() throws {
        let engine = try Engine.open(files: disk, host: machine.host, creating: true)
        disk = disk.afterKill()
        let log = try load(engine)
        guard let stream = engine.stream(name) else {
            guard model.acknowledged.isEmpty else { throw broken("the stream is gone") }
            return
        }
        model.records = try read(stream.view)
        let settled = log.settled([stream.id: stream.view])
        for (name, index) in model.acknowledged.sorted(by: { $0.key < $1.key }) {
            let key = CursorKey(stream: stream.id, name: name)
            guard case .at(let commit, _)? = log.standings[key] else {
                throw broken("the cursor \(name) is gone")
            }
            let candidates = (model.written[name] ?? []).dropFirst(index)
            guard
                let place = candidates.lastIndex(where: {
                    $0.offset == commit.position.offset.value
                })
            else {
                throw broken("the cursor \(name) stands at \(commit.position), which is older")
            }
            try check(settled[key], candidates[place], name, stream.view)
        }
    }

    /// The place is in the log, and what lies below it is what had been processed.
    private mutating func check(
        _ standing: CursorStanding?, _ written: Written, _ name: String,
        _ view: LogView<SimulatedFileSystem>
    ) throws {
        guard case .at(let commit, let lost)? = standing else { throw broken("unreadable") }
        let offset = commit.position.offset
        guard offset <= view.flushedEnd else {
            throw broken("the cursor \(name) at \(offset) is beyond \(view.flushedEnd)")
        }
        if lost != nil {
            moved += 1
            guard durability != .durable else { throw broken("a durable stream lost \(name)") }
        }
        for (index, record) in model.records.prefix(Int(offset.value)).enumerated() {
            guard let record, record != written.processed[index] else { continue }
            throw broken(
                "the cursor \(name) at \(offset) passes over record \(record) at \(index)")
        }
    }

    private func read(_ view: LogView<SimulatedFileSystem>) throws -> [Int?] {
        var found: [Int?] = []
        var cursor = LogCursor(view: view, at: .zero)
        while true {
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                while let record = records.next() {
                    while found.count < Int(record.offset.value) { found.append(nil) }
                    let value = record.value.withUnsafeBytes { Array($0) }
                    found.append(Int(String(decoding: value, as: UTF8.self)))
                }
            case .gap: continue
            case .end, .held: return found
            }
        }
    }
}
