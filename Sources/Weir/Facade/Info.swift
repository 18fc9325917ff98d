public import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// What a stream consists of.
public struct StreamInfo: Sendable {
    public let name: String
    /// Its directory is named by it.
    public let id: String
    public let configuration: StreamConfiguration
    public let firstOffset: Offset
    /// Readers see what is before it.
    public let endOffset: Offset
    /// The offset behind the last record that was written: the next one's.
    public let flushedEnd: Offset
    /// What is before it survives power loss.
    public let durableEnd: Offset
    public let segments: [SegmentInfo]

    /// Records in the first segment that stand before `firstOffset`: a trim let go of them.
    public let trimmedCount: Int

    /// Records that readers get, of the segments that are there.
    public var recordCount: Int {
        segments.reduce(-trimmedCount) { $0 + ($1.isMissing ? 0 : $1.recordCount) }
    }
    /// What the files' sizes say.
    public var logicalBytes: Int { segments.reduce(0) { $0 + $1.logicalBytes } }
    /// What they occupy on the medium: less where there are holes, more where room was made ahead.
    public var allocatedBytes: Int { segments.reduce(0) { $0 + $1.allocatedBytes } }
    /// Bytes of the records, unpacked.
    public var rawBytes: Int { segments.reduce(0) { $0 + $1.rawBytes } }
}

/// One file of a stream.
public struct SegmentInfo: Sendable {
    public let id: String
    public let path: String
    public let isSealed: Bool
    /// Its file is gone; what is said of it comes from the manifest.
    public let isMissing: Bool
    public let base: Offset
    public let endOffset: Offset
    public let recordCount: Int
    public let logicalBytes: Int
    public let allocatedBytes: Int
    public let rawBytes: Int
    /// Smallest and largest record time; `nil` without records.
    public let firstTime: Timestamp?
    public let lastTime: Timestamp?
}

/// A part of a segment, of about 64 KiB, where a search may begin to read.
public struct BlockInfo: Sendable, Hashable {
    /// Of its first record.
    public let firstOffset: Offset
    /// When its first batch was appended.
    public let appendTime: Timestamp
    /// The largest record time in the segment before the block; `nil` for the first block.
    public let lastTimeBefore: Timestamp?
    /// Where it begins in the file, in bytes.
    public let position: Int
}

extension LogStream {
    /// Looks at every segment of the stream. May wait for the disk. Reads no records, but of a
    /// compacted segment that was trimmed within: its headers, and a batch.
    public func info() throws(WeirError) -> StreamInfo {
        if engine.isReadOnly { try engine.refresh(open) }
        var segments: [SegmentInfo] = []
        var trimmedCount = 0
        for segment in view.segments {
            segments.append(try info(segment))
            trimmedCount += try self.trimmedCount(of: segment)
        }
        return StreamInfo(
            name: name.description, id: open.id.description, configuration: configuration,
            firstOffset: firstOffset, endOffset: endOffset, flushedEnd: view.flushedEnd,
            durableEnd: view.durableEnd, segments: segments, trimmedCount: trimmedCount)
    }

    /// The blocks of a segment that is called so: none of one that is not, or no longer, there.
    ///
    /// Reads the footer of a sealed segment, once; of an active one in a reading process, or if the
    /// footer is damaged, the headers of its batches. Throws what the medium said, `newerFormat`.
    public func blocks(ofSegment id: String) throws(WeirError) -> [BlockInfo] {
        if engine.isReadOnly { try engine.refresh(open) }
        guard let segment = view.segments.first(where: { $0.id.description == id }) else {
            return []
        }
        do throws(WeirError) {
            // A footer that was read is known when the file is gone; its blocks are not there.
            _ = try segment.file()
            return try segment.summary().index.map { block in
                let before = block.maxRecordTimeBefore
                return BlockInfo(
                    firstOffset: block.offset, appendTime: block.appendTime,
                    lastTimeBefore: before == .distantPast ? nil : before,
                    position: Int(clamping: block.position.value))
            }
        } catch {
            if error.code == .notFound { return [] }
            throw error
        }
    }

    private func trimmedCount(
        of segment: ReadableSegment<RealFileSystem>
    ) throws(WeirError) -> Int {
        do throws(WeirError) {
            return try LogSearch(view).trimmedCount(of: segment)
        } catch {
            // A compaction of another process took its file away, and it counts as missing.
            if error.code == .notFound { return 0 }
            throw error
        }
    }

