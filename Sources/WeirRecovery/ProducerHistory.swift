import WeirBase
import WeirFiles
import WeirFormat

/// What the footer of a recovered segment says of producers: those of the footer before it, and of
/// every batch that is kept.
extension StreamRecovery {
    /// Up to the end of a segment that is kept up to `end`. Where that may not be all, the doubt
    /// says why.
    func producers(
        of scan: ScannedSegment, keptTo end: FilePosition, _ file: Files.File, _ path: String
    ) throws(WeirError) -> ToldProducers {
        var told = try producers(before: scan.base)
        if scan.hasExtensions {
            try Self.walk(file, scan.id, scan.batchesStart..<end, path, files, &told.table)
        }
        return told
    }

    /// Up to where a segment begins. A footer that does not hold is made up for by the batches
    /// before it, as `LogView` does it.
    private func producers(before base: Offset) throws(WeirError) -> ToldProducers {
        var told = ToldProducers()
        var walked: [(entry: SegmentEntry, end: FilePosition)] = []
        var missed: [(entry: SegmentEntry, doubt: WeirError)] = []
        var hasBeginning = false
        for entry in state.segments.reversed() where entry.base < base {
            guard let sealed = entry.sealed else { continue }
            do throws(WeirError) {
                if let rows = try rows(of: entry) {
                    told.table = ProducerTable(rows)
                    hasBeginning = true
                    break
                }
                // Its batches are not all that it told of, even where its footer holds.
                if entry.generation > 0 { missed.append((entry, untold(entry))) }
            } catch {
                guard error.isOfOneSegment else { throw error }
                missed.append((entry, error))
            }
            walked.append((entry, sealed.batchesEnd))
        }
        hasBeginning = hasBeginning || walked.last.map { $0.entry.base == .zero } ?? true
        for (entry, end) in walked.reversed() {
            do throws(WeirError) {
                try walk(entry, to: end, &told.table)
            } catch {
                guard error.isOfOneSegment else { throw error }
                told.note(error)
            }
        }
        for (entry, doubt) in missed where entry.generation > 0 || !hasBeginning {
            told.note(doubt)
        }
        return told
    }

    /// As a segment's footer says; `nil` where it does not tell. Throws where it does not hold.
    private func rows(of entry: SegmentEntry) throws(WeirError) -> [ProducerRow]? {
        let path = path(of: entry)
        let file = try files.open(path, .read)
        let size = try files.size(of: file)
        let found = try ManifestLoader.readFooter(file, size, entry.id, files)
        try files.close(file)
        if let found { return found.0.producers }
        throw untold(entry)
    }

    private func untold(_ entry: SegmentEntry) -> WeirError {
        WeirError.damaged(
            "The footer does not tell of producers, and what it said of them may stand nowhere "
                + "else", path: path(of: entry))
    }

    private func path(of entry: SegmentEntry) -> String {
        directory.segments[entry.id].map { directory.path($0.name) }
            ?? StoreLayout.segment(directory.id, entry.id, base: entry.base)
    }

    private func walk(
        _ entry: SegmentEntry, to end: FilePosition, _ table: inout ProducerTable
    ) throws(WeirError) {
        let path = path(of: entry)
        let file = try files.open(path, .read)
        let start = FilePosition(UInt64(SegmentHeader.alignment))
        try Self.walk(file, entry.id, start..<max(start, end), path, files, &table)
        try files.close(file)
    }

    private static func walk(
        _ file: Files.File, _ id: SegmentID, _ range: Range<FilePosition>, _ path: String,
        _ files: Files, _ table: inout ProducerTable
    ) throws(WeirError) {
        let end = min(Int(clamping: range.upperBound.value), try files.size(of: file))
        guard end > Int(clamping: range.lowerBound.value) else { return }
        var found = table
        try ScannedSegment.withBytes(of: file, byteCount: end, dataEnd: end, path, files) {
            (bytes: RawSpan) throws(WeirError) in
            var scanner = SegmentScanner(segment: id, position: range.lowerBound)
            while true {
                switch scanner.next(in: bytes) {
                case .batch(let header, let position):
                    guard header.extensionLength > 0 else { continue }
                    let start = Int(clamping: position.value) + BatchHeader.byteCount
                    let sections = bytes.extracting(start..<start + header.extensionLength)
                    for row in BatchExtension.producers(in: sections) { found.note(row) }
                case .damage: continue
                // A newer batch was refused by the scan before.
                case .newer, .end: return
                }
            }
        }
        table = found
    }
}
