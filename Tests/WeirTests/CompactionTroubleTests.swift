import Testing
import Weir
import WeirBase
import WeirCompaction
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

/// A stream of a few segments, on a disk on which one of them cannot be read.
private struct Troubled {
    typealias Files = FaultyFileSystem<SimulatedFileSystem>

    /// Does something when the keys were read and before anything is rewritten, or at each batch.
    private struct Pace: CompactionPace {
        let beforeRewriting: @Sendable () -> Void
        let atBatch: @Sendable () -> Void
        func step(byteCount: Int) { atBatch() }
        func begin(_ phase: CompactionPhase, byteCount: UInt64) {
            if phase == .rewriting { beforeRewriting() }
        }
    }

    let disk = SimulatedFileSystem(seed: 4)
    let files: Files
    let machine = SimulatedMachine(seed: 4)
    let writer: LogWriter<Files>

    init(segmentBytes: Int = 8 << 10) throws {
        files = Files(disk)
        let engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        writer = try SmallStream.create(in: engine, segmentBytes: segmentBytes)
    }

    /// A segment of one batch of a named producer, of which nothing is left once it is superseded.
    func append(_ id: UInt64, key: String) throws {
        var batch = Batch(byteLimit: 16 << 10)
        let large = [UInt8](repeating: 1, count: 5 << 10)
        #expect(try batch.append(key: Array(key.utf8), headers: [:], time: nil, value: large))
        writer.producers.load(try writer.view.producers())
        let mark = ProducerMark(name: try ProducerName("loader"), id: id, index: 0)
        _ = try writer.append(&batch.builder, marks: [mark], needsSync: false)
        try writer.sealActive()
    }

