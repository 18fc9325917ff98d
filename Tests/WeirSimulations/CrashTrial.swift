import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirRecovery
import WeirTesting

/// One seeded life of a store: appends, syncs, restarts, and a crash at any operation, perhaps with
/// more crashes in the recovery; then everything that was promised is held against what is there.
struct CrashTrial {
    struct Broken: Error, CustomStringConvertible {
        let description: String
    }
    typealias Engine = StoreEngine<SimulatedFileSystem>

    /// What was asked for and what was promised.
    struct Model {
        /// Every value that an append ever carried to an offset, and where its batch begins.
        var submitted: [UInt64: [(value: [UInt8], batch: Range<UInt64>)]] = [:]
        var durable: [UInt64: [UInt8]] = [:]
        var flushed: [UInt64: [UInt8]] = [:]
        /// What a (offset, epoch) was seen to hold: it must never hold anything else.
        var seen: [SeenKey: [UInt8]] = [:]
        var nextValue = 0
    }
    struct SeenKey: Hashable {
        let offset: UInt64
        let epoch: UInt64
    }
    struct Batch {
        let header: BatchHeader
        let position: FilePosition
    }
    struct Read {
        let value: [UInt8]
        let epoch: UInt64
    }

    let seed: UInt64
    private var random: SeededRandom
    private let machine: SimulatedMachine
    private var disk: SimulatedFileSystem
    private var model = Model()
    private let name: StreamName
    private var wasKilled = false
    private(set) var crashes = 0
    private(set) var spoiledBatches = 0
    /// Offsets whose batch was spoiled on purpose: they, and no others, may be missing.
    private var spoiled: Range<UInt64>?
    private(set) var syncFailures = 0
    /// A disk that failed may lose what was flushed in the middle of the log, and says so.
    private var mediumFailed = false

    init(seed: UInt64) throws {
        self.seed = seed
        random = SeededRandom(seed: seed)
        machine = SimulatedMachine(seed: seed &* 31)
        disk = SimulatedFileSystem(seed: seed &* 17)
        name = try StreamName("s")
    }

    /// Throws `Broken` for a promise that does not hold.
    mutating func run() throws {
        for _ in 0..<3 {
            try live()
            try crash()
            if random.oneIn(4) { try spoil() }
            for _ in 0..<random.below(4) where random.oneIn(2) { try crashInRecovery() }
            try check()
            // What a spoiled batch held is gone, and its place would show in every later check.
            if spoiled != nil || mediumFailed { return }
        }
    }

    private func broken(_ what: String) -> Broken { Broken(description: "seed \(seed): \(what)") }

    // MARK: a life

    private mutating func live() throws {
        switch random.below(8) {
        case 0: disk.failSync(after: 1 + random.below(20))
        case 1: disk.failWrite(after: 1 + random.below(30))
        default: break
        }
        disk.stop(after: 1 + random.below(random.oneIn(4) ? 40 : 220))
        do {
            var engine = try Engine.open(files: disk, host: machine.host, creating: true)
            for _ in 0..<4 + random.below(20) {
                if random.oneIn(12) {
                    try engine.close()
                    engine = try Engine.open(files: disk, host: machine.host, creating: true)
                }
                try step(engine)
            }
            if random.oneIn(3) { try engine.close() }
        } catch let error as WeirError {
            // The machine stopped, or the fault that was set met something that gives up.
            let expected: [WeirError.Code] = [.machineStopped, .noSpace, .poisoned, .system]
            guard expected.contains(error.code) else { throw broken("unexpected: \(error)") }
        }
        syncFailures += disk.syncFailures
        // A failed sync leaves pages that look written and are not: they go with the cache.
        if disk.syncFailures > 0 {
            model.flushed = model.durable
            mediumFailed = true
        }
    }

    private mutating func step(_ engine: Engine) throws {
        if engine.stream(name) == nil {
            let configuration = StreamConfiguration(
                durability: random.oneIn(2) ? .flushed : .durable,
                compression: random.oneIn(3) ? .lz4 : .off, segmentBytes: 12 << 10,
                batchBytesMax: 4 << 10, commitAlignment: random.oneIn(4) ? 4096 : 8)
            try engine.create(name, configuration)
        }
        guard let writer = engine.stream(name)?.writer else { return }
        if random.oneIn(10) { machine.moveClock(microseconds: Int64(random.below(2000)) - 1000) }
        switch random.below(10) {
        case 0: try writer.mark()
        case 1: try sync(writer)
        // Rolls and the next file, as another thread would do them: soon, late, or never.
        case 2: writer.work()
        case 3: try rest(writer)
        default:
            try append(writer)
            if random.oneIn(2) { try sync(writer) }
        }
    }

