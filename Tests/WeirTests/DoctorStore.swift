import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

/// A store for the doctor: one stream `s` of five records, in segments of two batches each.
struct DoctorStore {
    let disk: SimulatedFileSystem
    let host: Host
    let id: StreamID
    /// In the order of their bases.
    let segments: [String]

    /// `isClosed`: in good order; else its writer was killed.
    static func make(isClosed: Bool = true, seed: UInt64 = 5) throws -> DoctorStore {
        let disk = SimulatedFileSystem(seed: seed)
        let machine = SimulatedMachine(seed: seed)
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        let writer = try SmallStream.create(in: engine, durability: .durable)
        try SmallStream.append(5, to: writer, needsSync: true)
        try writer.sync()
        let stream = try #require(engine.streams.first)
        let paths = stream.view.segments.map(\.path)
        if isClosed { try engine.close() }
        return DoctorStore(
            disk: isClosed ? disk : disk.afterKill(), host: machine.host, id: stream.id,
            segments: paths)
    }

    func verify(deep: Bool = true) throws -> VerifyReport {
        try Store.verify(files: disk, host: host, deep: deep)
    }

    func bytes(_ path: String) throws -> [UInt8] {
        let file = try disk.open(path, .read)
        return try disk.read(file, at: .zero, byteCount: try disk.size(of: file))
    }

    func flip(_ path: String, at position: Int) throws {
        try disk.spoil(path, at: position, with: [try bytes(path)[position] ^ 1])
    }

    func flipFromEnd(_ path: String, _ distance: Int) throws {
        try flip(path, at: try bytes(path).count - distance)
    }

    func write(_ path: String, _ content: [UInt8]) throws {
        let file = try disk.open(path, .createExclusive)
        try disk.writeAll(file, content, at: .zero)
        try disk.close(file)
    }

    /// Where the first batch of a segment begins.
    static let firstBatch = SegmentHeader.alignment

    /// Writes the header of a segment's first batch anew, with right checksums.
    func forge(_ path: String, _ change: (inout BatchHeader) -> Void) throws {
        let content = try bytes(path)
        let name = String(try #require(path.split(separator: "/").last))
        let segment = try #require(StoreLayout.parse(segmentName: name)).id
        let place = BatchPlace(
            segment: segment, position: FilePosition(UInt64(Self.firstBatch)))
        let old = Array(content[Self.firstBatch..<Self.firstBatch + BatchHeader.byteCount])
        var header = try BatchHeader.decode(old.span.bytes, at: place)
        change(&header)
        var new = old
        new.withUnsafeMutableBytes { buffer in
            if let base = buffer.baseAddress { header.encode(to: base, at: place) }
        }
        try disk.spoil(path, at: Self.firstBatch, with: new)
    }

    /// Everything that is on the disk: names and bytes.
    func content() throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        try collect("", into: &found)
        return found
    }

    private func collect(_ folder: String, into found: inout [String: [UInt8]]) throws {
        for name in try disk.list(folder) {
            let path = folder.isEmpty ? name : folder + "/" + name
            do throws(WeirError) {
                let file = try disk.open(path, .read)
                found[path] = try disk.read(file, at: .zero, byteCount: try disk.size(of: file))
            } catch {
                found[path] = []
                try collect(path, into: &found)
            }
        }
    }
}