    /// What a sealed segment's footer says of the producer; `nil` if it does not hold.
    func footerIDs(_ index: Int) throws -> [UInt64]? {
        let segment = writer.view.segments[index]
        return try segment.footer(try #require(segment.sealed))?.producers?.map(\.lastPublishingID)
    }

    func spoilFooter(_ index: Int) throws {
        let segment = writer.view.segments[index]
        let end = Int(try #require(segment.sealed).fileBytes)
        try disk.spoil(segment.path, at: end - 20, with: [1, 2, 3])
    }

    /// A segment of these, a tombstone where there is no value, and of 5 KB that stay, so that no
    /// two of them go into one.
    func append(_ entries: [(key: String, value: String?)]) throws {
        var batch = Batch(byteLimit: 16 << 10)
        for (key, value) in entries {
            let value = value.map { Array($0.utf8) }
            #expect(try batch.append(key: Array(key.utf8), headers: [:], time: nil, value: value))
        }
        let large = [UInt8](repeating: 1, count: 5 << 10)
        #expect(try batch.append(key: nil, headers: [:], time: nil, value: large))
        _ = try writer.append(&batch.builder, needsSync: false)
        try writer.sealActive()
    }

    func path(_ index: Int) -> String { writer.view.segments[index].path }

    /// Of segments, that which is being written among them.
    func fileCount() throws(WeirError) -> Int {
        try disk.list(StoreLayout.stream(writer.streamID)).count {
            $0.hasSuffix(".segment") || $0 == "compacting"
        }
    }

    /// From now on nobody reads a file.
    func refuse(_ path: String, _ code: WeirError.Code) {
        files.follow { operation, name in
            let reads = [.open(.read), .read, .map].contains(operation)
            return reads && name == path ? .fails(code) : nil
        }
    }

    func heal() { files.follow { _, _ in nil } }

    func compact(
        markBytesMax: Int = Limits.compactionMarkBytesMax,
        beforeRewriting: @escaping @Sendable () -> Void = {},
        atBatch: @escaping @Sendable () -> Void = {}
    ) throws(WeirError) -> CompactionReport {
        let compactor = Compactor(
            writer, leftovers: Leftovers(files: files),
            pace: Pace(beforeRewriting: beforeRewriting, atBatch: atBatch),
            now: machine.host.now(), wall: machine.host.now(), random: machine.host.random)
        var request = CompactionRequest(policy: CompactionPolicy(tombstoneSecondsMin: 0))
        request.takesAll = true
        request.markBytesMax = markBytesMax
        return try compactor.run(request)
    }

    /// The offsets of the records that have keys; in a gap, none.
    func offsets() throws -> [UInt64] {
        var cursor = LogCursor(view: writer.view, at: .zero, mode: .copied)
        var found: [UInt64] = []
        while true {
            switch try cursor.next() {
            case .end, .held: return found
            case .gap: continue
            case .batch:
                var records = cursor.records
                while let record = records.next() {
                    if record.key != nil { found.append(record.offset.value) }
                }
            }
        }
    }
}

@Suite("A compaction that cannot read a segment")
struct CompactionTroubleTests {
    @Test(arguments: [WeirError.Code.system, .permissionDenied])
    func `sets it aside, and compacts the others`(code: WeirError.Code) throws {
        let place = try Troubled()
        try place.append([("a", "1"), ("b", "1")])
        try place.append([("a", "2"), ("c", "1")])
        try place.append([("a", "3"), ("c", "2")])
        let path = place.path(0)
        place.refuse(path, code)
        let report = try place.compact()
        #expect(report.setAside.map(\.path) == [path])
        #expect(report.setAside.allSatisfy { $0.detail.contains("Injected") })
        #expect(report.segmentsRewritten == 1 && report.recordsRemoved == 2)
        place.heal()
        #expect(try place.offsets() == [0, 1, 6, 7])
        #expect(try place.compact().setAside == [])
        #expect(try place.offsets() == [1, 6, 7])
    }

    @Test func `keeps a tombstone that is sealed while it runs`() throws {
        let place = try Troubled()
        try place.append([("a", "1")])
        try place.append([("b", "1")])
        let isFirst = Lock(true)
        let report = try place.compact {
            guard
                isFirst.withLock({ first in
                    defer { first = false }
                    return first
                })
            else { return }
            #expect(throws: Never.self) { try place.append([("a", nil)]) }
        }
        #expect(report.segmentsBefore == 2)
        #expect(try place.offsets() == [0, 2, 4])
    }

    @Test func `keeps the tombstones of what stands in it`() throws {
        let place = try Troubled()
        try place.append([("a", "1")])
        try place.append([("a", nil), ("b", "1")])
        try place.append([("b", "2")])
        place.refuse(place.path(0), .system)
        #expect(try place.compact().recordsRemoved == 1)
        place.heal()
        #expect(try place.offsets() == [0, 2, 5])
        _ = try place.compact()
        #expect(try place.offsets() == [5])
    }

    /// In one round, and in one for each segment.
    @Test(arguments: [Limits.compactionMarkBytesMax, -1])
    func `any more leaves it, and the tombstones of what stands in it`(
        markBytesMax: Int
    ) throws {
        let place = try Troubled()
        try place.append([("a", "1"), ("b", "0")])
        try place.append([("a", nil), ("b", "1")])
        try place.append([("b", "2")])
        let (disk, path) = (place.disk, place.path(0))
        // Of its keyless record.
        let report = try place.compact(markBytesMax: markBytesMax) {
            _ = #expect(throws: Never.self) { try disk.spoil(path, at: 6000, with: [7, 7, 7]) }
        }
        #expect(report.setAside.map(\.path) == [path])
        #expect(report.segmentsRewritten == 1 && report.recordsRemoved == 1)
        try disk.spoil(path, at: 6000, with: [1, 1, 1])
        #expect(try place.offsets() == [0, 1, 3, 6])
        _ = try place.compact()
        #expect(try place.offsets() == [6])
    }

    @Test func `leaves it new to the next opening`() throws {
        let place = try Troubled()
        for value in ["1", "2", "3"] { try place.append([("a", value)]) }
        func compactedEnd() -> Offset { place.writer.manifest.state.compactedEnd }
        _ = try place.compact()
        #expect(compactedEnd() == Offset(6))
        for value in ["4", "5"] { try place.append([("a", value)]) }
        let path = place.path(1)
        place.refuse(path, .system)
        #expect(try place.compact().setAside.map(\.path) == [path])
        // Before what an earlier one has looked at.
        #expect(compactedEnd() == Offset(2))
        place.heal()
        _ = try place.compact()
        #expect(compactedEnd() == Offset(10))
    }

    @Test func `that went meanwhile does not pass for done`() throws {
        let place = try Troubled()
        for value in ["1", "2", "3"] { try place.append([("a", value)]) }
        let view = place.writer.view
        let gone = view.segments[1].id
        let error = #expect(throws: WeirError.self) {
            try place.compact(markBytesMax: -1) { view.retire([gone], logStart: .zero) }
        }
        #expect(error?.code == .notFound)
        #expect(place.writer.manifest.state.compactedEnd == .zero)
    }

    @Test func `for want of descriptors ends`() throws {
        let place = try Troubled()
        for value in ["1", "2"] { try place.append([("a", value)]) }
        place.refuse(place.path(0), .exhausted)
        let error = #expect(throws: WeirError.self) { try place.compact() }
        #expect(error?.code == .exhausted)
        #expect(place.writer.view.segments.count == 3)
    }

    @Test func `ends where its own file cannot be written`() throws {
        let place = try Troubled()
        for value in ["1", "2"] { try place.append([("a", value)]) }
        place.files.follow { operation, path in
            operation == .write && path.hasSuffix("compacting") ? .fails(.system) : nil
        }
        let error = #expect(throws: WeirError.self) { try place.compact() }
        #expect(error?.code == .system)
        place.heal()
        #expect(try place.offsets() == [0, 2])
    }

    @Test func `needs room for one new file at a time`() throws {
        let place = try Troubled()
        for value in 0..<6 { try place.append([("a", "\(value)")]) }
        let before = try place.fileCount()
        let most = Lock(0)
        let report = try place.compact(atBatch: {
            do throws(WeirError) {
                let count = try place.fileCount()
                most.withLock { $0 = max($0, count) }
            } catch {
                Issue.record("\(error)")
            }
        })
        #expect(report.segmentsRewritten == 5)
        #expect(most.withLock { $0 } == before + 1)
        #expect(try place.fileCount() == before)
    }

    /// The edit that lists the new file is what finds no room.
    @Test func `leaves no file behind where the manifest finds no room`() throws {
        let place = try Troubled()
        for value in ["1", "2"] { try place.append([("a", value)]) }
        let before = try place.fileCount()
        place.files.follow { operation, path in
            operation == .write && path.hasSuffix("MANIFEST") ? .fails(.noSpace) : nil
        }
        let error = #expect(throws: WeirError.self) { try place.compact() }
        #expect(error?.code == .noSpace)
        #expect(try place.fileCount() == before)
        place.heal()
        #expect(try place.compact().segmentsRewritten == 1)
        #expect(try place.offsets() == [2])
    }
}

@Suite("A segment that compaction wrote")
struct CompactedSegmentTests {
    /// Beside it, a later footer tells of producers; then that one does not hold either.
    @Test func `raises a doubt where its footer was repaired without its producers`() throws {
        let place = try Troubled()
        try place.append(5, key: "a")
        try place.append([("a", "1")])
        _ = try place.compact()
        try place.append([("b", "1")])
        #expect(try place.footerIDs(0) == [5] && place.footerIDs(1) == [5])
        try place.spoilFooter(0)
        let (disk, host) = (place.disk.afterKill(), place.machine.host)
        let plan = try Store.plan(
            Store.verify(files: disk, host: host, deep: true).findings, files: disk)
        _ = try Store.repair(files: disk, host: host, performing: plan, deep: true)
        let engine = try StoreEngine.open(files: disk, host: host, creating: false)
        let view = try SmallStream.view(engine)
        for segment in view.segments.dropFirst() {
            guard let end = segment.sealed?.fileBytes else { continue }
            try disk.spoil(segment.path, at: Int(end) - 20, with: [1, 2, 3])
        }
        let error = #expect(throws: WeirError.self) { try view.producers() }
        #expect(error?.code == .damaged)
    }

