import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirIndex
import WeirLog
import WeirTesting

@testable import Weir

@Suite("The keys of a stream")
struct KeyFeedTests {
    private let disk = SimulatedFileSystem(seed: 5)
    private let machine = SimulatedMachine(seed: 5)

    private func read(_ view: LogView<SimulatedFileSystem>, keys: Bool = true) throws -> [KeyRun] {
        let configuration = StreamConfiguration(indexedHeaders: keys ? [] : ["h"])
        return try KeyFeed.read(
            IndexedFields(configuration), of: StreamID(1), view, from: .zero
        ) { false }
    }

    /// Several sealed segments of records without a key, and a record with one behind them.
    private func fill(_ writer: LogWriter<SimulatedFileSystem>) throws {
        try SmallStream.append(8, to: writer)
        writer.work()
        let key: [UInt8] = [107]
        var builder = BatchBuilder(byteLimit: 4 << 10)
        let added = try builder.append(
            key: key.span.bytes, time: nil, value: key.span.bytes
        ) { _ in }
        #expect(added)
        _ = try writer.append(&builder, needsSync: true)
    }

    @Test func `cost the footers of segments that have none, and of others the batches`() throws {
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
}
