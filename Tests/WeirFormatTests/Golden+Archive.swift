import WeirBase
import WeirFormat

/// The places of an archive's parts.
struct ArchiveParts {
    let bytes: [UInt8]
    /// Where each batch begins, and at last the trailer.
    let starts: [Int]
}

extension Golden {
    /// Two batches, one of them with an extension; a hole of five offsets between them.
    static func archive() throws -> ArchiveParts {
        try archive(of: "golden.v1", configuration)
    }

    /// Three partitions, each with the same batches; where each of their archives begins, and at
    /// last the end.
    static func series() throws -> ArchiveParts {
        var (bytes, starts): ([UInt8], [Int]) = ([], [])
        for index in 0..<3 {
            starts.append(bytes.count)
            bytes += try partition(index)
        }
        return ArchiveParts(bytes: bytes, starts: starts + [bytes.count])
    }

    static func partition(
        _ index: Int, of count: Int = 3, group: String = "golden.v1"
    ) throws -> [UInt8] {
        let partition = try Partition(of: try StreamName(group), index: index, count: count)
        return try archive(
            of: "\(group)-\(index)", configuration.placed(in: partition), isInSeries: true
        ).bytes
    }

    private static func archive(
        of name: String, _ configuration: StreamConfiguration, isInSeries: Bool = false
    ) throws -> ArchiveParts {
        var maker = SegmentMaker(
            try header(SegmentID(0x5706_0000_0000_0006), base: Offset(100), epoch: 3),
            appendTime: time(300))
        maker.add(values: [Array("one".utf8), Array("two".utf8)])
        let row = ProducerRow(name: "loader", lastPublishingID: 11, offset: Offset(107))
        var batch = builder([Array("three".utf8)])
        maker.add(&batch, extension: BatchExtension.encode(producers: [row]))
        var head = ArchiveHead(
            archiveID: SegmentID(0x5707_0000_0000_0007), storeID: store, streamID: stream,
            range: Offset(100)..<Offset(108), name: try StreamName(name),
            configuration: configuration, creationTime: time(400))
        head.isInSeries = isInSeries
        var encoder = ArchiveEncoder(head)
        var bytes = encoder.begin()
        var starts: [Int] = []
        for case .batch(var found, let position) in steps(
            maker.bytes, maker.header.segmentID, from: maker.positions[0])
        {
            let start = Int(position.value)
            starts.append(bytes.count)
            if starts.count == 2 { found.firstOffset = Offset(107) }
            let stored = maker.bytes.span.bytes.extracting(start..<start + found.storedByteCount)
            bytes += encoder.put(found, stored: stored)
        }
        starts.append(bytes.count)
        return ArchiveParts(bytes: bytes + encoder.end(), starts: starts)
    }
}

/// What a decoder makes of an input that comes in pieces of a size, up to its end or an error.
func decodeArchive(
    _ bytes: [UInt8], piece: Int = .max
) -> (items: [ArchiveDecoder.Item], error: WeirError?) {
    var decoder = ArchiveDecoder()
    var items: [ArchiveDecoder.Item] = []
    do throws(WeirError) {
        var start = 0
        while start < bytes.count {
            let end = start + min(piece, bytes.count - start)
            decoder.add(Array(bytes[start..<end]))
            start = end
            while let item = try decoder.next() { items.append(item) }
        }
        try decoder.expectEnd()
        return (items, nil)
    } catch {
        return (items, error)
    }
}
