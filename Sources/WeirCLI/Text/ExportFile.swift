import Foundation
import Weir

/// Where an export goes: standard output, or a file that bears its name only when it is whole.
///
///     NAME.partial   locked while it is written; what an interruption leaves, for --resume
///     NAME           the same file, renamed when everything in it is on the medium
///     NAME.sha256    of text: its checksum, there just before NAME is
final class ExportFile {
    let output: StandardOutput
    private let descriptor: Int32
    /// `nil` for standard output.
    private let path: String?

    private var partial: String { ExportFile.partial(path ?? "") }
    static func partial(_ path: String) -> String { path + ".partial" }

    /// Throws `alreadyExists` where the file is there, or what an interrupted export left is and
    /// `isResuming` is not wanted, or sums of other files are where its checksum would be; `locked`
    /// while somebody else writes it; `permissionDenied`.
    init(_ path: String?, isResuming: Bool, isSummed: Bool) throws {
        self.path = path == "-" ? nil : path
        guard let path = self.path else {
            descriptor = 1
            output = StandardOutput()
            return
        }
        try ExportFile.expectFree(path)
        if isSummed { try ChecksumFile.expectReplaceable(beside: path) }
        let partial = ExportFile.partial(path)
        let creation = isResuming ? O_CREAT : O_CREAT | O_EXCL
        descriptor = unsafe open(partial, O_RDWR | O_CLOEXEC | creation, 0o600)
        guard descriptor >= 0 else { throw ExportFile.refused(path) }
        output = StandardOutput(
            descriptor: descriptor, name: partial,
            advice: "make room, and go on with the same command and --resume")
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw WeirError(
                .locked,
                "Another export writes \(partial) at this moment; wait for it, or choose another "
                    + "name.")
        }
        // Whoever had the lock may have finished meanwhile: then this is its file.
        try ExportFile.expectFree(path)
    }

    private static func expectFree(_ path: String) throws(WeirError) {
        guard unsafe access(path, F_OK) != 0 else {
            throw WeirError(
                .alreadyExists,
                "The file \(path) exists; remove it, or choose another name for the export.")
        }
    }

    deinit { if descriptor > 1 { close(descriptor) } }

    private static func refused(_ path: String) -> WeirError {
        let partial = partial(path)
        guard errno == EEXIST else {
            return WeirError(
                errno == EACCES || errno == EPERM ? .permissionDenied : .system,
                "The file \(partial) cannot be made: \(systemMessage()); give a place where you "
                    + "may write.", errno: errno)
        }
        return WeirError(
            .alreadyExists,
            "The file \(partial) is there from an export that was interrupted; go on with it by "
                + "--resume, or remove it.")
    }

    /// What is there, from the beginning.
    func source() throws(WeirError) -> InputSource? {
        path == nil ? nil : try InputSource(path: partial)
    }

    /// So many bytes of what is there, before a place; fewer where there are no more.
    func bytes(before end: Int, _ count: Int) throws(WeirError) -> [UInt8] {
        let start = max(0, end - count)
        var bytes = [UInt8](repeating: 0, count: end - start)
        let found = unsafe pread(descriptor, &bytes, bytes.count, off_t(start))
        guard found >= 0 else { throw failed("reading", partial) }
        return Array(bytes.prefix(found))
    }

    /// Drops what is behind `byteCount`, and goes on there.
    func goOn(at byteCount: Int) throws(WeirError) {
        guard path != nil else { return }
        guard ftruncate(descriptor, off_t(byteCount)) == 0,
            lseek(descriptor, off_t(byteCount), SEEK_SET) >= 0
        else { throw failed("cutting", partial) }
    }

    /// From here on a checksum is kept of all that the file has, the first `byteCount` bytes too.
    func sumUp(behind byteCount: Int) throws {
        guard path != nil else { return }
        var (digest, left) = (SHA256(), byteCount)
        let source = left > 0 ? try source() : nil
        while left > 0, let piece = try source?.piece() {
            digest.add(Array(piece.prefix(left)))
            left -= piece.count
        }
        output.digest = digest
    }

    /// Everything is there: syncs it, and gives it its name.
    func finish() throws {
        try output.flush()
        guard let path else { return }
        guard fsync(descriptor) == 0 else { throw failed("syncing", partial) }
        try expectOwn()
        let digest = output.digest
        if let digest {
            try writeChecksum(ChecksumFile.line(digest.finish(), of: path), of: path)
        }
        guard unsafe rename(partial, path) == 0 else {
            let failure = failed("renaming", partial)
            // A checksum without its file would be one of whatever comes to bear the name.
            if digest != nil { _ = unsafe unlink(ChecksumFile.path(of: path)) }
            throw failure
        }
        try syncFolder(of: path)
    }

    /// Throws `notFound` where another file, or none, has the name of what was written.
    private func expectOwn() throws(WeirError) {
        var (written, found) = (stat(), stat())
        let isThere = unsafe fstat(descriptor, &written) == 0 && stat(partial, &found) == 0
        guard isThere, written.st_ino == found.st_ino, written.st_dev == found.st_dev else {
            throw WeirError(
                .notFound,
                "The file \(partial) was removed or replaced while it was written, and what was "
                    + "exported is gone with it; export anew.")
        }
    }

    /// Durable before the file bears its name: what is left of an older one never lies beside it.
    private func writeChecksum(_ line: String, of path: String) throws {
        let beside = ChecksumFile.path(of: path)
        let unfinished = ExportFile.partial(beside)
        let created = unsafe open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard created >= 0 else { throw failed("making", unfinished) }
        defer { close(created) }
        let text = StandardOutput(
            descriptor: created, name: unfinished,
            advice: "make room, and go on with the same command and --resume")
        try text.write { $0 += Array(line.utf8) }
        try text.flush()
        guard fsync(created) == 0 else { throw failed("syncing", unfinished) }
        guard unsafe rename(unfinished, beside) == 0 else { throw failed("renaming", unfinished) }
        try syncFolder(of: path)
    }

    private func syncFolder(of path: String) throws(WeirError) {
        let folder = unsafe open(
            URL(filePath: path).deletingLastPathComponent().path, O_RDONLY | O_CLOEXEC)
        defer { if folder >= 0 { close(folder) } }
        guard folder >= 0, fsync(folder) == 0 else { throw failed("syncing the folder of", path) }
    }

    private func failed(_ what: String, _ name: String) -> WeirError {
        WeirError(
            .system,
            "The \(what) of \(name) failed: \(systemMessage()); go on with the same command and "
                + "--resume.", errno: errno)
    }
}
