import WeirBase
import WeirFiles
import WeirFormat

/// What the footer of a recovered segment says of producers: those of the footer before it, and of
/// every batch that is kept.
extension StreamRecovery {
    /// Up to the end of a segment that is kept up to `end`.
    func producers(
        of scan: ScannedSegment, keptTo end: FilePosition, _ file: Files.File, _ path: String
    ) throws(WeirError) -> [ProducerRow] {
        var table = try producers(before: scan.base)
        if scan.hasExtensions {
            try Self.walk(file, scan.id, scan.batchesStart..<end, path, files, &table)
        }
        return table.rows
    }

    /// Up to where a segment begins. A footer that is lost or does not hold is made up for by the
    /// batches before it; a segment that cannot be read tells nothing, as its records are lost.
    private func producers(before base: Offset) throws(WeirError) -> ProducerTable {
        var table = ProducerTable()
        var walked: [(entry: SegmentEntry, name: String, end: FilePosition)] = []
        for entry in state.segments.reversed() where entry.base < base {
            guard let sealed = entry.sealed, let found = directory.segments[entry.id] else {
                continue
            }
            if let footer = try footer(of: entry.id, found.name) {
                table = ProducerTable(footer.producers)
                break
            }
            walked.append((entry, found.name, sealed.batchesEnd))
        }
        for (entry, name, end) in walked.reversed() {
            let path = directory.path(name)
            do throws(WeirError) {
                let file = try files.open(path, .read)
                let start = FilePosition(UInt64(SegmentHeader.alignment))
                try Self.walk(file, entry.id, start..<max(start, end), path, files, &table)
                try files.close(file)
            } catch {
                guard Self.isLoss(error) else { throw error }
            }
        }
        return table
    }

    private func footer(
        of id: SegmentID, _ name: String
    ) throws(WeirError) -> SegmentFooter? {
        do throws(WeirError) {
            let file = try files.open(directory.path(name), .read)
            let size = try files.size(of: file)
            let found = try ManifestLoader.readFooter(file, size, id, files)
            try files.close(file)
            return found?.0
        } catch {
            guard Self.isLoss(error) else { throw error }
            return nil
        }
    }

    private static func isLoss(_ error: WeirError) -> Bool {
        [.notFound, .damaged, .system].contains(error.code)
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