    @Test func `gets one footer where a repair is done again`() throws {
        let place = try Troubled()
        for value in ["1", "2"] { try place.append([("a", value)]) }
        _ = try place.compact()
        let (path, host) = (place.path(0), place.machine.host)
        let disk = place.disk.afterKill()
        try disk.truncate(try disk.open(path, .readWrite), to: SegmentHeader.alignment)
        let plan = try Store.plan(
            Store.verify(files: disk, host: host, deep: true).findings, files: disk)
        let files = FaultyFileSystem(disk)
        let isWritten = Lock(false)
        files.follow { operation, name in
            if operation == .sync, name == path { isWritten.withLock { $0 = true } }
            guard isWritten.withLock({ $0 }), name.hasSuffix("MANIFEST") else { return nil }
            return operation == .open(.readWrite) ? .fails(.system) : nil
        }
        #expect(throws: WeirError.self) {
            try Store.repair(files: files, host: host, performing: plan, deep: true)
        }
        let once = try disk.size(of: try disk.open(path, .read))
        #expect(once > SegmentHeader.alignment)
        let again = try Store.plan(
            Store.verify(files: disk, host: host, deep: true).findings, files: disk)
        _ = try Store.repair(files: disk, host: host, performing: again, deep: true)
        #expect(try disk.size(of: try disk.open(path, .read)) == once)
        let after = try Store.verify(files: disk, host: host, deep: true).findings
        #expect(after.map(\.kind) == [.missingOffsets])
    }

