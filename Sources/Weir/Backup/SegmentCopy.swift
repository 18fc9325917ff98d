import WeirBase
import WeirFiles
import WeirFormat
import WeirRecovery

/// Moves a segment's bytes from one directory to another, and sums them up on the way.
///
///     copy     a whole file, under an unfinished name; renamed when it is synced
///     extend   the rest behind bytes that are there already
///
/// A crash leaves earlier files as they were: an unfinished name nobody looks at, and behind the
/// bytes that a snapshot names nobody reads.
struct SegmentCopy<Files: FileSystem> {
    enum Sharing: Sendable {
        case none
        /// Blocks, where the file system can.
        case blocks
        /// The file itself, where the file system can; else blocks.
        case file
    }
    struct Result: Sendable {
        var stored: StoredSegment
        var bytesWritten = 0
        /// Not written, since the file system shares them.
        var bytesShared = 0
    }

    let source: Files
    let target: Files
    /// Told how many bytes were done; `false` ends the copy.
    let advance: (Int) -> Bool

    /// Puts the first `byteCount` bytes of a file in another's place. Synced when it returns; the
    /// name is durable after a sync of its directory.
    func copy(
        _ file: Files.File, _ sourcePath: String, byteCount: Int, to path: String,
        sharing: Sharing
    ) throws(WeirError) -> Result {
        let unfinished = path + BackupLayout.unfinishedSuffix
        do throws(WeirError) {
            try target.removeFile(unfinished)
        } catch {
            if error.code != .notFound { throw error }
        }
        if case .file = sharing, try source.size(of: file) == byteCount,
            try target.link(sourcePath, of: source, as: unfinished)
        {
            try target.rename(unfinished, to: path)
            let checksum = try checksum(of: file, in: source, byteCount: byteCount)
            return Result(
                stored: StoredSegment(byteCount: UInt64(byteCount), checksum: checksum),
                bytesShared: byteCount)
        }
        let created = try target.open(unfinished, .createExclusive)
        do throws(WeirError) {
            let result = try fill(created, from: file, byteCount: byteCount, sharing)
            try target.sync(created)
            try target.close(created)
            try target.rename(unfinished, to: path)
            return result
        } catch {
            _ = discard(created, unfinished)
            throw error
        }
    }

    private func fill(
        _ created: Files.File, from file: Files.File, byteCount: Int, _ sharing: Sharing
    ) throws(WeirError) -> Result {
        var isShared = false
        if case .none = sharing {
        } else if try source.size(of: file) == byteCount {
            isShared = target.clone(file, into: created)
        }
        if isShared {
            let checksum = try checksum(of: file, in: source, byteCount: byteCount)
            return Result(
                stored: StoredSegment(byteCount: UInt64(byteCount), checksum: checksum),
                bytesShared: byteCount)
        }
        let checksum = try write(file, 0..<byteCount, to: created, seed: 0)
        return Result(
            stored: StoredSegment(byteCount: UInt64(byteCount), checksum: checksum),
            bytesWritten: byteCount)
    }

    /// The room goes back. `false` where not even that goes; what is told is the first error.
    private func discard(_ file: Files.File, _ path: String) -> Bool {
        do throws(WeirError) {
            try target.close(file)
            try target.removeFile(path)
            return true
        } catch {
            return false
        }
    }

    /// How a file stands to its copy.
    enum Likeness: Sendable {
        /// It begins with all that the copy has.
        case same
        /// It has the copy's batches where they were. Its header was made anew, or it was sealed
        /// anew, or bytes in which no batch stands were cut.
        case mended
        case other
    }

    func likeness(
        of file: Files.File, to known: StoredSegment, _ segment: SegmentID, _ path: String,
        byteCount: Int
    ) throws(WeirError) -> Likeness {
        let start = Int(clamping: known.byteCount)
        if byteCount >= start,
            try checksum(of: file, in: source, byteCount: start) == known.checksum
        {
            return .same
        }
        let copy = try target.open(path, .read)
        let isMended: Bool
        do throws(WeirError) {
            let batches = try self.batches(of: copy, segment, path, byteCount: start)
            if batches.upperBound <= byteCount {
                let copied = try checksum(of: copy, in: target, batches)
                isMended = try checksum(of: file, in: source, batches) == copied
            } else {
                isMended = false
            }
        } catch {
            try target.close(copy)
            throw error
        }
        try target.close(copy)
        return isMended ? .mended : .other
    }

