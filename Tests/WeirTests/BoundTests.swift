import Foundation
import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("What reading holds")
struct BoundTests {
    private let disk = SimulatedFileSystem(seed: 8)
    private let machine = SimulatedMachine(seed: 8)

    private func makeStore(segments: Int) throws {
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        try SmallStream.append(segments * 2, to: try SmallStream.create(in: engine))
        try engine.close()
    }

    private func open(_ maps: SegmentMaps) throws -> LogView<SimulatedFileSystem> {
        try SmallStream.view(
            try StoreEngine.openReadOnly(files: disk, host: machine.host, maps: maps))
    }

    @Test func `is a few maps, however many segments were read`() throws {
        try makeStore(segments: 12)
        let maps = SegmentMaps(countMax: 8, recentMax: 3)
        #expect(try SmallStream.offsets(try open(maps)).count == 24)
        #expect(maps.count == 3)
    }

    @Test func `is no map beyond the bound, which blocks nobody: reading goes on by copies`() throws
    {
        try makeStore(segments: 3)
        let maps = SegmentMaps(countMax: 1, recentMax: 1)
        let view = try open(maps)
        var first = LogCursor(view: view, at: .zero)
        let found = try first.next()
        let borrowed = first.lend()
        let lent = try #require(borrowed)
        #expect(found != .end)
        #expect(maps.count == 1)
        // Another segment, and a map is not to be had.
        var second = LogCursor(view: view, at: Offset(2))
        let other = try second.next()
        let isMapped = second.map != nil
        #expect(other != .end)
        #expect(!isMapped)
        #expect(try SmallStream.offsets(view, from: 2) == [2, 3, 4, 5])
        #expect(maps.count == 1)
        #expect(lent.isIntact)
    }

    @Test func `is nothing when the store is let go`() throws {
        try makeStore(segments: 3)
        weak var left: SegmentMaps?
        do {
            let maps = SegmentMaps()
            left = maps
            #expect(try SmallStream.offsets(try open(maps)).count == 6)
            #expect(maps.count == 3)
        }
        #expect(left == nil)
    }

    @Test func `is a copy where the system gives no map`() throws {
        try makeStore(segments: 1)
        let files = FaultyFileSystem(disk)
        let engine = try StoreEngine.openReadOnly(files: files, host: machine.host)
        files.follow { operation, _ in operation == .map ? .fails(.exhausted) : nil }
        #expect(try SmallStream.offsets(try SmallStream.view(engine)) == [0, 1])
        #expect(files.hits > 0)
    }

    @Test func `is a copy where the kernel brings no page of a map in`() throws {
        try makeStore(segments: 3)
        disk.refusePages(true)
        let view = try open(SegmentMaps())
        var cursor = LogCursor(view: view, at: .zero, isExact: true)
        var offsets: [UInt64] = []
        while case .batch(let header) = try cursor.next() {
            offsets.append(header.firstOffset.value)
            let isMapped = cursor.map != nil
            #expect(!isMapped)
        }
        #expect(offsets == [0, 1, 2, 3, 4, 5])
    }

    @Test func `is nothing of a copy whose reading failed`() throws {
        let files = FaultyFileSystem(disk)
        let engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(to: writer)
        var cursor = LogCursor(view: writer.view, at: .zero, mode: .copied)
        let first = try cursor.next()
        guard case .batch = first else { throw first.unexpected }
        try SmallStream.append(to: writer)
        files.follow { operation, _ in operation == .read ? .fails(.system) : nil }
        do throws(WeirError) {
            _ = try cursor.next()
            Issue.record("the failed reading was not told")
        } catch {
            #expect(error.code == .system)
        }
        files.follow { _, _ in nil }
        let again = try cursor.next()
        guard case .batch(let header) = again else { throw again.unexpected }
        #expect(header.firstOffset == Offset(1))
    }

    @Test func `is no copy where a reader waits, held back or at the end`() throws {
        try makeStore(segments: 1)
        let segment = try #require(try open(SegmentMaps()).segments.first)
        for answers: [Admission] in [[.read(ahead: nil), .hold], [.read(ahead: nil)]] {
            var window = SegmentWindow(segment: segment, mode: .copied, isExact: true)
            var scanner = SegmentScanner(
                segment: segment.id, position: FilePosition(UInt64(SegmentHeader.alignment)))
            var rest = answers[...]
            let ask = { (_: BatchHeader) in rest.popFirst() ?? .read(ahead: nil) }
            var isWaiting = false
            while !isWaiting {
                switch try window.next(&scanner, admitting: ask) {
                case nil, .end: isWaiting = true
                default:
                    let copied = window.bytes.byteCount
                    #expect(copied > 0)
                }
            }
            let held = window.bytes.byteCount
            #expect(held == 0)
        }
    }

    @Test(arguments: [ReadingMode.mapped, .copied])
    func `is no open file of a segment that was left`(mode: ReadingMode) throws {
        let folder = TemporaryFolder()
        let files = try RealFileSystem.openRoot(folder.path, creating: true)
        let engine = try StoreEngine.open(files: files, host: .system(), creating: true)
        let writer = try SmallStream.create(in: engine, durability: .durable)
        try SmallStream.append(60, to: writer, needsSync: true)
        try writer.sync()
        let before = try openFiles(beneath: folder.path)
        #expect(try SmallStream.offsets(writer.view, mode: mode).count == 60)
        #expect(try openFiles(beneath: folder.path) == before)
        try engine.close()
    }

    /// What this process has open there, by the names in its list of descriptors.
    private func openFiles(beneath path: String) throws -> [String] {
        let list = "/proc/self/fd"
        var found: [String] = []
        for number in try FileManager.default.contentsOfDirectory(atPath: list) {
            do {
                let target = try FileManager.default.destinationOfSymbolicLink(
                    atPath: list + "/" + number)
                if target.hasPrefix(path) { found.append(target) }
            } catch {
                // Closed since it was listed, as the descriptor of the list itself.
                continue
            }
        }
        return found.sorted()
    }
}

extension LogCursor.Step {
    fileprivate var unexpected: WeirError {
        WeirError(.damaged, "\(self) where a batch is expected")
    }
}