    @Test func `shows the gap behind its last batch once it was cut and repaired`() throws {
        let place = try Troubled()
        for value in ["1", "2"] { try place.append([("a", value)]) }
        _ = try place.compact()
        let path = place.path(0)
        let (disk, host) = (place.disk.afterKill(), place.machine.host)
        try disk.truncate(try disk.open(path, .readWrite), to: SegmentHeader.alignment)
        let findings = try Store.verify(files: disk, host: host, deep: true).findings
        let plan = try Store.plan(findings, files: disk)
        _ = try Store.repair(files: disk, host: host, performing: plan, deep: true)
        let after = try Store.verify(files: disk, host: host, deep: true).findings
        #expect(after.map(\.kind) == [.missingOffsets])
        #expect(after.first?.offsets == 0..<2)
    }
}

extension CompactionTroubleTests {
    @Test func `leaves no new file where no descriptor is left for its edit`() throws {
        let place = try Troubled()
        for value in ["1", "2"] { try place.append([("a", value)]) }
        let count = try place.fileCount()
        let error = #expect(throws: WeirError.self) {
            try place.compact(beforeRewriting: {
                place.files.follow { operation, name in
                    let isEdit = operation == .open(.readWrite) && name.hasSuffix("MANIFEST")
                    return isEdit ? .fails(.exhausted) : nil
                }
            })
        }
        #expect(error?.code == .exhausted)
        #expect(try place.fileCount() == count)
        place.heal()
        _ = try place.compact()
        #expect(try place.offsets() == [2])
    }
}

@Suite("A compaction that finds a header or a footer damaged")
struct CompactionMendTests {
    @Test(arguments: [true, false])
    func `tells it, and mends it where the segment is written anew`(isHeader: Bool) throws {
        let place = try Troubled()
        try place.append([("a", "1")])
        try place.append([("a", "2")])
        let path = place.path(0)
        if isHeader {
            try place.disk.spoil(path, at: 40, with: [9])
        } else {
            try place.spoilFooter(0)
        }
        let report = try place.compact()
        #expect(report.mended.map(\.path) == [path] && report.setAside == [])
        #expect(report.mended.map(\.offsets) == [0..<2])
        #expect(try place.offsets() == [2])
        let again = try place.compact()
        #expect(again.mended == [] && again.setAside == [])
    }

    @Test func `writes a segment anew for it, of which everything stays`() throws {
        let place = try Troubled()
        for key in ["a", "b"] { try place.append([(key, "1")]) }
        try place.spoilFooter(0)
        let path = place.path(0)
        let report = try place.compact()
        #expect(report.mended.map(\.path) == [path] && report.setAside == [])
        #expect(try place.compact().mended == [])
        #expect(try place.offsets() == [0, 2])
    }

