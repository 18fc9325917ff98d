import Testing
import Weir
import WeirBase
import WeirCompaction
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

/// A stream of segments of two batches, on a disk that refuses to read what it is told to.
private struct Place {
    typealias Files = FaultyFileSystem<SimulatedFileSystem>
    typealias Engine = StoreEngine<Files>

    let disk = SimulatedFileSystem(seed: 12)
    let machine = SimulatedMachine(seed: 12)
    let files: Files

    init() { files = Files(disk) }

    func open() throws -> Engine {
        try Engine.open(files: files, host: machine.host, creating: true)
    }

    /// A segment of one batch, of a named producer if there is an id; sealed at once.
    func append(_ id: UInt64? = nil, to writer: LogWriter<Files>) throws {
        var builder = BatchBuilder(byteLimit: 4 << 10)
        let value = [UInt8](repeating: 1, count: 1500)
        let added = builder.append(value: value.span.bytes)
        #expect(added)
        var marks: [ProducerMark] = []
        if let id {
            writer.producers.load(try writer.view.producers())
            marks = [ProducerMark(name: try ProducerName("loader"), id: id, index: 0)]
        }
        _ = try writer.append(&builder, marks: marks, needsSync: false)
        try writer.sealActive()
    }

    /// From now on nobody reads a file.
    func refuse(_ path: String) {
        files.follow { operation, name in
            let reads = [.open(.read), .read, .map].contains(operation)
            return reads && name == path ? .fails(.system) : nil
        }
    }

    func heal() { files.follow { _, _ in nil } }

    func spoilFooter(_ segment: ReadableSegment<Files>) throws {
        let end = Int(try #require(segment.sealed).fileBytes)
        try disk.spoil(segment.path, at: end - 20, with: [1, 2, 3])
    }

    func retire(_ count: Int, of writer: LogWriter<Files>) throws {
        let segments = writer.manifest.state.segments
        let plan = RetentionPlan(
            segments, before: segments[count].base, start: writer.view.logStart)
        try Retirement(writer, leftovers: Leftovers(files: files)).perform(plan)
    }

    func known(_ engine: Engine) throws -> [UInt64] {
        try SmallStream.view(engine).producers().rows.map(\.lastPublishingID)
    }
}

@Suite("A footer that cannot be read and tells of producers")
struct UnreadFooterTests {
    private let place = Place()

    @Test func `is not made up for by a later one that knows less`() throws {
        let engine = try place.open()
        try place.append(5, to: try SmallStream.create(in: engine))
        let unread = try SmallStream.view(engine).segments[0].path
        try engine.close()
        place.refuse(unread)
        let again = try place.open()
        try place.append(to: try SmallStream.writer(again))
        try again.close()
        place.heal()
        #expect(try place.known(place.open()) == [5])
    }

    @Test func `is not made up for by that of a recovered segment`() throws {
        let engine = try place.open()
        let writer = try SmallStream.create(in: engine)
        try place.append(5, to: writer)
        try SmallStream.append(to: writer)
        let unread = writer.view.segments[0].path
        // Its writer is killed.
        let files = Place.Files(place.disk.afterKill())
        files.follow { operation, name in
            [.open(.read), .read].contains(operation) && name == unread ? .fails(.system) : nil
        }
        let again = try StoreEngine.open(files: files, host: place.machine.host, creating: false)
        #expect(try SmallStream.view(again).segments.filter { $0.sealed != nil }.count == 2)
        files.follow { _, _ in nil }
        #expect(try SmallStream.view(again).producers().rows.map(\.lastPublishingID) == [5])
    }

    @Test func `is not taken for one that knows of none`() throws {
        let engine = try place.open()
        let writer = try SmallStream.create(in: engine)
        try place.append(5, to: writer)
        try place.append(to: writer)
        place.refuse(writer.view.segments[1].path)
        let error = #expect(throws: WeirError.self) { try place.known(engine) }
        #expect(error?.code == .system)
        place.heal()
        #expect(try place.known(engine) == [5])
    }