    private func info(
        _ segment: ReadableSegment<RealFileSystem>
    ) throws(WeirError) -> SegmentInfo {
        let sealed = segment.sealed
        var sizes = (logical: 0, allocated: 0)
        var isMissing = false
        var summary = SegmentSummary(base: segment.base)
        do throws(WeirError) {
            let file = try segment.file()
            sizes = (
                try engine.files.size(of: file), try engine.files.allocatedBytes(of: file)
            )
            if sealed == nil { summary = try segment.summary() }
        } catch {
            // It is shown without bytes.
            if error.code != .notFound { throw error }
            isMissing = true
        }
        let recordCount = sealed?.recordCount ?? summary.recordCount
        return SegmentInfo(
            id: segment.id.description, path: segment.path, isSealed: sealed != nil,
            isMissing: isMissing, base: segment.base,
            endOffset: sealed?.endOffset ?? summary.endOffset,
            recordCount: Int(clamping: recordCount), logicalBytes: sizes.logical,
            allocatedBytes: sizes.allocated,
            rawBytes: Int(clamping: sealed?.rawBytes ?? summary.rawBytes),
            firstTime: recordCount == 0 ? nil : sealed?.minRecordTime ?? summary.minRecordTime,
            lastTime: recordCount == 0 ? nil : sealed?.maxRecordTime ?? summary.maxRecordTime)
    }
}

/// A segment's parts, one after the other, for a person who looks at damage.
public enum SegmentDump {
    /// A header, a batch, a footer, or bytes that are none of them.
    public struct Item: Sendable {
        public let isDamaged: Bool
        public let fields: [(name: String, value: String)]

        /// Where it begins in the file, in bytes.
        public var position: Int {
            fields.first { $0.name == "position" }.flatMap { Int($0.value) } ?? 0
        }
    }

    /// The size of a segment file. Throws what the system says.
    public static func byteCount(ofFileAt path: String) throws -> Int {
        let (files, name) = try place(of: path)
        let file = try files.open(name, .read)
        let size = try files.size(of: file)
        try files.close(file)
        return size
    }

    private static func place(of path: String) throws -> (RealFileSystem, name: String) {
        guard let slash = path.lastIndex(of: "/") else {
            return (try RealFileSystem.openRoot(".", creating: false), path)
        }
        let folder = slash == path.startIndex ? "/" : String(path[..<slash])
        return (
            try RealFileSystem.openRoot(folder, creating: false),
            String(path[path.index(after: slash)...])
        )
    }

    /// Calls `body` with each part of a segment file, in the order of the file.
    ///
    /// Throws `notFound`, `permissionDenied`, `invalidArgument` for a file whose name and header
    /// both are not a segment's.
    public static func forEach(inFileAt path: String, _ body: (Item) throws -> Void) throws {
        let (files, name) = try place(of: path)
        let file = try files.open(name, .read)
        let size = try files.size(of: file)
        let head = try files.read(
            file, at: .zero, byteCount: min(size, SegmentHeader.byteCountMax))
        var start = FilePosition(UInt64(SegmentHeader.alignment))
        var id = StoreLayout.parse(segmentName: name)?.id
        let first: Item
        do throws(WeirError) {
            let (header, batchesStart) = try SegmentHeader.decode(head)
            start = batchesStart
            id = id ?? header.segmentID
            first = item(header)
        } catch {
            guard id != nil else {
                throw WeirError(
                    .invalidArgument,
                    "The file is no segment: neither its name nor its beginning is one's. "
                        + error.message, at: .init(path: path))
            }
            first = Item(
                isDamaged: true, fields: [("kind", "header"), ("damage", error.message)])
        }
        try body(first)
        guard let id else { return }
        try walk(files, file, size, id, start, body)
        try files.close(file)
    }

