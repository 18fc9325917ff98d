import Foundation
public import WeirBase
import WeirFiles
import WeirFormat

extension Store {
    /// Told how many bytes of how many are done; `false` ends the work with the error `closed`.
    public typealias BackupProgress = @Sendable (_ done: Int, _ total: Int) -> Bool

    /// Makes a backup of the whole store in a directory, beside whoever writes, in this process or
    /// another.
    ///
    /// ```swift
    /// let report = try await store.backup(to: "/mnt/backups/orders", options: .init(keep: 7))
    /// print(report.snapshot.name, report.bytesWritten)
    /// ```
    ///
    /// Each stream is backed up to where it is durable when the backup begins; cursors are read
    /// first, so that none stands behind its stream's end. Sealed segments are written once, and
    /// share their blocks with the store where the file system can; of an active one only what is
    /// new since the last backup is written. Every checksum of what is copied is proven; what is
    /// damaged is reported, and copied as it is. The index is not backed up: it is made anew.
    ///
    /// The directory is made if it is missing. Whatever goes wrong, a crash and power loss among
    /// it, the snapshots in it stay whole, and the new one is there whole or not at all; when the
    /// call returns it survives power loss. Throws `invalidArgument` for a directory inside the
    /// store, of other things, or of another store's backups; `locked` while another backup is
    /// made there; `noSpace`, `permissionDenied`, `notFound` where the directory went away.
    ///
    /// Costs a read of what is new, and one of each active segment.
    public func backup(
        to path: String, options: BackupOptions = BackupOptions(),
        progress: @escaping BackupProgress = { _, _ in true }
    ) async throws -> BackupReport {
        try await waiters.call { () throws(WeirError) in
            try self.backupBlocking(to: path, options: options, progress: progress)
        }
    }

    /// As `backup`, and blocks the thread.
    public func backupBlocking(
        to path: String, options: BackupOptions = BackupOptions(),
        progress: @escaping BackupProgress = { _, _ in true }
    ) throws(WeirError) -> BackupReport {
        if let keep = options.keep, keep < 1 {
            throw WeirError(
                .invalidArgument, "\(keep) snapshots are to stay; expected one at least.")
        }
        let inside = Self.resolved(self.path)
        guard !(Self.resolved(path) + "/").hasPrefix(inside + "/") else {
            throw WeirError(
                .invalidArgument,
                "The backup would stand inside the store that it is of; give a directory outside "
                    + "of \(self.path), better on another disk.", at: .init(path: path))
        }
        do throws(WeirError) {
            let target = try RealFileSystem.openRoot(path, creating: true)
            return try BackupRun.run(
                source: engine.files, target: target, host: engine.host, options: options,
                progress: progress)
        } catch {
            throw Self.told(error, ofBackupAt: path)
        }
    }

    /// A file that is missing in the backup's directory, which this process made: it went away.
    private static func told(_ error: WeirError, ofBackupAt path: String) -> WeirError {
        let isThere = FileManager.default.fileExists(atPath: path + "/" + BackupLayout.snapshots)
        guard error.code == .notFound, error.place?.path?.hasPrefix(path + "/") == true, !isThere
        else { return error.located(.init(path: path)) }
        return WeirError(
            .notFound,
            "The backup's directory went away while it was written to, and no snapshot was made; "
                + "bring it back and run the backup again.", at: .init(path: path),
            cause: error.cause, errno: error.errno)
    }

    /// A path without links; of one that does not exist yet, its directory's.
    private static func resolved(_ path: String) -> String {
        let url = URL(fileURLWithPath: path).standardizedFileURL
        if FileManager.default.fileExists(atPath: url.path) {
            return url.resolvingSymlinksInPath().path
        }
        return url.deletingLastPathComponent().resolvingSymlinksInPath()
            .appendingPathComponent(url.lastPathComponent).path
    }

    /// The backups in a directory, the oldest first; those that cannot be read say why.
    ///
    /// Throws `notFound`, or `invalidArgument` for a directory that holds no backups.
    public static func backups(at path: String) throws(WeirError) -> [BackupSnapshot] {
        try openBackup(path).snapshots().map { BackupSnapshot(name: $0.name, $0.contents) }
    }

    static func openBackup(
        _ path: String
    ) throws(WeirError) -> BackupDirectory<RealFileSystem> {
        do throws(WeirError) {
            return try BackupDirectory(
                reading: try RealFileSystem.openRoot(path, creating: false))
        } catch {
            guard error.code == .notFound else { throw error.located(.init(path: path)) }
            throw WeirError(
                .notFound, "There is no backup at \(path); check the path.", errno: error.errno)
        }
    }
}
