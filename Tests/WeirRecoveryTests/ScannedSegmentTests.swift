import Foundation
import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirRecovery

@Suite("The scan of a segment")
struct ScannedSegmentTests {
    /// One batch behind a header, as a writer leaves it.
    private func makeSegment(_ id: SegmentID, value: [UInt8]) throws -> [UInt8] {
        let header = SegmentHeader(
            segmentID: id, streamID: StreamID(2), epoch: Epoch(1), base: .zero,
            creationTime: .distantPast, logStart: .zero, name: try StreamName("s"),
            configuration: StreamConfiguration())
        var bytes = header.encode()
        var builder = BatchBuilder(byteLimit: 1 << 20)
        let added = builder.append(value: value.span.bytes)
        #expect(added)
        let place = BatchPlace(segment: id, position: FilePosition(UInt64(bytes.count)))
        let seal = BatchSeal(
            place: place, firstOffset: .zero, epoch: Epoch(1), durableEnd: .zero,
            appendTime: Timestamp(microseconds: 1))
        var scratch = ScratchMemory()
        let sealed = builder.seal(seal, compression: .off, scratch: &scratch)
        bytes += Array(sealed.bytes)
        return bytes
    }

    /// Its bytes up to an end, and then a hole up to a size.
    private func scan(
        _ bytes: ArraySlice<UInt8>, size: Int
    ) throws -> (scan: ScannedSegment, dataEnd: Int) {
        let folder = NSTemporaryDirectory() + "weir-scan-" + UUID().uuidString
        let files = try RealFileSystem.openRoot(folder, creating: true)
        let file = try files.open("segment", .createExclusive)
        try files.writeAll(file, Array(bytes), at: .zero)
        try files.truncate(file, to: size)
        let dataEnd = try files.dataEnd(of: file)
        let scan = try ScannedSegment.scan(
            file, id: SegmentID(1), base: .zero, path: "segment", files: files)
        try files.close(file)
        try FileManager.default.removeItem(atPath: folder)
        return (scan, dataEnd)
    }

    @Test func `reads no hole at the end, were it larger than memory`() throws {
        let bytes = try makeSegment(SegmentID(1), value: [1, 2, 3])
        let (scan, dataEnd) = try scan(bytes[...], size: 1 << 40)
        #expect(dataEnd < bytes.count + 4096)
        #expect(scan.standing.batchCount == 1)
        #expect(scan.bad.isEmpty)
        #expect(scan.fileBytes == 1 << 40)
    }

    @Test func `finds a batch whole that ends in a hole, as where zeros are kept as holes`() throws
    {
        let bytes = try makeSegment(SegmentID(1), value: [UInt8](repeating: 0, count: 20_000))
        let (scan, dataEnd) = try scan(bytes[..<8192], size: bytes.count)
        #expect(dataEnd < bytes.count)
        #expect(scan.standing.batchCount == 1)
        #expect(scan.bad.isEmpty)
    }
}
