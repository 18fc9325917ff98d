import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirIndex
import WeirLog
import WeirTesting

@testable import Weir

/// One seeded history of a store with its index: lives that end in crashes on a simulated disk,
/// then a fault of the index. What is left is put into a real folder and opened as everybody would,
/// and every answer is held against a walk over the whole stream.
struct IndexTrial {
    struct Broken: Error, CustomStringConvertible {
        let description: String
    }
    private typealias Engine = StoreEngine<SimulatedFileSystem>

    let seed: UInt64
    let fault: IndexFault
    private(set) var tally = IndexTally()
    private let folder: TrialFolder
    private let machine: SimulatedMachine
    private var random: SeededRandom
    private var disk: SimulatedFileSystem
    /// Of the disk before the last life, as power loss left it.
    private var earlier: SimulatedFileSystem?
    /// The index after each of its transactions.
    private var moments: [IndexImage] = []
    private var number = 0
    private let names: [StreamName]
    private let durability: Durability
    /// Whether the index knows the records' header, too.
    private let hasIndexedHeader: Bool

    init(seed: UInt64, in folder: TrialFolder) throws {
        self.seed = seed
        self.folder = folder
        random = SeededRandom(seed: seed)
        machine = SimulatedMachine(seed: seed &* 31)
        disk = SimulatedFileSystem(seed: seed &* 17)
        fault = IndexFault.allCases[Int(seed % UInt64(IndexFault.allCases.count))]
        names = try (random.oneIn(3) ? ["s", "t"] : ["s"]).map { try StreamName($0) }
        durability = random.oneIn(2) ? .flushed : .durable
        hasIndexedHeader = random.oneIn(2)
    }

    private func broken(_ what: String) -> Broken {
        Broken(description: "seed \(seed), \(fault): \(what)")
    }

    /// Throws `Broken` for an answer that is not the scan's.
    mutating func run() throws {
        try folder.empty()
        let lives = 2 + random.below(3)
        for life in 0..<lives {
            if life == lives - 1 { earlier = disk.afterPowerLoss(seed: random.next()) }
            try live()
            try crash()
        }
        try leave()
        var judge = IndexJudge(path: folder.store, seed: random.next())
        do {
            try judge.read(probes: 200)
            if random.oneIn(4) {
                try judge.write(probes: 50)
                try judge.readIndexed(probes: 50, mayHideDamage: fault.mayHide)
            }
        } catch {
            throw broken("\(error)")
        }
        tally.add(judge.tally)
    }

    // MARK: a life

    private mutating func live() throws {
        // A clock that somebody set wrong, or right again.
        if random.oneIn(8) {
            let tenYears: Int64 = 315_576_000_000_000
            machine.moveClock(microseconds: random.oneIn(2) ? tenYears : -tenYears)
            tally.clockJumps += 1
        }
        disk.stop(after: 40 + random.below(random.oneIn(4) ? 100 : 400))
        var index: IndexWriter?
        do {
            let engine = try Engine.open(files: disk, host: machine.host, creating: true)
            for name in names where engine.stream(name) == nil {
                try engine.create(name, configuration)
            }
            // The index has a thread of its own, which may come late, or never.
            let turn = random.below(12)
            for step in 0..<2 + random.below(12) {
                if step == turn { index = try openIndex(engine) }
                if let index, random.oneIn(3) { try feed(index, engine) }
                try append(engine)
            }
            if random.oneIn(3) {
                if let index { try feed(index, engine) }
                try engine.close()
            }
        } catch let error as WeirError {
            // The machine stopped, perhaps in a sync.
            guard [.machineStopped, .poisoned].contains(error.code) else { throw error }
            tally.crashes += 1
        }
        try index?.close()
        // What a kill leaves: the files as they were before the connection was closed.
        if let last = moments.last { try folder.put(last) }
    }

    private var configuration: StreamConfiguration {
        StreamConfiguration(
            durability: durability, segmentBytes: 12 << 10, batchBytesMax: 4 << 10,
            indexedHeaders: hasIndexedHeader ? [IndexJudge.header] : [])
    }

    private mutating func append(_ engine: Engine) throws {
        let name = names[random.below(names.count)]
        guard let writer = engine.stream(name)?.writer else { throw broken("no writer") }
        var builder = BatchBuilder(byteLimit: 4 << 10)
        let hasKeys = !random.oneIn(6)
        for _ in 0..<1 + random.below(40) {
            number += 1
            let key = IndexJudge.key(random.below(1 + random.below(IndexJudge.keyCount)))
            let value = random.oneIn(12) ? nil : Array("\(number)".utf8)
            let isKeyed = value == nil || hasKeys && !random.oneIn(3)
            // Times of the user's own repeat themselves, and go back.
            let time =
                random.oneIn(2)
                ? nil
                : Timestamp(microseconds: 1_700_000_000_000_000 + Int64(random.below(400)) * 10)
            let isMarked = random.oneIn(2)
            let mark = HeaderValue.int(Int64(random.below(IndexJudge.keyCount)))
            guard
                try builder.append(
                    key: isKeyed ? key : nil, headers: isMarked ? [IndexJudge.header: mark] : [:],
                    time: time, value: value)
            else { break }
        }
        guard !builder.isEmpty else { return }
        _ = try writer.append(&builder, needsSync: durability == .durable)
        if durability == .durable || random.oneIn(4) { try writer.sync() }
    }

