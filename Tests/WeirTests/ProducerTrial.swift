import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

/// One seeded life of producers: appends, repeats, full disks, restarts, and crashes at any
/// operation. After each crash they send everything again that they got no receipt for; then every
/// id must be in the log once, in order, with all of its records.
struct ProducerTrial {
    struct Broken: Error, CustomStringConvertible {
        let description: String
    }
    typealias Engine = StoreEngine<SimulatedFileSystem>
    typealias Writer = LogWriter<SimulatedFileSystem>
    typealias Queue = CommitQueue<Int>

    /// A producer as its owner knows it. Its ids are 1, 2, 3 …; each one's records follow from it.
    struct Sender {
        let name: ProducerName
        /// The last id that was ever given out, and the last that was sent since a failure.
        var last: UInt64 = 0
        var sent: UInt64 = 0
        /// Everything up to here has a receipt that outlives the process, and power loss.
        var flushed: UInt64 = 0
        var durable: UInt64 = 0

        func recordCount(_ id: UInt64) -> Int { 1 + Int(id % 3) }
        func value(_ id: UInt64, _ index: Int) -> [UInt8] {
            Array("\(name) \(id) \(index) ".utf8)
                + [UInt8](repeating: 46, count: Int((id &* 7919) % 400))
        }
    }
    /// A call under way.
    struct Call {
        let sender: Int
        let id: UInt64
        let level: DurabilityLevel
    }

    let seed: UInt64
    private var random: SeededRandom
    private let machine: SimulatedMachine
    private var disk: SimulatedFileSystem
    private let name: StreamName
    private var senders: [Sender] = []
    private var calls: [Call] = []
    private(set) var duplicates = 0
    private(set) var survivors = 0
    private(set) var failures = 0
    private(set) var jumps = 0

    init(seed: UInt64) throws {
        self.seed = seed
        random = SeededRandom(seed: seed)
        machine = SimulatedMachine(seed: seed &* 29)
        disk = SimulatedFileSystem(seed: seed &* 13)
        name = try StreamName("s")
        for number in 0..<1 + random.below(4) {
            senders.append(Sender(name: try ProducerName("producer-\(number)")))
        }
    }

    private func broken(_ what: String) -> Broken { Broken(description: "seed \(seed): \(what)") }

    /// Throws `Broken` for a promise that does not hold.
    mutating func run() throws {
        for _ in 0..<3 {
            try live()
            crash()
            for _ in 0..<random.below(3) where random.oneIn(2) { try crashInRecovery() }
            try sendAgain()
            disk = disk.afterKill()
        }
    }

    // MARK: a life

    private mutating func live() throws {
        if random.oneIn(3) { disk.failWrite(after: 1 + random.below(30)) }
        disk.stop(after: 1 + random.below(random.oneIn(4) ? 60 : 260))
        do {
            var (engine, writer) = try open()
            var queue = Queue(batchBytesMax: 4 << 10)
            for _ in 0..<6 + random.below(30) {
                if random.oneIn(40) { jump() }
                if random.oneIn(14) {
                    try lead(&queue, writer)
                    try engine.close()
                    (engine, writer) = try open()
                    queue = Queue(batchBytesMax: 4 << 10)
                }
                try step(&queue, writer)
            }
            if random.oneIn(3) {
                try lead(&queue, writer)
                try engine.close()
            }
        } catch let error as WeirError {
            let expected: [WeirError.Code] = [.machineStopped, .noSpace, .poisoned, .system]
            guard expected.contains(error.code) else { throw broken("unexpected: \(error)") }
        }
    }

    /// Somebody sets the clock wrong, or right again: what a producer sent is no matter of time.
    private mutating func jump() {
        let tenYears: Int64 = 315_576_000_000_000
        machine.moveClock(microseconds: random.oneIn(2) ? tenYears : -tenYears)
        jumps += 1
    }

