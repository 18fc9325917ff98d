import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

/// A cursor of the log's first segment, its tombstone in the second, and another in the third.
@Suite("A walk over the log of cursors")
struct CursorWalkTests {
    private typealias Files = FaultyFileSystem<SimulatedFileSystem>

    private let files = Files(SimulatedFileSystem(seed: 5))
    private let machine = SimulatedMachine(seed: 5)

    private func append(_ name: String, _ value: [UInt8]?, to writer: LogWriter<Files>) throws {
        var batch = Batch()
        let key = CursorRecord.encode(CursorKey(stream: StreamID(7), name: name))
        let isAdded = try batch.append(key: key, headers: [:], time: nil, value: value)
        #expect(isAdded)
        _ = try writer.append(&batch.builder, needsSync: false)
        try writer.sealActive()
    }

    @Test func `knows no cursor whose tombstone went while it was under way`() throws {
        let engine = try StoreEngine.open(files: files, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine)
        let commit = CursorRecord.encode(
            CursorCommit(
                position: CursorPosition(epoch: Epoch(1), offset: 1), time: .distantPast))
        for (name, value) in [("removed", commit), ("removed", nil), ("kept", commit)] {
            try append(name, value, to: writer)
        }
        let view = writer.view
        let gone = view.segments.prefix(2)
        let path = try #require(gone.first).path
        let ids = gone.map(\.id)
        // The walk stands in the first segment when it and the next go.
        files.follow { operation, place in
            if operation == .map, place == path { view.retire(ids, logStart: 2) }
            return nil
        }
        var log = CursorLog()
        try log.walk(view)
        #expect(log.standings.keys.map(\.name) == ["kept"])
        #expect(view.logStart == 2)
        try engine.close()
    }
}