    @Test func `finds the producers that it said in the batches`() throws {
        let place = try Troubled()
        try place.append(4, key: "a")
        try place.append([("a", "1")])
        try place.append(5, key: "b")
        try place.append([("a", "2")])
        for index in 0...3 { try place.spoilFooter(index) }
        #expect(try place.compact().mended.count == 4)
        #expect(try (0...3).map { try place.footerIDs($0) } == [[4], [4], [5], [5]])
        try place.append([("b", "1")])
        _ = try place.compact()
        #expect(try place.footerIDs(2) == [5])
    }

    /// The batch of the producer's append is superseded and gone.
    @Test func `finds the producers that only it said in later footers`() throws {
        let place = try Troubled()
        try place.append(5, key: "a")
        try place.append([("a", "1"), ("b", "1")])
        try place.append([("b", "2")])
        _ = try place.compact()
        try place.append([("a", "2")])
        for index in 0...1 { try place.spoilFooter(index) }
        let paths = (0...1).map { place.path($0) }
        let report = try place.compact()
        #expect(report.setAside == [] && report.mended.map(\.path) == paths)
        #expect(try (0...2).map { try place.footerIDs($0) } == [[5], [5], [5]])
    }

    @Test func `asks the footer behind one that cannot be read`() throws {
        let place = try Troubled()
        try place.append(5, key: "a")
        try place.append([("a", "1"), ("b", "1")])
        try place.append([("b", "2")])
        _ = try place.compact()
        try place.append([("a", "2")])
        try place.spoilFooter(0)
        let (mended, unread) = (place.path(0), place.path(1))
        place.refuse(unread, .system)
        let report = try place.compact()
        #expect(report.mended.map(\.path) == [mended])
        #expect(report.setAside.map(\.path) == [unread])
        place.heal()
        #expect(try place.footerIDs(0) == [5])
    }

    @Test func `leaves it where nothing tells the producers that only it said`() throws {
        let place = try Troubled()
        try place.append(5, key: "a")
        try place.append([("a", "1"), ("b", "1")])
        try place.append([("b", "2")])
        _ = try place.compact()
        // Who appends again tells of no earlier append.
        try place.append(6, key: "a")
        for index in 0...2 { try place.spoilFooter(index) }
        let report = try place.compact()
        #expect(report.mended == [] && report.segmentsRewritten == 0)
        #expect(Set(report.setAside.map(\.path)) == Set((0...2).map { place.path($0) }))
        #expect(try place.footerIDs(3) == [6])
    }

    @Test func `does not write its small neighbour anew at each try`() throws {
        // The first segment is no small one, until most of it is superseded.
        let place = try Troubled(segmentBytes: 64 << 10)
        var batch = Batch(byteLimit: 16 << 10)
        let large = [UInt8](repeating: 1, count: 7 << 10)
        for key in ["x", "y"] {
            #expect(try batch.append(key: Array(key.utf8), headers: [:], time: nil, value: large))
        }
        _ = try batch.append(key: bytes("z"), value: bytes("1"))
        _ = try place.writer.append(&batch.builder, needsSync: false)
        try place.writer.sealActive()
        // The second one, of which nothing is left, alone tells of a producer.
        try place.append(5, key: "a")
        try place.append([("a", "1")])
        #expect(try place.compact().segmentsRewritten == 1)
        try place.append(6, key: "a")
        try place.append([("x", "2"), ("y", "2")])
        for index in 1...2 { try place.spoilFooter(index) }
        let paths = (1...2).map { place.path($0) }
        let first = try place.compact()
        #expect(first.setAside.map(\.path) == paths && first.recordsRemoved == 2)
        let again = try place.compact()
        #expect(again.setAside.map(\.path) == paths)
        #expect(again.segmentsRewritten == 0 && again.bytesWritten == 0)
        #expect(try place.offsets() == [2, 4, 6, 7, 8])
    }
}
