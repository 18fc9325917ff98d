import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

/// What a power failure leaves of batches that nobody synced: some are torn, and some behind those
/// are whole.
private struct TornStore {
    let machine: SimulatedMachine
    private(set) var disk: SimulatedFileSystem
    let id: StreamID

    init(seed: UInt64) throws {
        machine = SimulatedMachine(seed: seed)
        disk = SimulatedFileSystem(seed: seed)
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        try engine.create(
            try StreamName("s"),
            StreamConfiguration(
                durability: .flushed, segmentBytes: 64 << 10, batchBytesMax: 4 << 10))
        let writer = try SmallStream.writer(engine)
        id = try #require(engine.streams.first).id
        var builder = BatchBuilder()
        for number in 0..<30 {
            let added = builder.append(value: [UInt8](repeating: 1, count: 90).span.bytes)
            #expect(added)
            _ = try writer.append(&builder, needsSync: false)
            builder.removeAll()
            if number == 4 { try writer.sync() }
        }
        disk = disk.afterPowerLoss(seed: seed)
        machine.restart()
    }

    /// Opens for writing, as far as the disk lets it. Returns the next offset.
    @discardableResult func open() throws -> Offset {
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: false)
        let next = try SmallStream.writer(engine).nextOffset
        try engine.close()
        return next
    }

    mutating func kill() { disk = disk.afterKill() }
    mutating func losePower() { disk = disk.afterPowerLoss(seed: 1, keptNames: 0) }

    func copies() throws -> [String] {
        guard try disk.list(StoreLayout.stream(id)).contains(StoreLayout.quarantineName)
        else { return [] }
        return try disk.list(StoreLayout.quarantine(id)).filter { $0.hasSuffix(".bytes") }
    }

    /// The first offsets of the whole batches in a copy, whose name says where its bytes stood.
    func offsets(in copy: String) throws -> [Offset] {
        let parts = copy.dropLast(".bytes".count).split(separator: "-").map(String.init)
        let segment = try #require(SegmentID(hexadecimal: parts[0]))
        let start = FilePosition(try #require(UInt64(parts[1])))
        let file = try disk.open(StoreLayout.quarantine(id) + "/" + copy, .read)
        let bytes = try disk.read(file, at: .zero, byteCount: try disk.size(of: file))
        var scanner = SegmentScanner(segment: segment, position: start)
        var found: [Offset] = []
        while true {
            switch scanner.next(in: bytes.span.bytes, origin: start) {
            case .batch(let header, _): found.append(header.firstOffset)
            case .damage: continue
            case .end, .newer: return found
            }
        }
    }
}

@Suite("The quarantine")
struct QuarantineTests {
    /// So nothing in it can be taken back: an append gives the same offsets to other records.
    @Test func `has whole batches only of offsets that the log gives anew`() throws {
        var count = 0
        for seed in 1...20 as ClosedRange<UInt64> {
            let store = try TornStore(seed: seed)
            let next = try store.open()
            for copy in try store.copies() {
                let offsets = try store.offsets(in: copy)
                #expect(offsets.allSatisfy { $0 >= next }, "seed \(seed): \(offsets), \(next)")
                count += offsets.count
            }
        }
        #expect(count > 20)
    }

    @Test func `survives power loss behind a recovery that was killed and done again`() throws {
        var seed: UInt64 = 1
        while true {
            let trial = try TornStore(seed: seed)
            try trial.open()
            if try !trial.copies().isEmpty { break }
            seed += 1
        }
        var stop = 0
        while true {
            var store = try TornStore(seed: seed)
            store.disk.stop(after: stop)
            do {
                try store.open()
            } catch {
                #expect(store.disk.hasStopped)
            }
            let isWhole = !store.disk.hasStopped
            store.kill()
            try store.open()
            store.losePower()
            #expect(try !store.copies().isEmpty, "stop \(stop)")
            if isWhole { return }
            stop += 1
        }
    }
}