    private mutating func open() throws -> (Engine, Writer) {
        let engine = try Engine.open(files: disk, host: machine.host, creating: true)
        if engine.stream(name) == nil {
            try engine.create(
                name,
                StreamConfiguration(
                    durability: random.oneIn(2) ? .flushed : .durable,
                    compression: random.oneIn(3) ? .lz4 : .off, segmentBytes: 12 << 10,
                    batchBytesMax: 4 << 10, commitAlignment: random.oneIn(4) ? 4096 : 8))
        }
        guard let writer = engine.stream(name)?.writer else { throw broken("no writer") }
        writer.producers.load(try writer.view.producers())
        return (engine, writer)
    }

    private mutating func step(_ queue: inout Queue, _ writer: Writer) throws {
        switch random.below(10) {
        case 0: try writer.mark()
        // Rolls and the next file, as another thread would do them: soon, late, or never.
        case 1: writer.work()
        case 2, 3, 4: try lead(&queue, writer)
        // Of nobody, between those of producers.
        case 5: try add(nil, &queue, writer)
        default:
            let sender = random.below(senders.count)
            let isRepeat = senders[sender].sent > 0 && random.oneIn(3)
            let past = UInt64(random.below(3))
            let id = isRepeat ? max(1, senders[sender].sent - min(past, senders[sender].sent)) : nil
            try send(sender, id, &queue, writer)
        }
    }

    /// Sends an id again, or the next one.
    private mutating func send(
        _ sender: Int, _ repeated: UInt64?, _ queue: inout Queue, _ writer: Writer
    ) throws {
        let id = repeated ?? senders[sender].sent + 1
        let level: DurabilityLevel = random.oneIn(2) ? .durable : .flushed
        senders[sender].sent = max(senders[sender].sent, id)
        senders[sender].last = max(senders[sender].last, id)
        calls.append(Call(sender: sender, id: id, level: level))
        try add(calls.count - 1, &queue, writer)
    }

    private func add(_ call: Int?, _ queue: inout Queue, _ writer: Writer) throws {
        var builder = BatchBuilder(byteLimit: 4 << 10)
        guard let call else {
            let value = Array("nobody".utf8)
            _ = try queue.append(permits: .zero, level: .flushed, waiter: -1) {
                inner throws(WeirError) in inner.append(value: value.span.bytes)
            }
            return
        }
        let (sender, id, level) = (senders[calls[call].sender], calls[call].id, calls[call].level)
        let publishing = Publishing(name: sender.name, id: id)
        let count = sender.recordCount(id)
        let again = Queue.Repeat(
            publishing, recordCount: count, level: level, permits: .zero, waiter: call)
        let last = writer.producers.last(of: sender.name)
        if try queue.join(again, last: last) != nil { return }
        if count == 1 {
            let value = sender.value(id, 0)
            _ = try queue.append(
                permits: .zero, level: level, waiter: call, publishing: publishing
            ) { inner throws(WeirError) in inner.append(value: value.span.bytes) }
            return
        }
        for index in 0..<count {
            guard builder.append(value: sender.value(id, index).span.bytes) else {
                throw broken("no room")
            }
        }
        _ = try queue.append(
            Queue.Batch(builder: builder, isLent: true), permits: .zero, level: level,
            waiter: call, publishing: publishing)
    }

    /// What the committer does, on one thread: writes, settles, answers, syncs if anybody asks.
    private mutating func lead(_ queue: inout Queue, _ writer: Writer) throws {
        while let group = queue.isLed ? queue.takeGroup() : nil {
            let outcome = writer.writeGroup(group.batches)
            let left = queue.settle(outcome)
            for (batch, error) in outcome.failed + left {
                guard error.code == .noSpace else { throw error }
                for call in batch.calls { failed(call.waiter) }
            }
            var answered: [(call: Int, level: DurabilityLevel)] = []
            for (batch, _) in outcome.written {
                answered += batch.calls.map { ($0.waiter, $0.level) }
            }
            for call in group.repeats {
                guard let original = writer.original(of: call) else {
                    failed(call.waiter)
                    continue
                }
                duplicates += 1
                guard original.offset < writer.nextOffset else { throw broken("no such offset") }
                answered.append((call.waiter, call.level))
            }
            for (call, level) in answered where level == .flushed { receipt(call, .flushed) }
            if answered.contains(where: { $0.level == .durable }) {
                try writer.sync()
                for (call, level) in answered where level == .durable { receipt(call, .durable) }
            }
            for batch in group.batches { queue.recycle(batch) }
        }
    }

