import Foundation
import Logging
import Testing
import WeirBase
import WeirFiles
import WeirFlow
import WeirFormat
import WeirLog
import WeirTesting

@testable import Weir

/// What upkeep says.
private final class Words: LogHandler, @unchecked Sendable {
    // @unchecked: neither level nor metadata is changed after it was made.
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]
    private let said = Lock<[String]>([])

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { said.withLock { $0.append("\(event.message)") } }

    func count(_ start: String) -> Int {
        said.withLock { $0.count { $0.hasPrefix(start) } }
    }

    var all: [String] { said.withLock { $0 } }
}

/// A store whose looks are made by hand, one after the other.
private struct LookedAfter {
    let folder = TemporaryFolder()
    let store: Store
    let words = Words()
    let upkeep: Upkeep

    init() throws {
        store = try Store.openBlocking(at: folder.path)
        store.pauseUpkeep()
        upkeep = Self.upkeep(of: store, words)
    }

    /// One that remembers nothing, as behind an opening.
    static func upkeep(of store: Store, _ words: Words) -> Upkeep {
        Upkeep(
            engine: store.engine, flow: store.flow, cursors: store.cursors,
            logger: Logger(label: "upkeep", factory: { _ in words }))
    }

    func stream(_ name: String, _ configuration: StreamConfiguration) throws -> LogStream {
        try store.streamBlocking(name, creating: configuration)
    }

    /// A segment of three records of one key, and an active one.
    func append(to stream: LogStream) throws {
        let writer = try stream.syncWriter()
        var batch = Batch()
        for _ in 0..<3 { _ = try batch.append(key: bytes("k"), value: bytes("needle")) }
        try writer.append(&batch)
        try stream.committer?.sealActive()
    }

    func look(_ another: Upkeep? = nil) {
        let store = store
        (another ?? upkeep).look { (name) throws(WeirError) in
            try store.openStream(name, creating: nil)
        }
    }

