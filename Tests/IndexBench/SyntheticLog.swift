import Foundation
import Weir
import WeirBase
import WeirFormat
import WeirIndex

/// A stream's segments as a writer would have left them, with holes where nobody will look: their
/// headers and footers are whole, and so are the batches around some places.
struct SyntheticLog {
    let folder: String
    let segmentCount: Int
    /// Batches of a segment: some 4 KiB each, in blocks of 64 KiB.
    let batchCount: Int
    /// Places of a segment around which batches are there; 0 for all of them.
    let placeCount: Int
    /// Whether each record has a key, `key(of:)`.
    let isKeyed: Bool

    static let name = "log"
    static let batchRecords = 4
    private static let valueBytes = 1000
    /// Before a place, so that the block that leads there is whole: two blocks.
    private static let batchesBefore = 40
    private static let start = Timestamp(microseconds: 1_700_000_000_000_000)

    var recordCount: Int { segmentCount * batchCount * Self.batchRecords }

    /// Each record a tenth of a millisecond after the one before it.
    static func time(of offset: Int) -> Timestamp {
        Timestamp(microseconds: start.microseconds + Int64(offset) * 100)
    }

    /// 16 bytes.
    static func key(of offset: Int) -> [UInt8] {
        var key = [UInt8](repeating: UInt8(ascii: "k"), count: 16)
        var left = offset
        for index in key.indices.reversed() where left > 0 {
            key[index] = UInt8(ascii: "0") + UInt8(left % 10)
            left /= 10
        }
        return key
    }

    /// Offsets whose batches are there.
    var places: [Int] {
        (0..<segmentCount * placeCount).map { number in
            let (segment, place) = number.quotientAndRemainder(dividingBy: placeCount)
            return (segment * batchCount + batch(of: place)) * Self.batchRecords
                + number % Self.batchRecords
        }
    }

    private func batch(of place: Int) -> Int { (place + 1) * batchCount / (placeCount + 1) }

    private func isThere(_ number: Int) -> Bool {
        if placeCount == 0 { return true }
        let next = (0..<placeCount).first { batch(of: $0) >= number }
        return next.map { batch(of: $0) - number <= Self.batchesBefore } ?? false
    }

    /// Makes a store with the stream, and puts the segments in the place of its own. The stream has
    /// no manifest then: the next opening finds out from headers and footers what there is.
    func make() throws {
        let store = try Store.openBlocking(at: folder, index: .off)
        let stream = try store.streamBlocking(
            Self.name, creating: .init(durability: .flushed, segmentBytes: 256 << 20))
        let configuration = stream.configuration
        try store.closeBlocking()
        let streams = folder + "/" + StoreLayout.streams
        let id = try streamID()
        for name in try FileManager.default.contentsOfDirectory(atPath: streams + "/\(id)") {
            try FileManager.default.removeItem(atPath: streams + "/\(id)/" + name)
        }
        let name = try StreamName(Self.name)
        for number in 0..<segmentCount {
            let base = Offset(UInt64(number * batchCount * Self.batchRecords))
            try write(
                SegmentHeader(
                    segmentID: SegmentID(UInt64(number) &* 0x9E37_79B9_7F4A_7C15 | 1),
                    streamID: id, epoch: Epoch(1), base: base, creationTime: Self.start,
                    logStart: .zero, name: name, configuration: configuration))
        }
    }

    private func streamID() throws -> StreamID {
        let streams = folder + "/" + StoreLayout.streams
        let names = try FileManager.default.contentsOfDirectory(atPath: streams)
        guard let id = names.lazy.compactMap({ StreamID(hexadecimal: $0) }).first else {
            throw Usage("\(streams) has no stream.")
        }
        return id
    }

    /// Makes the index of its keys, as the store's last writer would have left it.
    func makeIndex() throws {
        func bytes(_ name: String) throws -> [UInt8] {
            Array(try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name)))
        }
        let header = try StoreHeader.decode(try bytes(StoreLayout.header))
        let epochs = EpochRecord.decodeAll(try bytes(StoreLayout.epochs))
        guard let opening = epochs.lastOpening else { throw Usage("\(folder) was never opened.") }
        let index = SyntheticIndex(
            path: folder + "/" + StoreLayout.index(generation: 1),
            identity: IndexIdentity(
                store: header.storeID, epoch: opening.epoch, opened: opening.time),
            stream: try streamID(), recordCount: recordCount, hash: { keyHash(Self.key(of: $0)) })
        try index.make { _, _ in }
    }

    private func write(_ header: SegmentHeader) throws {
        let path =
            folder + "/"
            + StoreLayout.segment(
                header.streamID, header.segmentID, base: header.base)
        guard FileManager.default.createFile(atPath: path, contents: Data(header.encode())),
            let file = FileHandle(forWritingAtPath: path)
        else { throw Usage("\(path) cannot be made.") }
        var summary = SegmentSummary(base: header.base)
        var position = FilePosition(UInt64(SegmentHeader.alignment))
        var scratch = ScratchMemory()
        var made: BatchHeader?
        for number in 0..<batchCount {
            if var made, !isThere(number) {
                Self.move(&made, to: summary.endOffset)
                summary.add(made, at: position)
                position = position + made.storedByteCount
                continue
            }
            var builder = try builder(at: summary.endOffset)
            let seal = BatchSeal(
                place: BatchPlace(segment: header.segmentID, position: position),
                firstOffset: summary.endOffset, epoch: header.epoch, durableEnd: header.base,
                appendTime: Self.time(of: Int(summary.endOffset.value) + Self.batchRecords))
            let sealed = builder.seal(seal, compression: .off, scratch: &scratch)
            try file.seek(toOffset: position.value)
            try file.write(contentsOf: Data(sealed.bytes))
            summary.add(sealed.header, at: position)
            position = position + sealed.header.storedByteCount
            made = sealed.header
        }
        let footer = SegmentFooter(
            segmentID: header.segmentID, summary: summary, logStart: .zero,
            configuration: header.configuration)
        try file.seek(toOffset: position.value)
        try file.write(contentsOf: Data(footer.encode(at: position).bytes))
        try file.close()
    }

    private static func move(_ header: inout BatchHeader, to offset: Offset) {
        header.firstOffset = offset
        header.minRecordTime = time(of: Int(offset.value))
        header.maxRecordTime = time(of: Int(offset.value) + batchRecords - 1)
        header.appendTime = time(of: Int(offset.value) + batchRecords)
    }

    private func builder(at offset: Offset) throws -> BatchBuilder {
        var builder = BatchBuilder(byteLimit: 64 << 10)
        let value = [UInt8](repeating: 7, count: Self.valueBytes)
        for number in 0..<Self.batchRecords {
            let place = Int(offset.value) + number
            let key = Self.key(of: place)
            let isAdded = try builder.append(
                key: isKeyed ? key.span.bytes : nil, time: Self.time(of: place),
                value: value.span.bytes
            ) { _ in }
            guard isAdded else { throw Usage("A batch is full.") }
        }
        return builder
    }
}