    private static func walk(
        _ files: RealFileSystem, _ file: RealFileSystem.File, _ size: Int, _ id: SegmentID,
        _ start: FilePosition, _ body: (Item) throws -> Void
    ) throws {
        guard size > Int(clamping: start.value) else { return }
        let mapping = try files.map(file, byteCount: size)
        try mapping.populate(0..<size)
        var scanner = SegmentScanner(segment: id, position: start)
        while true {
            switch scanner.next(in: mapping.bytes) {
            case .batch(let header, let position): try body(item(header, at: position, false))
            case .damage(let range, let lost):
                if let lost {
                    try body(item(lost, at: FilePosition(range.lowerBound), true))
                } else {
                    try body(gap(range, "no valid batch header"))
                }
            case .newer(let what, let position):
                return try body(gap(position.value..<UInt64(size), "newer format: \(what)"))
            case .end(let position):
                return try rest(mapping.bytes, id, Int(clamping: position.value), body)
            }
        }
    }

    /// Behind the batches: a footer, room written ahead, or the rest of an interrupted write.
    private static func rest(
        _ bytes: RawSpan, _ id: SegmentID, _ start: Int, _ body: (Item) throws -> Void
    ) throws {
        guard start < bytes.byteCount else { return }
        let rest = unsafe bytes.extracting(start..<bytes.byteCount).withUnsafeBytes {
            unsafe Array($0)
        }
        if rest.allSatisfy({ $0 == 0 }) {
            return try body(
                Item(
                    isDamaged: false,
                    fields: [
                        ("kind", "room"), ("position", "\(start)"), ("bytes", "\(rest.count)"),
                    ]
                ))
        }
        try body(footer(rest, id, FilePosition(UInt64(start))))
    }

    private static func footer(
        _ bytes: [UInt8], _ id: SegmentID, _ position: FilePosition
    ) -> Item {
        do throws(WeirError) {
            let (footer, checksum) = try SegmentFooter.decode(bytes, segment: id, at: position)
            let summary = footer.summary
            return Item(
                isDamaged: false,
                fields: [
                    ("kind", "footer"), ("position", "\(position)"), ("bytes", "\(bytes.count)"),
                    ("checksum", "\(checksum)"), ("batches", "\(summary.batchCount)"),
                    ("records", "\(summary.recordCount)"), ("base", "\(summary.base)"),
                    ("end", "\(summary.endOffset)"), ("blocks", "\(summary.index.count)"),
                ])
        } catch {
            let range = position.value..<position.value + UInt64(bytes.count)
            return gap(range, "no batch and no footer: \(error.message)")
        }
    }

    private static func gap(_ range: Range<UInt64>, _ why: String) -> Item {
        Item(
            isDamaged: true,
            fields: [
                ("kind", "damage"), ("damage", why), ("position", "\(range.lowerBound)"),
                ("bytes", "\(range.count)"),
            ])
    }

    private static func item(_ header: SegmentHeader) -> Item {
        let starts = header.epochStarts.map { "\($0.epoch) at \($0.offset)" }
        return Item(
            isDamaged: false,
            fields: [
                ("kind", "header"), ("segment", "\(header.segmentID)"),
                ("stream", "\(header.streamID)"), ("name", "\(header.name)"),
                ("epoch", "\(header.epoch)"), ("base", "\(header.base)"),
                ("created", "\(header.creationTime)"), ("logStart", "\(header.logStart)"),
                ("generation", "\(header.generation)"),
            ] + (starts.isEmpty ? [] : [("epochs", starts.joined(separator: ", "))]))
    }

    private static func item(
        _ header: BatchHeader, at position: FilePosition, _ isDamaged: Bool
    ) -> Item {
        var fields = [
            ("kind", "\(header.kind)"), ("position", "\(position)"),
            ("bytes", "\(header.storedByteCount)"), ("first", "\(header.firstOffset)"),
            ("end", "\(header.endOffset)"), ("records", "\(header.recordCount)"),
            ("entries", "\(header.entryCount)"), ("keys", "\(header.keyedCount)"),
            ("tombstones", "\(header.tombstoneCount)"), ("body", "\(header.bodyLength)"),
            ("raw", "\(header.rawBodyLength)"), ("extension", "\(header.extensionLength)"),
            ("epoch", "\(header.epoch)"), ("durableEnd", "\(header.durableEnd)"),
            ("appended", "\(header.appendTime)"), ("minTime", "\(header.minRecordTime)"),
            ("maxTime", "\(header.maxRecordTime)"), ("bodyChecksum", "\(header.bodyChecksum)"),
        ]
        if isDamaged { fields.insert(("damage", "the body's checksum does not hold"), at: 1) }
        return Item(isDamaged: isDamaged, fields: fields)
    }
}