    /// Writes over the first such record of a file, which stands in somebody's map.
    func write(_ text: String, over needle: String, in name: String) throws {
        let url = URL(filePath: folder.path + "/" + name)
        let place = try Data(contentsOf: url).range(of: Data(needle.utf8))
        let file = try FileHandle(forUpdating: url)
        try file.seek(toOffset: UInt64(try #require(place).lowerBound))
        try file.write(contentsOf: Data(text.utf8))
        try file.close()
    }

    func path(_ stream: LogStream) -> String { folder.path + "/" + stream.directory }
}

extension LogStream {
    fileprivate var directory: String { StoreLayout.stream(open.id) }
}

@Suite("A look of upkeep")
struct UpkeepLookTests {
    private static let compacted = StreamConfiguration(
        durability: .flushed, compaction: CompactionPolicy(dirtyPercent: 1))

    @Test func `leaves a stream out whose compaction fails, until one succeeds`() throws {
        let place = try LookedAfter()
        let stream = try place.stream("s", Self.compacted)
        try place.append(to: stream)
        // Where the new file is to be written.
        let obstacle = place.path(stream) + "/compacting"
        try FileManager.default.createDirectory(
            atPath: obstacle, withIntermediateDirectories: false)
        var tried: [Int] = []
        for number in 1...12 {
            place.look()
            if place.words.count("compaction of s:") > tried.count { tried.append(number) }
        }
        #expect(tried == [1, 3, 6, 11])
        try FileManager.default.removeItem(atPath: obstacle)
        var looks = 12
        while place.words.count("compacted s:") == 0, looks < 99 {
            place.look()
            looks += 1
        }
        #expect(looks == 20)
        // Nothing is left out any more.
        try place.append(to: stream)
        place.look()
        #expect(place.words.count("compacted s:") == 2)
        try place.store.closeBlocking()
    }

    @Test func `tries a segment again that was set aside`() throws {
        let place = try LookedAfter()
        let stream = try place.stream("s", Self.compacted)
        try place.append(to: stream)
        let damaged = try #require(try stream.info().segments.first).path
        try place.write("N", over: "needle", in: damaged)
        for count in 1...2 {
            try place.append(to: stream)
            place.look()
            #expect(place.words.count("set aside by compaction: \(damaged)") == count)
        }
        let again = try stream.compactBlocking(CompactionOptions(isNow: true))
        #expect(again.setAside.map(\.path) == [damaged])
        try place.write("n", over: "Needle", in: damaged)
        try place.append(to: stream)
        place.look()
        #expect(place.words.count("set aside by compaction:") == 2)
        #expect(try stream.all().map(\.offset) == [11])
        try place.store.closeBlocking()
    }

    @Test func `comes back to what was set aside, though nothing is new`() throws {
        let place = try LookedAfter()
        let stream = try place.stream("s", Self.compacted)
        for _ in 0..<2 { try place.append(to: stream) }
        let damaged = try #require(try stream.info().segments.first).path
        try place.write("N", over: "needle", in: damaged)
        func count() -> Int { place.words.count("set aside by compaction:") }
        var tried: [Int] = []
        for number in 1...12 {
            place.look()
            if count() > tried.count { tried.append(number) }
        }
        #expect(tried == [1, 3, 6, 11])
        // The next opening may find it whole.
        place.look(LookedAfter.upkeep(of: place.store, place.words))
        #expect(count() == 5)
        try place.write("n", over: "Needle", in: damaged)
        for _ in 13...20 { place.look() }
        #expect(count() == 5)
        #expect(try stream.all().map(\.offset) == [5])
        let before = place.words.count("compacted s:")
        for _ in 0..<9 { place.look() }
        #expect(place.words.count("compacted s:") == before)
        try place.store.closeBlocking()
    }

    @Test func `comes back once a day, in the end, to what stays set aside`() throws {
        let place = try LookedAfter()
        let stream = try place.stream("s", Self.compacted)
        for _ in 0..<2 { try place.append(to: stream) }
        let damaged = try #require(try stream.info().segments.first).path
        try place.write("N", over: "needle", in: damaged)
        var tried: [Int] = []
        var looks = 0
        while tried.count < 16, looks < 30_000 {
            looks += 1
            place.look()
            if place.words.count("set aside by compaction:") > tried.count { tried.append(looks) }
        }
        let day = 86_400_000 / Limits.upkeepMilliseconds
        let skipped = zip(tried, tried.dropFirst()).map { $1 - $0 - 1 }
        #expect(skipped == (0...12).map { 1 << $0 } + [day, day])
        try place.store.closeBlocking()
    }

    @Test func `sets a segment aside for a damaged batch without a key, and no other`() throws {
        let place = try LookedAfter()
        let stream = try place.stream("s", Self.compacted)
        let writer = try stream.syncWriter()
        try writer.append(value: bytes("needle"))
        try place.append(to: stream)
        let damaged = try #require(try stream.info().segments.first).path
        for _ in 0..<2 { try place.append(to: stream) }
        try place.write("N", over: "needle", in: damaged)
        let report = try stream.compactBlocking(CompactionOptions(isNow: true))
        #expect(report.setAside.map(\.path) == [damaged])
        #expect(report.segmentsRewritten > 0)
        #expect(try stream.all().map(\.offset) == [1, 2, 3, 9])
        try place.store.closeBlocking()
    }

    /// A store on a machine whose clock can be moved, of a key and, behind it, its tombstone.
    private func tombstone() throws -> (
        TemporaryFolder, SimulatedMachine, SystemEngine, LogWriter<RealFileSystem>
    ) {
        let folder = TemporaryFolder()
        let machine = SimulatedMachine(seed: 1)
        let engine = try StoreEngine.open(
            files: try RealFileSystem.openRoot(folder.path, creating: true), host: machine.host,
            creating: true)
        let name = try StreamName("s")
        var configuration = Self.compacted
        configuration.compaction?.tombstoneSecondsMin = 3600
        try engine.create(name, configuration)
        let writer = try #require(engine.stream(name)?.writer)
        for value in [bytes("1"), nil] {
            var batch = Batch()
            _ = try batch.append(key: bytes("k"), value: value)
            _ = try writer.append(&batch.builder, needsSync: false)
            try writer.sealActive()
        }
        return (folder, machine, engine, writer)
    }

    @Test func `comes back to tombstones whose footer it could not read`() throws {
        let (folder, machine, engine, writer) = try tombstone()
        let flow = StoreFlow(budgetBytes: Limits.subscriptionBytesDefault, flags: FlowFlags())
        defer { flow.end() }
        let words = Words()
        func upkeep() -> Upkeep {
            Upkeep(
                engine: engine, flow: flow, cursors: CursorBook(engine: engine),
                logger: Logger(label: "upkeep", factory: { _ in words }))
        }
        func count(_ upkeep: Upkeep) -> UInt64 {
            upkeep.look { (_) throws(WeirError) in throw Store.closed() }
            return writer.manifest.state.segments.reduce(0) { $0 + ($1.sealed?.recordCount ?? 0) }
        }
        #expect(count(upkeep()) == 1)
        machine.moveClock(microseconds: 7_200_000_000)
        let file = folder.path + "/" + (try #require(writer.view.segments.first)).path
        try FileManager.default.moveItem(atPath: file, toPath: file + ".away")
        let later = upkeep()
        #expect(count(later) == 1)
        #expect(words.count("set aside by compaction:") == 1)
        try FileManager.default.moveItem(atPath: file + ".away", toPath: file)
        #expect(count(later) == 1)
        #expect(count(later) == 0)
        try engine.close()
    }

    @Test func `counts a tombstone's delay by the time that is believed`() throws {
        let (folder, machine, engine, writer) = try tombstone()
        defer { withExtendedLifetime(folder) {} }
        let flow = StoreFlow(budgetBytes: Limits.subscriptionBytesDefault, flags: FlowFlags())
        defer { flow.end() }
        let words = Words()
        func upkeep() -> Upkeep {
            Upkeep(
                engine: engine, flow: flow, cursors: CursorBook(engine: engine),
                logger: Logger(label: "upkeep", factory: { _ in words }))
        }
        func count(_ upkeep: Upkeep) -> UInt64 {
            upkeep.look { (_) throws(WeirError) in throw Store.closed() }
            return writer.manifest.state.segments.reduce(0) { $0 + ($1.sealed?.recordCount ?? 0) }
        }
        let first = upkeep()
        machine.moveClock(microseconds: 7_200_000_000)
        // The clock jumped while it looked: no hour has passed.
        #expect(count(first) == 1)
        #expect(count(first) == 1)
        #expect(words.count("the clock says") == 1)
        // A machine that was off may have missed two hours.
        #expect(count(upkeep()) == 0)
        try engine.close()
    }

    @Test func `tells once of a footer that cannot be read, and tries it again later`() throws {
        let place = try LookedAfter()
        let stream = try place.stream(
            "r", StreamConfiguration(durability: .flushed, retention: RetentionPolicy(bytesMax: 1)))
        try place.append(to: stream)
        let file = place.folder.path + "/" + (try #require(stream.info().segments.first)).path
        try FileManager.default.moveItem(atPath: file, toPath: file + ".away")
        func count() -> Int { place.words.count("retention of r: files stay") }
        for _ in 0..<4 { place.look() }
        #expect(count() == 1)
        #expect(place.words.count("retention of r:") == 1)
        #expect(try stream.info().segments.count == 2)
        // The first look and the third tried it; two are left out.
        try FileManager.default.moveItem(atPath: file + ".away", toPath: file)
        place.look()
        #expect(try stream.info().segments.count == 2)
        place.look()
        #expect(try stream.info().segments.count == 1)
        #expect(count() == 1)
        try place.store.closeBlocking()
    }

    @Test func `names who holds back anew where a policy was taken away meanwhile`() throws {
        let place = try LookedAfter()
        let stream = try place.stream(
            "s",
            StreamConfiguration(
                durability: .flushed,
                retention: RetentionPolicy(recordsMax: 1, heldBy: ["billing"])))
        for _ in 0..<2 { try place.append(to: stream) }
        func count() -> Int { place.words.count("retention of s: the cursor billing holds back") }
        for _ in 0..<2 { place.look() }
        #expect(count() == 1)
        try stream.configureBlocking { $0.retention = nil }
        place.look()
        try stream.configureBlocking {
            $0.retention = RetentionPolicy(recordsMax: 1, heldBy: ["billing"])
        }
        place.look()
        #expect(count() == 2)
        try place.store.closeBlocking()
    }

    @Test func `lets go what is too old before it compacts`() throws {
        let place = try LookedAfter()
        let compacted = try place.stream("a", Self.compacted)
        try place.append(to: compacted)
        let retained = try place.stream(
            "b",
            StreamConfiguration(durability: .flushed, retention: RetentionPolicy(recordsMax: 1)))
        for _ in 0..<2 { try place.append(to: retained) }
        place.look()
        let order = place.words.all.map { String($0.prefix { $0 != ":" }) }
        #expect(order.first == "retention")
        #expect(order.last == "compacted a")
        try place.store.closeBlocking()
    }
}
