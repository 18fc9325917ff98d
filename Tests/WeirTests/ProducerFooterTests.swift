import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

/// What the log itself says of producers: in footers, behind them, and where those are lost.
@Suite("The producers of a log")
struct ProducerFooterTests {
    private let disk = SimulatedFileSystem(seed: 9)
    private let machine = SimulatedMachine(seed: 9)
    private typealias Engine = StoreEngine<SimulatedFileSystem>

    private func open(_ disk: SimulatedFileSystem) throws -> Engine {
        try Engine.open(files: disk, host: machine.host, creating: true)
    }

    private func append(
        _ id: UInt64, of name: String, to writer: LogWriter<SimulatedFileSystem>
    ) throws {
        var builder = BatchBuilder(byteLimit: 4 << 10)
        let value = [UInt8](repeating: 1, count: 1500)
        let added = builder.append(value: value.span.bytes)
        #expect(added)
        writer.producers.load(try writer.view.producers())
        let mark = ProducerMark(name: try ProducerName(name), id: id, index: 0)
        _ = try writer.append(&builder, marks: [mark], needsSync: false)
    }

    private func known(_ engine: Engine) throws -> [String: UInt64] {
        let rows = try SmallStream.view(engine).producers().rows
        return Dictionary(
            uniqueKeysWithValues: rows.map { ($0.name.description, $0.lastPublishingID) })
    }

    private func footers(_ engine: Engine) throws -> [[ProducerRow]] {
        try SmallStream.view(engine).segments.compactMap { segment in
            guard let sealed = segment.sealed else { return nil }
            return try segment.footer(sealed)?.producers
        }
    }

    @Test func `are carried from footer to footer`() throws {
        let engine = try open(disk)
        let writer = try SmallStream.create(in: engine)
        try append(3, of: "early", to: writer)
        try SmallStream.append(7, to: writer)
        writer.work()
        let footers = try footers(engine)
        #expect(footers.count > 2)
        #expect(footers.allSatisfy { $0.map(\.lastPublishingID) == [3] })
        #expect(footers.allSatisfy { $0.map(\.offset) == [.zero] })
    }

    @Test func `are carried by a writer that never asked for one`() throws {
        let engine = try open(disk)
        try append(3, of: "early", to: try SmallStream.create(in: engine))
        try engine.close()
        let again = try open(disk)
        let writer = try SmallStream.writer(again)
        try SmallStream.append(7, to: writer)
        writer.work()
        #expect(!writer.producers.isLoaded)
        let footers = try footers(again)
        #expect(footers.count > 2)
        #expect(footers.allSatisfy { $0.map(\.lastPublishingID) == [3] })
    }

    @Test(arguments: [false, true])
    func `are those of the appends that survived a crash`(_ isPowerLoss: Bool) throws {
        let engine = try open(disk)
        let writer = try SmallStream.create(in: engine)
        for id: UInt64 in 1...6 { try append(id, of: "loader", to: writer) }
        try writer.sync()
        try append(7, of: "loader", to: writer)
        if isPowerLoss { machine.restart() }
        let after = try open(isPowerLoss ? disk.afterPowerLoss(seed: 3) : disk.afterKill())
        let count = try SmallStream.offsets(try SmallStream.view(after)).count
        #expect(try known(after) == ["loader": UInt64(count)])
        #expect(count >= 6)
        #expect(isPowerLoss || count == 7)
        // Recovery sealed what was open, and its footer says it too.
        #expect(try footers(after).last?.map(\.lastPublishingID) == [UInt64(count)])
    }

    @Test func `are found in the batches where a footer is damaged`() throws {
        let engine = try open(disk)
        let writer = try SmallStream.create(in: engine)
        for id: UInt64 in 1...5 { try append(id, of: "loader", to: writer) }
        try append(9, of: "other", to: writer)
        writer.work()
        try engine.close()
        for segment in writer.view.segments {
            guard let sealed = segment.sealed else { continue }
            let end = Int(sealed.fileBytes) - 20
            try disk.spoil(segment.path, at: end, with: [1, 2, 3])
        }
        let again = try open(disk)
        #expect(try footers(again).isEmpty)
        #expect(try known(again) == ["loader": 5, "other": 9])
    }

