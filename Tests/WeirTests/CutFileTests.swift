import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

@Suite("A sealed segment that was cut")
struct CutFileTests {
    private let folder = TemporaryFolder()

    /// Three segments of six records each; the first is cut to this many bytes.
    private func openCut(to size: Int) throws -> LogView<RealFileSystem> {
        let files = try RealFileSystem.openRoot(folder.path, creating: true)
        let engine = try StoreEngine.open(files: files, host: .system(), creating: true)
        let name = try StreamName("s")
        try engine.create(
            name, StreamConfiguration(segmentBytes: 68 << 10, batchBytesMax: 16 << 10))
        let writer = try SmallStream.writer(engine)
        var builder = BatchBuilder(byteLimit: 16 << 10)
        let value = [UInt8](repeating: 1, count: 10_000)
        for _ in 0..<18 {
            let added = builder.append(value: value.span.bytes)
            #expect(added)
            _ = try writer.append(&builder, needsSync: true)
            builder.removeAll()
        }
        let first = try #require(writer.view.segments.first)
        try engine.close()
        let file = try files.open(first.path, .readWrite)
        try files.truncate(file, to: size)
        try files.close(file)
        return try SmallStream.view(
            try StoreEngine.openReadOnly(files: files, host: .system()))
    }

    @Test(
        arguments: [ReadingMode.mapped, .copied],
        [(35_000, [0, 1, 2]), (4096, []), (0, [])] as [(Int, [UInt64])])
    func `costs what was cut off, and a gap is told`(
        mode: ReadingMode, cut: (size: Int, left: [UInt64])
    ) throws {
        let view = try openCut(to: cut.size)
        var cursor = LogCursor(view: view, at: .zero, mode: mode)
        var found: [UInt64] = []
        var missing: [Range<UInt64>] = []
        var step = try cursor.next()
        while step != .end {
            switch step {
            case .batch(let header): found.append(header.firstOffset.value)
            case .gap(let gap): missing.append(gap.expected.value..<gap.next.value)
            case .end, .held: break
            }
            step = try cursor.next()
        }
        #expect(found == cut.left + Array(6..<18))
        #expect(missing == [UInt64(cut.left.count)..<6])
    }

    @Test func `is searched to its end, which is nearer now`() throws {
        let view = try openCut(to: 35_000)
        #expect(try LogSearch(view).offset(of: .appended(.distantFuture)) == Offset(18))
        #expect(try SmallStream.offsets(view, from: 9).first == 9)
        var cursor = LogCursor(view: view, at: Offset(4))
        let step = try cursor.next()
        guard case .gap(let gap) = step else {
            Issue.record("\(step) where a gap is expected")
            return
        }
        #expect(gap.next == Offset(6))
    }
}