    private mutating func receipt(_ number: Int, _ level: DurabilityLevel) {
        guard number >= 0 else { return }
        let call = calls[number]
        senders[call.sender].flushed = max(senders[call.sender].flushed, call.id)
        guard level == .durable else { return }
        senders[call.sender].durable = max(senders[call.sender].durable, call.id)
    }

    /// Whoever is told so goes on from there.
    private mutating func failed(_ number: Int) {
        guard number >= 0 else { return }
        failures += 1
        let call = calls[number]
        senders[call.sender].sent = min(senders[call.sender].sent, call.id - 1)
    }

    // MARK: a crash, and behind it

    private mutating func crash() {
        if random.oneIn(2) {
            disk = disk.afterKill()
        } else {
            disk = disk.afterPowerLoss(seed: random.next())
            machine.restart()
            for index in senders.indices { senders[index].flushed = senders[index].durable }
        }
        calls = []
    }

    private mutating func crashInRecovery() throws {
        disk.stop(after: 1 + random.below(60))
        do throws(WeirError) {
            _ = try Engine.open(files: disk, host: machine.host, creating: true)
        } catch {
            guard error.code == .machineStopped else { throw broken("in recovery: \(error)") }
        }
        crash()
    }

    private mutating func sendAgain() throws {
        let (engine, writer) = try open()
        for report in engine.reports where report.isDamage { throw broken("damage: \(report)") }
        var queue = Queue(batchBytesMax: 4 << 10)
        for index in senders.indices {
            let sender = senders[index]
            let known = writer.producers.last(of: sender.name)?.lastPublishingID ?? 0
            guard known >= sender.flushed else {
                throw broken("\(sender.name): \(sender.flushed) had a receipt, \(known) is known")
            }
            if known > sender.flushed { survivors += 1 }
            for id in stride(from: sender.flushed + 1, through: sender.last, by: 1) {
                senders[index].sent = id - 1
                try send(index, id, &queue, writer)
                if random.oneIn(3) { try lead(&queue, writer) }
            }
        }
        try lead(&queue, writer)
        try writer.sync()
        for index in senders.indices {
            senders[index].flushed = senders[index].last
            senders[index].durable = senders[index].last
        }
        try check(writer)
        if random.oneIn(2) { try engine.close() }
    }

    /// Every id once, in order, whole; and the table is what the log says.
    private func check(_ writer: Writer) throws {
        var cursor = LogCursor(view: writer.view, at: .zero, mode: .copied)
        var found: [String: [String]] = [:]
        var begun: [String: (id: String, offset: UInt64)] = [:]
        reading: while true {
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                while let record = records.next() {
                    let text = record.value.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
                    let words = text.split(separator: " ").map(String.init)
                    guard words.count >= 3 else { continue }
                    found[words[0], default: []].append(words[1] + " " + words[2])
                    if words[2] == "0" { begun[words[0]] = (words[1], record.offset.value) }
                }
            case .gap(let gap): throw broken("gap \(gap)")
            case .end, .held: break reading
            }
        }
        for sender in senders where sender.last > 0 {
            let expected = (1...sender.last).flatMap { id in
                (0..<sender.recordCount(id)).map { "\(id) \($0)" }
            }
            let name = sender.name.description
            guard found[name] == expected else {
                throw broken("\(name) has \(found[name] ?? []), expected \(expected)")
            }
            let entry = writer.producers.last(of: sender.name)
            guard let entry, String(entry.lastPublishingID) == begun[name]?.id,
                entry.offset.value == begun[name]?.offset
            else { throw broken("\(name): the table has \(String(describing: entry))") }
        }
        // As another opening would read it.
        guard try writer.view.producers().rows.count == senders.filter({ $0.last > 0 }).count
        else { throw broken("the log tells of other producers") }
    }
}
