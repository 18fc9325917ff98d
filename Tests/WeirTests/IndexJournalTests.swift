import Foundation
import Testing
import WeirBase
import WeirFiles
import WeirFormat

@testable import Weir
@testable import WeirIndex

@Suite("The journal of an index that is fed no more")
struct IndexJournalTests {
    private let folder = TemporaryFolder()
    private let stream = StreamID(7)
    private let files: IndexFiles
    private let identity = IndexIdentity(
        store: StoreID(1), epoch: Epoch(3), opened: Timestamp(microseconds: 4))

    init() throws {
        files = IndexFiles(
            files: try RealFileSystem.openRoot(folder.path, creating: true))
    }

    private func open(_ feeding: inout IndexFeeder.Feeding) throws {
        try feeding.open(files, identity, after: identity) { _, _ in false }
    }

    private func run(_ offsets: Range<UInt64>) -> KeyRun {
        KeyRun(
            stream: stream, first: Offset(offsets.lowerBound), end: Offset(offsets.upperBound),
            entries: offsets.map { KeyEntry(hash: $0 << 40, offset: Offset($0)) })
    }

    /// Beside somebody who looks in it, a try is in vain.
    @Test func `is left alone after sixty tries in vain, and anew after one that is not`() throws {
        var feeding = IndexFeeder.Feeding()
        try open(&feeding)
        try feeding.writer?.append([run(0..<9)])
        let looking = try IndexConnection(path: files.path(1), isReadOnly: true)
        /// After how many tries it is not asked again.
        func tries(_ count: Int) throws -> Int? {
            try looking.read { database in
                try SQLStatement(database, "SELECT * FROM owner").rows { _ in true }
                let end = feeding.writer?.coverage(of: stream)?.upperBound.value ?? 0
                try feeding.writer?.append([run(end..<end + 3)])
                return (1...count).first { _ in feeding.checkpoint() }
            }
        }
        #expect(try tries(99) == 60)
        #expect(try tries(59) == nil)
        let isCut = feeding.checkpoint()
        #expect(isCut)
        #expect(try tries(99) == 60)
        try looking.close()
        #expect(feeding.rebuildReason == nil)
        feeding.close()
    }

    @Test func `that cannot be cut for damage has the index made anew`() throws {
        var feeding = IndexFeeder.Feeding()
        try open(&feeding)
        try feeding.writer?.append([run(0..<50_000)])
        let isCut = feeding.checkpoint()
        #expect(isCut)
        try feeding.writer?.append([run(50_000..<50_009)])
        // What was moved into the file is gone: what is in the journal belongs behind it.
        let file = try FileHandle(forUpdating: URL(filePath: files.path(1)))
        #expect(try file.seekToEnd() > 256 << 10)
        try file.truncate(atOffset: 0)
        try file.close()
        let isQuiet = feeding.checkpoint()
        #expect(!isQuiet)
        #expect(feeding.writer == nil)
        #expect(feeding.rebuildReason?.hasPrefix("made anew: ") == true)
        try open(&feeding)
        #expect(feeding.generation == 2)
        #expect(try files.generations() == [2])
        #expect(feeding.writer?.coverage(of: stream) == nil)
        feeding.close()
    }
}
