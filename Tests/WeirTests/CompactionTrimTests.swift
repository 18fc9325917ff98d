import Testing
import Weir
import WeirBase
import WeirCompaction
import WeirFormat
import WeirLog
import WeirTesting

/// One seeded life of a stream that is compacted and trimmed, whose appends are a named producer's:
/// in any order, with restarts, failing writes and crashes between them.
private struct TrimmedLife {
    private static let producer: ProducerName = {
        do throws(WeirError) { return try ProducerName("loader") } catch {
            preconditionFailure("\(error)")
        }
    }()

    let seed: UInt64
    var random: SeededRandom
    var disk: SimulatedFileSystem
    var stream: CompactedStream
    /// The publishing id of the batch that begins there.
    var ids: [UInt64: UInt64] = [:]
    /// The log begins between these.
    var reached: UInt64 = 0
    var asked: UInt64 = 0
    var trims = 0
    var rewrites = 0

    init(seed: UInt64) {
        self.seed = seed
        random = SeededRandom(seed: seed)
        disk = SimulatedFileSystem(seed: seed &* 17, capacity: 96 << 10)
        stream = CompactedStream(machine: SimulatedMachine(seed: seed &* 31))
        if seed % 3 == 1 { stream.segmentBytes = 64 << 10 }
    }

    mutating func run() throws {
        for _ in 0..<5 {
            if random.oneIn(6) { disk.failWrite(after: 1 + random.below(60)) }
            disk.stop(after: 20 + random.below(500))
            do {
                try live()
            } catch let error as WeirError {
                let expected: [WeirError.Code] = [.machineStopped, .noSpace, .poisoned]
                guard expected.contains(error.code) else { throw error }
            }
            if random.oneIn(3) {
                disk = disk.afterKill()
            } else {
                stream.machine.restart()
                disk = disk.afterPowerLoss(seed: random.next())
            }
            try recover()
            disk = disk.afterKill()
        }
    }

    private mutating func live() throws {
        let engine = try stream.open(disk)
        let writer = try stream.writer(engine, random.oneIn(2) ? .lz4 : .off)
        writer.producers.load(try writer.view.producers())
        for _ in 0..<40 {
            switch random.below(12) {
            case 0: try stream.sync(writer)
            case 1: writer.work()
            case 2:
                rewrites += try stream.compact(writer, on: disk, takesAll: random.oneIn(2))
                    .segmentsRewritten
            case 3: try writer.sealActive()
            case 4 where random.oneIn(3): try trim(writer)
            default: try append(to: writer)
            }
        }
    }

    private mutating func append(to writer: LogWriter<SimulatedFileSystem>) throws {
        var batch = Batch(byteLimit: 2 << 10)
        let first = writer.nextOffset.value
        for place in 0...UInt64(random.below(4)) {
            let key = random.oneIn(8) ? nil : Array("key \(random.below(9))".utf8)
            let value: [UInt8]? =
                key != nil && random.oneIn(4)
                ? nil : .init(repeating: 3, count: random.below(300))
            #expect(try batch.append(key: key, headers: [:], time: nil, value: value))
            stream.appended[first + place] = .init(key: key, value: value)
        }
        ids[first] = (ids.values.max() ?? 0) + 1
        let mark = ProducerMark(name: Self.producer, id: ids[first] ?? 0, index: 0)
        _ = try writer.append(&batch.builder, marks: [mark], needsSync: false)
    }

    private mutating func trim(_ writer: LogWriter<SimulatedFileSystem>) throws {
        try stream.sync(writer)
        let start = writer.view.logStart.value
        asked = start + UInt64(random.below(Int(stream.durableEnd - start) + 1))
        let plan = RetentionPlan(
            writer.manifest.state.segments, before: Offset(asked), start: writer.view.logStart)
        let leftovers = Leftovers(files: disk)
        try Retirement(writer, leftovers: leftovers).perform(plan)
        reached = asked
        try leftovers.sweep()
        trims += 1
    }

    /// Holds what is there against what was appended; what a crash took was never durable.
    private mutating func recover() throws {
        let engine = try stream.open(disk)
        guard let view = engine.stream(CompactedStream.name)?.view else { return }
        let start = view.logStart.value
        let end = view.visibleEnd.value
        #expect((reached...max(asked, reached)).contains(start), "it begins at \(start)")
        (reached, asked) = (start, start)
        ids = ids.filter { $0.key < end }
        let known = try view.producers().rows.map(\.lastPublishingID)
        #expect(known == ids.values.max().map { [$0] } ?? [], "of the producer")
        // Nobody sees what a trim took, whatever of it is still in a file.
        stream.appended = stream.appended.filter { $0.key >= start && $0.key < end }
        _ = try stream.check(engine, from: start)
        stream.durableEnd = end
        #expect(try stream.strays(engine, on: disk) == [])
    }
}

@Suite("A stream that is compacted and trimmed")
struct CompactionTrimTests {
    @Test(arguments: 0..<10)
    func `loses nothing in crashes, and knows its producer`(part: Int) throws {
        var trims = 0
        var rewrites = 0
        for seed in UInt64(part * 12)..<UInt64((part + 1) * 12) {
            var life = TrimmedLife(seed: seed)
            do {
                try life.run()
            } catch {
                throw CompactedStream.Broken(description: "seed \(seed): \(error)")
            }
            trims += life.trims
            rewrites += life.rewrites
        }
        #expect(trims > 8 && rewrites > 20, "\(trims) trims, \(rewrites) rewrites")
    }
}
