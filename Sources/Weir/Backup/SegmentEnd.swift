import WeirBase
import WeirFiles
import WeirFormat
import WeirRecovery

/// Where a segment is cut so that it ends at a limit, and what is written behind that.
struct SegmentEnd: Sendable {
    /// Up to here the bytes stay as they are.
    private(set) var keptEnd: FilePosition
    /// The rest of a batch that the limit goes through.
    private(set) var rewritten: [UInt8] = []
    /// Behind the last record.
    private(set) var endOffset: Offset
    private(set) var hasRecords = false

    private init(start: FilePosition, base: Offset) {
        keptEnd = start
        endOffset = base
    }

    /// Costs a read of the segment's bytes before `byteCount`.
    ///
    /// What is damaged stays; a damaged batch that the limit goes through does not.
    static func find<Files: FileSystem>(
        _ limit: RestorePlan.Limit, in file: Files.File, _ entry: SegmentEntry, byteCount: Int,
        path: String, files: Files
    ) throws(WeirError) -> SegmentEnd {
        let start = FilePosition(UInt64(SegmentHeader.alignment))
        var found = SegmentEnd(start: start, base: entry.base)
        let size = min(byteCount, try files.size(of: file))
        guard size > Int(clamping: start.value) else { return found }
        let batchesEnd = min(size, Int(clamping: entry.sealed?.batchesEnd.value ?? .max))
        try ScannedSegment.withBytes(
            of: file, byteCount: batchesEnd, dataEnd: batchesEnd, path, files
        ) { (bytes: RawSpan) throws(WeirError) in
            do throws(WeirError) {
                try found.walk(bytes, entry.id, limit)
            } catch {
                throw error.located(.init(path: path))
            }
        }
        return found
    }

    private mutating func walk(
        _ bytes: RawSpan, _ segment: SegmentID, _ limit: RestorePlan.Limit
    ) throws(WeirError) {
        var scanner = SegmentScanner(segment: segment, position: keptEnd)
        while true {
            switch scanner.next(in: bytes) {
            case .batch(let header, let position):
                if limit.cuts(header) {
                    return try cut(
                        header, bytes, BatchPlace(segment: segment, position: position), limit)
                }
                take(header, end: position + header.storedByteCount)
            case .damage(let range, let lost):
                guard let lost else { continue }
                if limit.cuts(lost) { return }
                take(lost, end: FilePosition(range.upperBound))
            case .newer(let what, let position):
                throw WeirError.newerFormat(
                    "Byte \(position) of a segment has \(what); use a newer version of Weir.")
            case .end: return
            }
        }
    }

    private mutating func take(_ header: BatchHeader, end: FilePosition) {
        guard header.kind == .records else { return }
        keptEnd = end
        endOffset = max(endOffset, header.endOffset)
        hasRecords = true
    }

    private mutating func cut(
        _ header: BatchHeader, _ bytes: RawSpan, _ place: BatchPlace, _ limit: RestorePlan.Limit
    ) throws(WeirError) {
        guard case .offset(let offset) = limit, header.firstOffset < offset else { return }
        let start = Int(clamping: place.position.value)
        // Behind what is kept: padding before the batch would only be in the way.
        let head = try BatchCut.head(
            of: header, in: bytes.extracting(start..<start + header.storedByteCount),
            before: offset, at: BatchPlace(segment: place.segment, position: keptEnd))
        guard !head.bytes.isEmpty else { return }
        rewritten = head.bytes
        endOffset = max(endOffset, head.endOffset)
        hasRecords = true
    }
}