    // MARK: its index

    /// As the store's own thread does it.
    private mutating func openIndex(_ engine: Engine) throws -> IndexWriter {
        guard let opening = engine.opening else { throw broken("no opening") }
        let store = engine.header.storeID
        let identity = IndexIdentity(store: store, opening)
        let previous = engine.previousOpening.map { IndexIdentity(store: store, $0) }
        let ends = Dictionary(uniqueKeysWithValues: engine.streams.map { ($0.id, $0.openedEnd) })
        let index: IndexWriter
        var forgotten = 0
        do {
            index = try IndexWriter.open(
                path: folder.index, identity, after: previous ?? identity
            ) { id, covered in
                let isStale = ends[id].map { covered.upperBound > $0 } ?? true
                if isStale { forgotten += 1 }
                return isStale
            }
        } catch {
            guard error.code == .damaged else { throw error }
            try folder.removeIndex()
            index = try IndexWriter.create(path: folder.index, identity)
        }
        tally.forgotten += forgotten
        moments.append(try folder.image())
        return index
    }

    private mutating func feed(_ index: IndexWriter, _ engine: Engine) throws {
        var runs: [KeyRun] = []
        for stream in engine.streams {
            let start = index.coverage(of: stream.id)?.upperBound ?? stream.view.logStart
            let fields = IndexedFields(stream)
            runs += try KeyFeed.read(fields, of: stream.id, stream.view, from: start) { _ in false }
        }
        try index.append(runs)
        if random.oneIn(4) { _ = try index.checkpoint() }
        moments.append(try folder.image())
    }

    // MARK: its end

    private mutating func crash() throws {
        guard !random.oneIn(3) else {
            disk = disk.afterKill()
            return
        }
        disk = disk.afterPowerLoss(seed: random.next())
        machine.restart()
        // SQLite may lose its last transactions with it.
        if !moments.isEmpty, random.oneIn(2) {
            moments.removeLast(random.below(min(4, moments.count)))
            if let last = moments.last { try folder.put(last) } else { try folder.removeIndex() }
        }
    }

    /// Puts the store and its index, with the fault, where they can be opened.
    private mutating func leave() throws {
        let isAhead = fault == .ahead
        try folder.write(isAhead ? earlier ?? disk : disk)
        let image = fault.apply(to: moments, &random)
        if let image { try folder.put(image) } else { try folder.removeIndex() }
        if fault == .foreign { try makeForeign() }
        if image != nil || fault == .missing || fault == .foreign {
            tally.faults[fault, default: 0] += 1
        }
    }

    /// Another store's, which claims to cover a stream of the same id and knows no key of it.
    private func makeForeign() throws {
        let engine = try Engine.openReadOnly(files: disk, host: machine.host)
        try folder.removeIndex()
        guard let opening = try EpochFile.lastOpening(files: disk) else { return }
        let other = IndexIdentity(
            store: StoreID(engine.header.storeID.value ^ 1), opening)
        let index = try IndexWriter.create(path: folder.index, other)
        try index.append(
            engine.streams.map {
                KeyRun(
                    stream: $0.id, first: $0.view.logStart, end: $0.view.flushedEnd, entries: [])
            })
        try index.close()
    }
}

/// How often something came, over all trials: what never came proves nothing.
struct IndexTally {
    var crashes = 0
    var clockJumps = 0
    /// Openings at which the index was ahead of the log, and forgot.
    var forgotten = 0
    var faults: [IndexFault: Int] = [:]
    var probes = 0
    /// Lookups by key and by header that needed no walk over the log.
    var byIndex = 0
    var headersByIndex = 0
    /// Conditions in SQL, and those of one key that needed no walk.
    var conditions = 0
    var conditionsByIndex = 0

    mutating func add(_ other: IndexTally) {
        crashes += other.crashes
        clockJumps += other.clockJumps
        forgotten += other.forgotten
        faults.merge(other.faults, uniquingKeysWith: +)
        probes += other.probes
        byIndex += other.byIndex
        headersByIndex += other.headersByIndex
        conditions += other.conditions
        conditionsByIndex += other.conditionsByIndex
    }
}
