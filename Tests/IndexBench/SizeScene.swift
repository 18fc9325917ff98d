import Foundation
import Weir
import WeirBase
import WeirFormat
import WeirTesting

/// What finding records costs on disk: the same records without keys, where only blocks are
/// indexed, and with a key of 16 bytes each.
struct SizeScene {
    private let arguments: Arguments
    private static let footerPercentMax = 0.2
    private static let keyBytesMax = 64.0

    init(_ arguments: Arguments) { self.arguments = arguments }

    /// Whether both figures are within their bounds.
    func play() throws -> Bool {
        let blocks = try measure("blocks", isKeyed: false) { folder in
            // Blocks are in the footers of sealed segments; what the index's file has is its frame.
            let sealed = try sealedBytes(in: folder)
            guard sealed.log > 0 else { throw Usage("No segment was sealed; give more records.") }
            return try 100 * Double(sealed.footers + indexBytes(in: folder)) / Double(sealed.log)
        }
        let keys = try measure("keys", isKeyed: true) { folder in
            try Double(indexBytes(in: folder)) / Double(arguments.records)
        }
        report("blocks only, of the log", blocks, "%", "<= \(Self.footerPercentMax)")
        report("with keys of 16 bytes", keys, "bytes a key", "<= \(Int(Self.keyBytesMax))")
        return blocks <= Self.footerPercentMax && keys <= Self.keyBytesMax
    }

    private func report(_ name: String, _ value: Double, _ unit: String, _ target: String) {
        Figure(scene: "size", name: name, value: value, unit: unit, target: target).print()
    }

    /// Fills a store of its own, has its index brought up to date, and measures both while they are
    /// open: with the journal that SQLite has beside the index.
    private func measure(
        _ name: String, isKeyed: Bool, _ body: (_ folder: String) throws -> Double
    ) throws -> Double {
        let folder = arguments.folder + "/size-" + name
        let store = try Store.openBlocking(at: folder)
        let stream = try store.streamBlocking(
            "s", creating: .init(durability: .flushed, keyIndex: isKeyed))
        guard stream.endOffset == .zero else { throw Usage("\(folder) is filled; remove it.") }
        let writer = try stream.syncWriter()
        var random = SeededRandom(seed: 1)
        let value = [UInt8](repeating: 7, count: arguments.bytes)
        var batch = Batch(byteLimit: 4 << 20)
        var left = arguments.records
        while left > 0 {
            for _ in 0..<min(arguments.batch, left) {
                if isKeyed {
                    let key = String(random.next() | 1 << 63, radix: 16)
                    _ = try batch.append(key: Array(key.utf8), value: value)
                } else {
                    _ = batch.append(value: value)
                }
            }
            left -= batch.recordCount
            try writer.append(&batch)
        }
        while store.indexReport().lag > 0 { Thread.sleep(forTimeInterval: 0.05) }
        let figure = try body(folder)
        try store.closeBlocking()
        try FileManager.default.removeItem(atPath: folder)
        return figure
    }

    private func indexBytes(in folder: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: folder)
            .filter { $0.hasPrefix("index-") }
            .reduce(0) { try $0 + byteCount(folder + "/" + $1) }
    }

    /// Of the segments that have a footer: what is before it, and the footers.
    private func sealedBytes(in folder: String) throws -> (log: Int, footers: Int) {
        var (log, footers) = (0, 0)
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder)
        where name.hasSuffix(".segment") {
            let path = folder + "/" + name
            let byteCount = try byteCount(path)
            guard byteCount >= SegmentFooter.Trailer.end else { continue }
            let file = try FileHandle(forReadingFrom: URL(filePath: path))
            try file.seek(toOffset: UInt64(byteCount - SegmentFooter.Trailer.end))
            let trailer = [UInt8](try file.readToEnd() ?? Data())
            try file.close()
            var reader = ByteReader(trailer[SegmentFooter.Trailer.segmentID...], "trailer")
            let id = try reader.id(SegmentID.self)
            guard let footer = try SegmentFooter.byteCount(trailer: trailer, segment: id)
            else { continue }
            log += byteCount - footer
            footers += footer
        }
        return (log, footers)
    }

    private func byteCount(_ path: String) throws -> Int {
        let size = try FileManager.default.attributesOfItem(atPath: path)[.size]
        guard let size = size as? Int else { throw Usage("\(path) has no size.") }
        return size
    }
}