    private mutating func append(_ writer: LogWriter<SimulatedFileSystem>) throws {
        var builder = BatchBuilder(byteLimit: 4 << 10)
        let first = writer.nextOffset.value
        let count = UInt64(1 + random.below(4))
        var values: [[UInt8]] = []
        for _ in 0..<count {
            model.nextValue += 1
            let text = "\(seed)-\(model.nextValue)-"
            let value = Array(text.utf8) + [UInt8](repeating: 46, count: random.below(700))
            guard builder.append(value: value.span.bytes) else { throw broken("no room") }
            values.append(value)
        }
        for (index, value) in values.enumerated() {
            model.submitted[first + UInt64(index), default: []]
                .append((value, first..<first + count))
        }
        do {
            let given = try writer.append(
                &builder, needsSync: writer.configuration.durability == .durable)
            guard given.value == first else { throw broken("offset \(given) for \(first)") }
        } catch let error as WeirError where error.code == .noSpace {
            // Nothing was appended; the log goes on.
            return
        }
        for (index, value) in values.enumerated() { model.flushed[first + UInt64(index)] = value }
    }

    /// As where the store has other streams that need the room.
    private mutating func rest(_ writer: LogWriter<SimulatedFileSystem>) throws {
        try writer.rest()
        if let poison = writer.poison { throw poison }
        try noteDurable(writer)
    }

    private mutating func sync(_ writer: LogWriter<SimulatedFileSystem>) throws {
        try writer.sync()
        try noteDurable(writer)
    }

    private mutating func noteDurable(_ writer: LogWriter<SimulatedFileSystem>) throws {
        let end = writer.durableEnd.value
        guard end == writer.nextOffset.value else { throw broken("a sync that left something") }
        for (offset, value) in model.flushed where offset < end { model.durable[offset] = value }
    }

    // MARK: a crash

    private mutating func crash() throws {
        crashes += 1
        // Rot and power loss together may lose more: until the next batch or marker is written,
        // only the tail slot knows of the last sync, and power loss may take that.
        wasKilled = random.oneIn(3) || spoiled != nil
        if wasKilled {
            disk = disk.afterKill()
        } else {
            disk = disk.afterPowerLoss(seed: random.next())
            machine.restart()
            model.flushed = model.durable
        }
    }

    private mutating func crashInRecovery() throws {
        disk.stop(after: 1 + random.below(60))
        do throws(WeirError) {
            _ = try Engine.open(files: disk, host: machine.host, creating: true)
        } catch {
            guard error.code == .machineStopped else { throw broken("in recovery: \(error)") }
        }
        try crash()
    }

    /// One batch rots, or another batch's bytes are written over it.
    ///
    /// Only after a kill: the tail is whole then, so nothing but that batch may be missing.
    private mutating func spoil() throws {
        guard wasKilled, let (path, batches) = try batches(), batches.count > 1 else { return }
        let victim = batches[random.below(batches.count)]
        let other = batches[random.below(batches.count)]
        let place = Int(victim.position.value)
        let length = BatchHeader.byteCount + victim.header.bodyLength
        let file = try disk.open(path, .read)
        var bytes = try disk.read(file, at: other.position, byteCount: length)
        if other.position == victim.position || other.header.storedByteCount > length {
            bytes = try disk.read(file, at: victim.position, byteCount: length)
            bytes[random.below(length)] ^= UInt8(1 + random.below(255))
        }
        try disk.spoil(path, at: place, with: bytes)
        spoiled = victim.header.firstOffset.value..<victim.header.endOffset.value
        spoiledBatches += 1
    }

