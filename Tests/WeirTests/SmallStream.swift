import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat

@testable import WeirLog

/// A stream of the smallest segments, of two batches each, so that a few records make many.
enum SmallStream {
    static func create<Files: FileSystem>(
        in engine: StoreEngine<Files>, durability: Durability = .flushed,
        segmentBytes: Int = 8 << 10
    ) throws -> LogWriter<Files> {
        let name = try StreamName("s")
        try engine.create(
            name,
            StreamConfiguration(
                durability: durability, segmentBytes: segmentBytes, batchBytesMax: 4 << 10))
        return try writer(engine)
    }

    static func writer<Files: FileSystem>(
        _ engine: StoreEngine<Files>
    ) throws -> LogWriter<Files> {
        try #require(engine.stream(try StreamName("s"))?.writer)
    }

    static func view<Files: FileSystem>(_ engine: StoreEngine<Files>) throws -> LogView<Files> {
        try #require(engine.stream(try StreamName("s"))?.view)
    }

    /// Appends so many batches of one record.
    static func append<Files: FileSystem>(
        _ count: Int = 1, to writer: LogWriter<Files>, needsSync: Bool = false,
        bytes: Int = 1500, batchBytesMax: Int = 4 << 10
    ) throws {
        var builder = BatchBuilder(byteLimit: batchBytesMax)
        let value = [UInt8](repeating: 1, count: bytes)
        for _ in 0..<count {
            let added = builder.append(value: value.span.bytes)
            #expect(added)
            _ = try writer.append(&builder, needsSync: needsSync)
            builder.removeAll()
        }
    }

    /// The batch that was appended last, and its bytes in the last segment.
    static func lastBatch<Files: FileSystem>(
        of writer: LogWriter<Files>
    ) throws -> (header: BatchHeader, place: Range<Int>) {
        var walk = LogCursor(view: writer.view, at: Offset(writer.nextOffset.value - 1))
        let step = try walk.next()
        guard case .batch(let header) = step else {
            throw WeirError(.damaged, "\(step) where the last batch is expected")
        }
        let start = Int(walk.position.value)
        return (header, start..<start + header.storedByteCount)
    }

    /// The first offsets of all batches from an offset on.
    static func offsets<Files: FileSystem>(
        _ view: LogView<Files>, from start: UInt64 = 0, mode: ReadingMode = .mapped
    ) throws -> [UInt64] {
        var cursor = LogCursor(view: view, at: Offset(start), mode: mode)
        var found: [UInt64] = []
        while case .batch(let header) = try cursor.next() { found.append(header.firstOffset.value) }
        return found
    }
}