    @Test func `are known without a segment that is lost`() throws {
        let engine = try open(disk)
        let writer = try SmallStream.create(in: engine)
        for id: UInt64 in 1...5 { try append(id, of: "loader", to: writer) }
        writer.work()
        let lost = try #require(SmallStream.view(engine).segments.dropLast().last)
        try engine.close()
        try disk.removeFile(lost.path)
        let again = try open(disk)
        #expect(try known(again)["loader"] == 5)
    }

    @Test func `cost a stream nothing that has none`() throws {
        let engine = try open(disk)
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(7, to: writer)
        writer.work()
        #expect(try footers(engine).allSatisfy { $0.isEmpty })
        var cursor = LogCursor(view: writer.view, at: .zero, mode: .copied)
        while case .batch(let header) = try cursor.next() { #expect(header.extensionLength == 0) }
    }
}

@Suite("A producer whose disk fails")
struct ProducerFaultTests {
    private typealias Files = FaultyFileSystem<SimulatedFileSystem>
    private typealias Queue = CommitQueue<Int>
    private let files = Files(SimulatedFileSystem(seed: 3))
    private let machine = SimulatedMachine(seed: 3)
    private let name = ProducerName(stored: [112])

    private func add(
        _ id: UInt64, _ queue: inout Queue, _ writer: LogWriter<Files>
    ) throws -> Bool {
        let publishing = Publishing(name: name, id: id)
        let call = Queue.Repeat(
            publishing, recordCount: 1, level: .flushed, permits: .zero, waiter: Int(id))
        if try queue.join(call, last: writer.producers.last(of: name)) != nil { return false }
        let value = [UInt8](repeating: UInt8(id), count: 3000)
        _ = try queue.append(
            permits: .zero, level: .flushed, waiter: Int(id), publishing: publishing
        ) { builder throws(WeirError) in builder.append(value: value.span.bytes) }
        return true
    }

    private func take(
        _ queue: inout Queue
    ) throws -> (batches: [Queue.Batch], repeats: [Queue.Repeat]) {
        let group = queue.takeGroup()
        return try #require(group)
    }

    @Test func `has nothing written behind an append that failed, nor its repeats`() throws {
        let engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        writer.producers.load(try writer.view.producers())
        var queue = Queue(batchBytesMax: 4 << 10)
        for id: UInt64 in 1...3 { _ = try add(id, &queue, writer) }
        let isNew = try add(2, &queue, writer)
        #expect(!isNew)
        // The second write fails; the disk has room for the third.
        let writes = Lock(0)
        files.follow { operation, path in
            guard operation == .write, path.hasSuffix(".segment") else { return nil }
            // The first is the segment's header.
            return writes.withLock { count -> Bool in
                count += 1
                return count == 3
            } ? .fails(.noSpace) : nil
        }
        let group = try take(&queue)
        let outcome = writer.writeGroup(group.batches)
        #expect(outcome.written.map(\.first) == [.zero])
        #expect(outcome.failed.map(\.error.code) == [.noSpace, .noSpace])
        _ = queue.settle(outcome)
        #expect(group.repeats.map { writer.original(of: $0) == nil } == [true])
        files.follow { _, _ in nil }
        for id: UInt64 in 1...3 {
            let isNew = try add(id, &queue, writer)
            #expect(isNew == (id > 1))
        }
        let next = try take(&queue)
        #expect(writer.writeGroup(next.batches).written.map(\.first) == [Offset(1), Offset(2)])
        #expect(writer.original(of: next.repeats[0])?.offset == .zero)
        try engine.close()
    }
}
