import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirIndex
import WeirLog
import WeirTesting

@testable import Weir

@Suite("A reading of keys")
struct KeyFeedTests {
    private let disk = SimulatedFileSystem(seed: 5)
    private let machine = SimulatedMachine(seed: 5)

    private func read(
        _ view: LogView<SimulatedFileSystem>, keys: Bool = true, mode: ReadingMode = .mapped,
        isStopped: (Int) -> Bool = { _ in false }
    ) throws -> [KeyRun] {
        try KeyFeed.read(
            IndexedFields(keys: keys, headers: keys ? [] : ["h"]), of: StreamID(1), view,
            from: .zero, mode: mode, isStopped: isStopped)
    }

    /// Several sealed segments of records without a key, and a record with one behind them.
    private func fill(_ writer: LogWriter<SimulatedFileSystem>) throws {
        try SmallStream.append(8, to: writer)
        writer.work()
        try appendKeyed(to: writer)
    }

    private func appendKeyed(to writer: LogWriter<SimulatedFileSystem>) throws {
        let key: [UInt8] = [107]
        var builder = BatchBuilder(byteLimit: 4 << 10)
        let added = try builder.append(
            key: key.span.bytes, time: nil, value: key.span.bytes
        ) { _ in }
        #expect(added)
        _ = try writer.append(&builder, needsSync: true)
    }

    @Test func `costs the footers of segments that have none, and of others the batches`() throws {
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        try fill(writer)
        let runs = try read(writer.view)
        #expect(runs.map(\.first) == [0] && runs.map(\.end) == [9])
        #expect(runs.flatMap(\.entries).map(\.offset) == [8])
        // No batch of the first segment can be read any more: its footer tells all the same.
        let first = try #require(writer.view.segments.first)
        #expect(first.sealed != nil)
        let file = try disk.open(first.path, .readWrite)
        let place = FilePosition(UInt64(SegmentHeader.alignment))
        try disk.writeAll(file, [UInt8](repeating: 0xAA, count: 64), at: place)
        try disk.close(file)
        #expect(try read(writer.view).map(\.isUnread) == [false])
        #expect(try read(writer.view, keys: false).contains { $0.isUnread })
    }

    @Test func `looks at no batch while the writer has seen no key`() throws {
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(1, to: writer)
        #expect(writer.view.segments.allSatisfy { $0.sealed == nil })
        let path = try #require(writer.view.segments.first?.path)
        let file = try disk.open(path, .readWrite)
        try disk.writeAll(
            file, [UInt8](repeating: 0xAA, count: 64),
            at: FilePosition(UInt64(SegmentHeader.alignment)))
        try disk.close(file)
        let runs = try read(writer.view)
        #expect(runs.map(\.end) == [1] && runs.map(\.isUnread) == [false])
        // With a key in the log, what is before it is walked.
        try appendKeyed(to: writer)
        #expect(try read(writer.view).contains { $0.isUnread })
        #expect(try read(writer.view).flatMap(\.entries).map(\.offset) == [1])
    }

    @Test func `takes nothing for read where pages vanished, and reads by copies`() throws {
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        try fill(writer)
        var askedCount = 0
        let error = #expect(throws: WeirError.self) {
            // The last batch was walked when the reading stops.
            try self.read(writer.view) { _ in
                askedCount += 1
                if askedCount == 3 { self.disk.losePages(true) }
                return askedCount == 3
            }
        }
        #expect(error?.code == .damaged)
        let runs = try read(writer.view, mode: .copied)
        #expect(runs.map(\.end) == [9] && runs.flatMap(\.entries).count == 1)
    }

    @Test func `is told once, at the end too, that pages of the last batch vanished`() throws {
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(1, to: writer)
        var cursor = LogCursor(view: writer.view, at: .zero)
        guard case .batch = try cursor.next() else {
            Issue.record("there is no batch")
            return
        }
        disk.losePages(true)
        var codes: [WeirError.Code?] = []
        for _ in 0..<2 {
            do throws(WeirError) {
                guard case .end = try cursor.next() else { continue }
                codes.append(nil)
            } catch {
                codes.append(error.code)
            }
        }
        #expect(codes == [.damaged, nil])
    }
}
