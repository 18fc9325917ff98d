import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("Verifying a store")
struct VerifyTests {
    /// Damages a store in one place; what a quick and a deep look must find.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let quick: [DamageReport.Kind]
        let deep: [DamageReport.Kind]
        let damage: @Sendable (DoctorStore) throws -> Void

        init(
            _ name: String, quick: [DamageReport.Kind], deep: [DamageReport.Kind]? = nil,
            _ damage: @escaping @Sendable (DoctorStore) throws -> Void
        ) {
            testDescription = name
            self.quick = quick
            self.deep = deep ?? quick
            self.damage = damage
        }
    }

    static let cases: [Case] = [
        Case("nothing", quick: []) { _ in },
        Case("a bit of a body", quick: [], deep: [.damagedBatches]) { store in
            try store.flip(store.segments[0], at: DoctorStore.firstBatch + 200)
        },
        Case("a bit of a batch's header", quick: [], deep: [.damagedBatches]) { store in
            try store.flip(store.segments[1], at: DoctorStore.firstBatch + 60)
        },
        Case("a bit of a close's marker", quick: [], deep: [.damagedBatches]) { store in
            try store.flipFromEnd(try #require(store.segments.last), 100)
        },
        Case("a bit of a footer", quick: [.damagedFooter]) { store in
            try store.flipFromEnd(store.segments[0], 100)
        },
        Case("the end of a sealed file", quick: [.damagedFooter]) { store in
            let file = try store.disk.open(store.segments[0], .readWrite)
            try store.disk.truncate(file, to: try store.disk.size(of: file) - 8)
        },
        Case(
            "a sealed segment that was emptied",
            quick: [.damagedSegmentHeader, .damagedFooter, .damagedBatches]
        ) { store in
            try store.disk.truncate(try store.disk.open(store.segments[0], .readWrite), to: 0)
        },
        Case("a bit of a segment's header", quick: [.damagedSegmentHeader]) { store in
            try store.flip(store.segments[0], at: 50)
        },
        Case("a manifest in the middle", quick: [.damagedManifest]) { store in
            let path = StoreLayout.manifest(store.id)
            try store.flip(path, at: try store.bytes(path).count / 2)
        },
        Case("a lost manifest", quick: [.missingManifest]) { store in
            try store.disk.removeFile(StoreLayout.manifest(store.id))
        },
        Case("a lost segment", quick: [.missingSegment]) { store in
            try store.disk.removeFile(store.segments[1])
        },
        Case("an emptied file EPOCHS", quick: [.damagedEpochs]) { store in
            try store.disk.truncate(try store.disk.open(StoreLayout.epochs, .readWrite), to: 0)
        },
        Case("a lost file WEIR", quick: [.missingStoreHeader]) { store in
            try store.disk.removeFile(StoreLayout.header)
        },
        Case("a bit of the file WEIR", quick: [.damagedStoreHeader]) { store in
            try store.flip(StoreLayout.header, at: 33)
        },
        Case("a lost file EPOCHS", quick: [.damagedEpochs]) { store in
            try store.disk.removeFile(StoreLayout.epochs)
        },
        Case("a bit of the file EPOCHS", quick: [.damagedEpochs]) { store in
            try store.flip(StoreLayout.epochs, at: 20)
        },
        Case("a stranger's file", quick: [.unknownFile]) { store in
            try store.write(StoreLayout.stream(store.id) + "/notes.txt", [1, 2, 3])
        },
        Case("a copy of a segment", quick: [.unknownFile]) { store in
            let name = StoreLayout.segment(store.id, SegmentID(77), base: Offset(2))
            try store.write(name, try store.bytes(store.segments[1]))
        },
        Case("a header that counts keys", quick: [], deep: [.falseBatch]) { store in
            try store.forge(store.segments[0]) { $0.keyedCount = 1 }
        },
        Case("a header with another time", quick: [], deep: [.falseBatch]) { store in
            try store.forge(store.segments[0]) { $0.maxRecordTime.microseconds += 1 }
        },
        Case("a header of another offset", quick: [], deep: [.missingOffsets, .falseBatch]) {
            store in
            try store.forge(store.segments[0]) { $0.firstOffset = Offset(1) }
        },
    ]

    @Test(arguments: cases) func `finds one defect, and nothing else`(_ one: Case) throws {
        let store = try DoctorStore.make()
        try one.damage(store)
        let before = try store.content()
        let quick = try store.verify(deep: false).findings.map(\.kind)
        #expect(Set(quick) == Set(one.quick))
        let deep = try store.verify().findings.map(\.kind)
        #expect(Set(deep) == Set(one.deep))
        #expect(try store.content() == before)
    }

    @Test func `tells which records a damaged batch held, and counts the others`() throws {
        let store = try DoctorStore.make()
        try store.flip(store.segments[0], at: DoctorStore.firstBatch + 200)
        let report = try store.verify()
        let finding = try #require(report.findings.first)
        #expect(finding.offsets == 0..<1)
        #expect(finding.bytes?.lowerBound == UInt64(DoctorStore.firstBatch))
        #expect(finding.stream == "s" && finding.path == store.segments[0])
        #expect(report.recordCount == 4)
        #expect(!report.isHealthy)
    }

    @Test func `tells which records bytes held that are no batch any more`() throws {
        let store = try DoctorStore.make()
        try store.flip(store.segments[1], at: DoctorStore.firstBatch + 60)
        #expect(try store.verify().findings.map(\.offsets) == [2..<3])
    }

    @Test func `finds a store healthy whose writer was killed`() throws {
        let store = try DoctorStore.make(isClosed: false)
        let report = try store.verify()
        #expect(report.findings.isEmpty)
        #expect(report.recordCount == 5)
    }

    @Test func `calls a torn tail no damage`() throws {
        let store = try DoctorStore.make(isClosed: false)
        let path = try #require(store.segments.last)
        let end = try store.bytes(path).lastIndex { $0 != 0 } ?? 0
        let file = try store.disk.open(path, .readWrite)
        let next = FilePosition(UInt64(roundedUp(end + 1, to: 8)))
        try store.disk.writeAll(file, [7, 7, 7], at: next)
        try store.disk.close(file)
        let report = try store.verify()
        #expect(report.findings.map(\.kind) == [.tornTail])
        #expect(report.isHealthy)
    }

    @Test func `tells damage of a crashed store once`() throws {
        let store = try DoctorStore.make(isClosed: false)
        try store.flip(try #require(store.segments.last), at: DoctorStore.firstBatch + 200)
        let found = try store.verify().findings
        #expect(found.map(\.kind) == [.damagedBatches])
    }

    @Test func `looks as far as a live writer has written`() throws {
        let disk = SimulatedFileSystem(seed: 5)
        let machine = SimulatedMachine(seed: 5)
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(5, to: writer)
        let report = try Store.verify(files: disk, host: machine.host, deep: true)
        #expect(report.hasLiveWriter)
        #expect(report.findings.isEmpty)
        #expect(report.recordCount == 5)
        try engine.close()
    }

    @Test func `tells that readers see only what is sealed where a writer's file tail is gone`()
        throws
    {
        let disk = SimulatedFileSystem(seed: 5)
        let machine = SimulatedMachine(seed: 5)
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(5, to: writer)
        try writer.sync()
        let sealed = writer.view.segments.compactMap { $0.sealed?.endOffset.value }.max() ?? 0
        #expect(sealed > 0 && sealed < 5)
        try disk.removeFile(StoreLayout.tail)
        let report = try Store.verify(files: disk, host: machine.host, deep: true)
        #expect(report.findings.map(\.kind) == [.damagedTail] && report.isHealthy)
        let reader = try StoreEngine.openReadOnly(files: disk, host: machine.host)
        #expect(try SmallStream.offsets(SmallStream.view(reader)) == Array(0..<sealed))
        try engine.close()
    }

    @Test func `finds a lost segment beside a live writer`() throws {
        let disk = SimulatedFileSystem(seed: 5)
        let machine = SimulatedMachine(seed: 5)
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(5, to: writer)
        try writer.sync()
        try disk.removeFile(try #require(writer.view.segments.first).path)
        let report = try Store.verify(files: disk, host: machine.host, deep: true)
        #expect(report.findings.map(\.kind) == [.missingSegment])
        try engine.close()
    }

    @Test func `refuses a directory that is no store`() throws {
        let disk = SimulatedFileSystem(seed: 5)
        let error = #expect(throws: WeirError.self) {
            try Store.verify(files: disk, host: SimulatedMachine(seed: 5).host, deep: false)
        }
        #expect(error?.code == .invalidArgument)
    }

    @Test func `ends early when it is told to, and calls nothing healthy then`() throws {
        let store = try DoctorStore.make()
        let report = try Store.verify(
            files: store.disk, host: store.host, deep: true, progress: { _ in false })
        #expect(report.recordCount == 2)
        #expect(report.findings.isEmpty && !report.isComplete && !report.isHealthy)
        #expect(try store.verify().isComplete)
    }

    @Test func `has advice for every kind of finding`() throws {
        let store = try DoctorStore.make()
        try store.disk.removeFile(store.segments[1])
        let finding = try #require(try store.verify().findings.first)
        #expect(finding.advice.contains("weir repair"))
    }
}