    /// Where a copy's batches are: from behind its header to where the last good one ends.
    private func batches(
        of copy: Files.File, _ segment: SegmentID, _ path: String, byteCount: Int
    ) throws(WeirError) -> Range<Int> {
        let start = SegmentHeader.alignment
        var end = start
        guard byteCount > start else { return start..<end }
        try ScannedSegment.withBytes(
            of: copy, byteCount: byteCount, dataEnd: byteCount, path, target
        ) { (bytes: RawSpan) throws(WeirError) in
            var scanner = SegmentScanner(
                segment: segment, position: FilePosition(UInt64(start)))
            while true {
                switch scanner.next(in: bytes) {
                case .batch(let header, let position) where header.kind == .records:
                    end = Int(clamping: (position + header.storedByteCount).value)
                case .batch, .damage: continue
                // Nobody knows what stands there, so it has to be the same.
                case .newer:
                    end = byteCount
                    return
                case .end: return
                }
            }
        }
        return start..<end
    }

    /// Adds what a file has more than its copy, up to `byteCount`. Synced when it returns.
    func extend(
        _ path: String, having known: StoredSegment, from file: Files.File, to byteCount: Int
    ) throws(WeirError) -> Result {
        let start = Int(clamping: known.byteCount)
        let copy = try target.open(path, .readWrite)
        let checksum: UInt32
        do throws(WeirError) {
            // What an interrupted backup left behind the bytes that are known.
            try target.truncate(copy, to: start)
            checksum = try write(file, start..<byteCount, to: copy, seed: known.checksum)
            try target.sync(copy)
        } catch {
            _ = cutBack(copy, to: start)
            throw error
        }
        try target.close(copy)
        return Result(
            stored: StoredSegment(byteCount: UInt64(byteCount), checksum: checksum),
            bytesWritten: byteCount - start)
    }

    /// As `discard`, for a file that keeps its beginning.
    private func cutBack(_ file: Files.File, to byteCount: Int) -> Bool {
        do throws(WeirError) {
            try target.truncate(file, to: byteCount)
            try target.close(file)
            return true
        } catch {
            return false
        }
    }

    private func write(
        _ file: Files.File, _ range: Range<Int>, to copy: Files.File, seed: UInt32
    ) throws(WeirError) -> UInt32 {
        try read(file, in: source, range, seed: seed) { bytes, position throws(WeirError) in
            try target.writeAll(copy, bytes, at: position)
        }
    }

    func checksum(
        of file: Files.File, in files: Files, byteCount: Int
    ) throws(WeirError) -> UInt32 {
        try checksum(of: file, in: files, 0..<byteCount)
    }

    private func checksum(
        of file: Files.File, in files: Files, _ range: Range<Int>
    ) throws(WeirError) -> UInt32 {
        try read(file, in: files, range, seed: 0) { _, _ throws(WeirError) in }
    }

    /// Reads a range in pieces and sums it up.
    private func read(
        _ file: Files.File, in files: Files, _ range: Range<Int>, seed: UInt32,
        _ take: ([UInt8], FilePosition) throws(WeirError) -> Void
    ) throws(WeirError) -> UInt32 {
        var checksum = seed
        var position = range.lowerBound
        while position < range.upperBound {
            let place = FilePosition(UInt64(position))
            let bytes = try files.read(
                file, at: place, byteCount: min(Limits.copyBytes, range.upperBound - position))
            guard !bytes.isEmpty else {
                throw WeirError.damaged(
                    "A segment ends at byte \(position) where \(range.upperBound) were there a "
                        + "moment ago")
            }
            checksum = crc32c(bytes, seed: checksum)
            try take(bytes, place)
            position += bytes.count
            guard advance(bytes.count) else {
                throw WeirError(.closed, "The work was ended by whoever asked for it.")
            }
        }
        return checksum
    }
}