    /// The segment of the producer's append has gone, and what the one behind it said with it.
    @Test func `is told where it does not hold and nothing else knows`() throws {
        let engine = try place.open()
        let writer = try SmallStream.create(in: engine)
        try place.append(5, to: writer)
        try place.append(to: writer)
        try place.retire(1, of: writer)
        let segment = writer.view.segments[0]
        try engine.close()
        try place.spoilFooter(segment)
        let again = try place.open()
        // Without asking for a producer one may append, and seal.
        try place.append(to: try SmallStream.writer(again))
        let error = #expect(throws: WeirError.self) { try place.known(again) }
        #expect(error?.code == .damaged)
        #expect(error?.description.contains(segment.path) == true)
        try again.close()
        // Whoever repairs it takes what is known for all there is.
        let host = place.machine.host
        let findings = try Store.verify(files: place.disk, host: host, deep: true).findings
        #expect(findings.map(\.kind) == [.damagedFooter])
        let plan = try Store.plan(findings, files: place.disk)
        _ = try Store.repair(files: place.disk, host: host, performing: plan, deep: true)
        #expect(try place.known(place.open()) == [])
    }

    @Test func `keeps the files that may tell, and lets the older ones go`() throws {
        let engine = try place.open()
        let writer = try SmallStream.create(in: engine)
        try place.append(5, to: writer)
        for _ in 0..<3 { try place.append(to: writer) }
        try place.retire(1, of: writer)
        let segments = writer.view.segments
        #expect(segments.count == 4)
        try engine.close()
        place.refuse(segments[1].path)
        try place.spoilFooter(segments[2])
        let again = try place.open()
        let next = try SmallStream.writer(again)
        try place.append(to: next)
        try place.append(to: next)
        try place.retire(next.view.segments.count - 1, of: next)
        #expect(next.view.segments.map(\.path).first == segments[0].path)
        place.heal()
        #expect(try place.known(again) == [5])
        // Now a footer tells all of it, and none of the others is needed.
        try place.append(6, to: next)
        try place.retire(next.view.segments.count - 1, of: next)
        #expect(next.view.segments.filter { $0.sealed != nil }.count == 1)
        #expect(try place.known(again) == [6])
    }

    @Test func `lets everything go before it that a limit lets go`() throws {
        let engine = try place.open()
        let writer = try SmallStream.create(in: engine)
        for _ in 0..<4 { try place.append(to: writer) }
        let newest = try #require(writer.view.segments.last { $0.sealed != nil })
        place.refuse(newest.path)
        try place.retire(4, of: writer)
        #expect(writer.view.logStart == Offset(4))
        // Nobody knows whether the newest one tells of producers; that the one before it does not
        // is known.
        #expect(writer.view.segments.count == 3)
        place.heal()
        let plan = RetentionPlan(
            writer.manifest.state.segments, byteCount: writer.view.byteCount,
            end: writer.view.flushedEnd, policy: RetentionPolicy(bytesMax: 1), committed: [:],
            now: .distantPast)
        try Retirement(writer, leftovers: Leftovers(files: place.files)).perform(plan)
        #expect(writer.view.segments.count == 1)
    }

    @Test(arguments: [false, true])
    func `is named by verify`(isDeep: Bool) throws {
        let engine = try place.open()
        let writer = try SmallStream.create(in: engine)
        for _ in 0..<3 { try place.append(to: writer) }
        let (unread, spoiled) = (writer.view.segments[0], writer.view.segments[1])
        try engine.close()
        place.refuse(unread.path)
        try place.spoilFooter(spoiled)
        let report = try Store.verify(files: place.files, host: place.machine.host, deep: isDeep)
        #expect(!report.isHealthy)
        let told = report.findings.map { "\($0.kind) \($0.path)" }
        #expect(
            told.sorted() == ["damagedFooter \(spoiled.path)", "unreadableFile \(unread.path)"])
    }
}
