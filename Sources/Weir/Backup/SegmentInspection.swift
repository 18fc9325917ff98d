import WeirBase
import WeirFiles
import WeirFormat
import WeirRecovery

/// A walk over a segment before it is copied: every checksum, and where what is durable ends.
struct SegmentInspection: Sendable {
    /// Where a copy ends. `nil`: nothing in an unsealed segment is durable.
    private(set) var end: FilePosition?
    private(set) var damage: [DamageReport] = []

    private let entry: SegmentEntry
    private let durableEnd: Offset
    private let stream: StreamName
    private let path: String
    private var found: Offset

    private init(_ entry: SegmentEntry, _ durableEnd: Offset, _ stream: StreamName, _ path: String)
    {
        self.entry = entry
        self.durableEnd = durableEnd
        self.stream = stream
        self.path = path
        self.found = entry.base
    }

    /// `limit` is how far the file may be looked at. Costs a read of all before it.
    ///
    /// Throws `newerFormat` for an unsealed segment whose end cannot be told, and what the medium
    /// said. Damage is a finding.
    static func inspect<Files: FileSystem>(
        _ file: Files.File, _ entry: SegmentEntry, to limit: FilePosition, durableEnd: Offset,
        of stream: StreamName, path: String, files: Files
    ) throws(WeirError) -> SegmentInspection {
        var found = SegmentInspection(entry, durableEnd, stream, path)
        let size = min(try files.size(of: file), Int(clamping: limit.value))
        let head = try files.read(
            file, at: .zero, byteCount: min(size, SegmentHeader.byteCountMax))
        let start = try found.header(head)
        if let sealed = entry.sealed { try found.footer(file, size, sealed, files) }
        let batchesEnd = min(size, Int(clamping: entry.sealed?.batchesEnd.value ?? limit.value))
        if batchesEnd > Int(clamping: start.value) {
            try ScannedSegment.withBytes(
                of: file, byteCount: batchesEnd, dataEnd: batchesEnd, path, files
            ) { (bytes: RawSpan) throws(WeirError) in
                try found.walk(bytes, from: start)
            }
        }
        found.noteMissing(from: batchesEnd)
        if entry.sealed != nil { found.end = FilePosition(UInt64(size)) }
        return found
    }

    private mutating func header(_ head: [UInt8]) throws(WeirError) -> FilePosition {
        do throws(WeirError) {
            return try SegmentHeader.decode(head).batchesStart
        } catch {
            if error.code == .newerFormat { throw error.located(.init(path: path)) }
            report(.damagedSegmentHeader, nil, error.message)
            return FilePosition(UInt64(SegmentHeader.alignment))
        }
    }

    private mutating func footer<Files: FileSystem>(
        _ file: Files.File, _ size: Int, _ sealed: SealedSegment, _ files: Files
    ) throws(WeirError) {
        let bytes = try files.read(
            file, at: sealed.batchesEnd,
            byteCount: min(
                Limits.footerBytesMax, max(0, FilePosition(UInt64(size)) - sealed.batchesEnd)))
        do throws(WeirError) {
            let (_, checksum) = try SegmentFooter.decode(
                bytes, segment: entry.id, at: sealed.batchesEnd)
            if checksum == sealed.footerChecksum { return }
            report(.damagedFooter, nil, "the footer is not the one that the manifest names")
        } catch {
            if error.code == .newerFormat { return }
            report(.damagedFooter, nil, "the footer does not hold")
        }
    }

    private mutating func walk(_ bytes: RawSpan, from start: FilePosition) throws(WeirError) {
        var scanner = SegmentScanner(segment: entry.id, position: start)
        while true {
            switch scanner.next(in: bytes) {
            case .batch(let header, let position):
                guard take(header, end: position + header.storedByteCount) else { return }
            case .damage(let range, let lost):
                if let lost, !take(lost, end: FilePosition(range.upperBound)) { return }
                let offsets = lost.map { $0.firstOffset.value..<$0.endOffset.value }
                report(.damagedBatches, range, "a batch is damaged", offsets)
            case .newer(let what, let position):
                // Sealed: it is copied whole, whatever stands in it.
                if entry.sealed != nil { return }
                throw WeirError.newerFormat(
                    "Byte \(position) of \(path) has \(what); use a newer version of Weir.")
            case .end(let position):
                noteRest(bytes, from: position)
                return
            }
        }
    }

    /// `false` for a batch that is not durable: with it the copy ends.
    private mutating func take(_ header: BatchHeader, end position: FilePosition) -> Bool {
        guard entry.sealed == nil else {
            found = max(found, header.endOffset)
            return true
        }
        guard header.endOffset <= durableEnd else { return false }
        // A marker may be written and not synced, though everything before it is.
        if header.kind == .records, header.recordCount > 0 {
            found = max(found, header.endOffset)
            end = position
        }
        return true
    }

    /// Bytes in which a batch should stand; an unsealed segment is copied up to where it may be
    /// looked at then, and otherwise has room there that was written ahead.
    private mutating func noteRest(_ bytes: RawSpan, from position: FilePosition) {
        let isShort = entry.sealed == nil && found < durableEnd
        guard position.value < UInt64(bytes.byteCount), isShort || entry.sealed != nil
        else { return }
        let range = position.value..<UInt64(bytes.byteCount)
        if isShort { end = FilePosition(range.upperBound) }
        report(.damagedBatches, range, "no batch stands there", missing)
    }

    private var missing: Range<UInt64>? {
        let wanted = entry.sealed?.endOffset ?? durableEnd
        return found < wanted ? found.value..<wanted.value : nil
    }

    /// A file that ends before its batches do.
    private mutating func noteMissing(from size: Int) {
        let limit = entry.sealed?.batchesEnd.value ?? 0
        let isCut = UInt64(size) < limit || entry.sealed == nil && found < durableEnd
        guard isCut, damage.last?.bytes?.upperBound != UInt64(size) else { return }
        if entry.sealed == nil { end = FilePosition(UInt64(size)) }
        report(.damagedBatches, UInt64(size)..<max(limit, UInt64(size)), "the file ends", missing)
    }

    private mutating func report(
        _ kind: DamageReport.Kind, _ bytes: Range<UInt64>?, _ detail: String,
        _ offsets: Range<UInt64>? = nil
    ) {
        damage.append(
            DamageReport(
                kind: kind, stream: stream.description, path: path, bytes: bytes, offsets: offsets,
                detail: detail + "; it is copied as it is"))
    }
}
