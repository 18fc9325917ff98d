import WeirBase
import WeirFiles
import WeirFormat

/// Copies of what recovery cut or found corrupt, each with a note that says why.
///
/// The name tells segment and bytes, so that repeating a recovery finds the copy there already.
struct Quarantine<Files: FileSystem> {
    let files: Files
    let stream: StreamID

    /// Copies a range; when it returns, the copy is durable.
    func keep(
        _ range: Range<UInt64>, of file: Files.File, segment: SegmentID, why: String
    ) throws(WeirError) {
        let directory = StoreLayout.quarantine(stream)
        do throws(WeirError) {
            try files.createDirectory(directory)
            try files.syncDirectory(StoreLayout.stream(stream))
        } catch {
            if error.code != .alreadyExists { throw error }
        }
        let name = "\(directory)/\(segment)-\(range.lowerBound)-\(range.upperBound)"
        let note = Array(
            "segment \(segment), bytes \(range.lowerBound) to \(range.upperBound): \(why)\n".utf8)
        try write(name + ".note", size: note.count) { _ throws(WeirError) in note }
        try write(name + ".bytes", size: Int(range.count)) { done throws(WeirError) in
            try files.read(
                file, at: FilePosition(range.lowerBound) + done,
                byteCount: min(1 << 20, Int(range.count) - done))
        }
        try files.syncDirectory(directory)
    }

    /// Writes a file in pieces; one that an interrupted recovery began is begun again.
    private func write(
        _ path: String, size: Int, _ piece: (Int) throws(WeirError) -> [UInt8]
    ) throws(WeirError) {
        let target: Files.File
        do throws(WeirError) {
            target = try files.open(path, .createExclusive)
        } catch {
            if error.code != .alreadyExists { throw error }
            target = try files.open(path, .readWrite)
        }
        var done = 0
        while done < size {
            let bytes = try piece(done)
            if bytes.isEmpty { break }
            try files.writeAll(target, bytes, at: FilePosition(UInt64(done)))
            done += bytes.count
        }
        try files.sync(target)
        try files.close(target)
    }
}