    /// The batches with records of the stream's last segment.
    private func batches() throws -> (path: String, batches: [Batch])? {
        guard let names = entries(in: StoreLayout.streams),
            let stream = names.first(where: { StreamID(hexadecimal: $0) != nil })
        else { return nil }
        let folder = StoreLayout.streams + "/" + stream
        guard let segment = entries(in: folder)?.filter({ $0.hasSuffix(".segment") }).max(),
            let (_, id) = StoreLayout.parse(segmentName: segment)
        else { return nil }
        let path = folder + "/" + segment
        let file = try disk.open(path, .read)
        let bytes = try disk.read(file, at: .zero, byteCount: try disk.size(of: file))
        var scanner = SegmentScanner(segment: id, position: FilePosition(4096))
        var found: [Batch] = []
        while true {
            switch scanner.next(in: bytes.span.bytes) {
            case .batch(let header, let position) where header.kind == .records:
                found.append(Batch(header: header, position: position))
            case .batch, .damage: continue
            case .newer, .end: return (path, found)
            }
        }
    }

    private func entries(in folder: String) -> [String]? {
        do { return try disk.list(folder) } catch { return nil }
    }

    // MARK: what must hold

    private mutating func check() throws {
        let first = try recovered()
        // Without a close in between: recovering what was recovered changes nothing.
        disk = disk.afterKill()
        let second = try recovered()
        guard first.count == second.count,
            first.allSatisfy({ second[$0.key]?.value == $0.value.value })
        else { throw broken("a second recovery found \(second.count) of \(first.count) records") }
        disk = disk.afterKill()

        func isSpoiled(_ offset: UInt64) -> Bool { spoiled?.contains(offset) ?? false }
        for (offset, value) in model.durable
        where first[offset]?.value != value && !isSpoiled(offset) {
            throw broken(
                "durable record \(offset) is \(first[offset] == nil ? "missing" : "changed")")
        }
        for (offset, value) in model.flushed
        where first[offset]?.value != value && !isSpoiled(offset) {
            throw broken("flushed record \(offset) did not survive the process")
        }
        for (offset, read) in first {
            guard let match = model.submitted[offset]?.last(where: { $0.value == read.value })
            else { throw broken("record \(offset) was never appended") }
            guard match.batch.allSatisfy({ first[$0] != nil }) else {
                throw broken("of the batch \(match.batch) only a part is there")
            }
            let key = SeenKey(offset: offset, epoch: read.epoch)
            if let before = model.seen[key], before != read.value {
                throw broken("offset \(offset) of epoch \(read.epoch) holds something else now")
            }
            model.seen[key] = read.value
        }
        // What a reader has seen after a crash is there to stay.
        model.durable = first.mapValues(\.value)
        model.flushed = model.durable
    }

    private func holdsDurable(_ gap: Gap) -> Bool {
        (gap.expected.value..<gap.next.value).contains { model.durable[$0] != nil }
    }

    /// Opens, and reads everything from the first record to the last.
    private func recovered() throws -> [UInt64: Read] {
        let engine: Engine
        do {
            engine = try Engine.open(files: disk, host: machine.host, creating: true)
        } catch {
            throw broken("cannot be opened: \(error)")
        }
        for report in engine.reports where report.isDamage && spoiled == nil && !mediumFailed {
            throw broken("damage: \(report)")
        }
        guard let view = engine.stream(name)?.view else { return [:] }
        var cursor = LogCursor(view: view, at: .zero, mode: seed % 2 == 0 ? .mapped : .copied)
        var found: [UInt64: Read] = [:]
        var next: UInt64 = 0
        while true {
            switch try cursor.next() {
            case .batch(let header):
                var records = cursor.records
                while let record = records.next() {
                    let offset = record.offset.value
                    guard offset == next else { throw broken("\(offset) comes after \(next)") }
                    next += 1
                    let value = record.value.withUnsafeBytes { Array($0) }
                    found[offset] = Read(value: value, epoch: header.epoch.value)
                }
            case .gap(let gap):
                if mediumFailed, !holdsDurable(gap) {
                    next = gap.next.value
                    continue
                }
                guard let spoiled, gap.expected.value == spoiled.lowerBound,
                    gap.next.value == spoiled.upperBound
                else { throw broken("gap \(gap), spoiled \(spoiled?.description ?? "nothing")") }
                next = gap.next.value
            case .end, .held:
                let end = view.visibleEnd.value
                guard next == end else { throw broken("\(next) records where \(end) are shown") }
                return found
            }
        }
    }
}
