import Foundation
public import WeirBase
import WeirFiles
import WeirFormat

extension Store {
    /// Makes a new store of a backup.
    ///
    /// ```swift
    /// let report = try await Store.restore(
    ///     from: "/mnt/backups/orders", to: "orders.weir",
    ///     options: .init(streams: ["orders"], end: .offset(120_000)))
    /// ```
    ///
    /// The store has an id of its own; its streams have the names, settings, offsets and cursors
    /// of the source. Every file is held against the checksum in the snapshot. What is missing or
    /// altered is reported, and everything else is restored.
    ///
    /// With an end, what stands there and behind it stays behind, to the record: a batch that the
    /// end goes through is written anew. The next append takes the offset that is free then.
    ///
    /// The store is made under the name `PATH.restoring` and renamed when it is whole and synced: a
    /// crash leaves a store or none, and the next restore removes the rest. Throws `alreadyExists`
    /// where something stands at `path`; `notFound` for a backup, snapshot or stream that is not
    /// there; `invalidArgument` for an end that the snapshot does not reach; `damaged`,
    /// `newerFormat`, `noSpace`, `permissionDenied`.
    ///
    /// Costs a copy of what is restored, or a read of it where the file system shares blocks.
    public static func restore(
        from backup: String, to path: String, options: RestoreOptions = RestoreOptions(),
        progress: @escaping BackupProgress = { _, _ in true }
    ) async throws -> RestoreReport {
        let pool = ThreadPool(countMax: 1)
        defer { pool.end() }
        return try await pool.call { () throws(WeirError) in
            try restoreBlocking(from: backup, to: path, options: options, progress: progress)
        }
    }

    /// As `restore`, and blocks the thread.
    public static func restoreBlocking(
        from backup: String, to path: String, options: RestoreOptions = RestoreOptions(),
        progress: @escaping BackupProgress = { _, _ in true }
    ) throws(WeirError) -> RestoreReport {
        let directory = try openBackup(backup)
        let name = try snapshotName(options.snapshot, directory, backup)
        let plan: RestorePlan
        do throws(WeirError) {
            plan = try RestorePlan(
                try directory.read(name), called: name, names: options.streams,
                limit: options.end)
        } catch {
            throw error.located(.init(path: backup))
        }
        let url = URL(fileURLWithPath: path).standardizedFileURL
        let parent = try RealFileSystem.openRoot(
            url.deletingLastPathComponent().path, creating: false)
        try expectFree(url.lastPathComponent, parent, path)
        var report = try restore(
            plan, directory, url.lastPathComponent, in: parent, progress)
        report.snapshot = name
        return report
    }

    private static func expectFree(
        _ name: String, _ parent: RealFileSystem, _ path: String
    ) throws(WeirError) {
        guard try parent.list("").contains(name) else { return }
        throw WeirError(
            .alreadyExists,
            "Something stands at \(path) already, and a restore overwrites nothing; give a path "
                + "where there is nothing, or move away what is there.")
    }

    /// The one that was asked for, or else the newest that there is.
    private static func snapshotName(
        _ wanted: String?, _ directory: BackupDirectory<RealFileSystem>, _ backup: String
    ) throws(WeirError) -> String {
        let found = try directory.snapshots()
        if let wanted {
            guard found.contains(where: { $0.name == wanted }) else {
                throw WeirError(
                    .notFound,
                    "The backup has no snapshot \(wanted); `weir backup \(backup) --list` tells "
                        + "which there are.", at: .init(path: backup))
            }
            return wanted
        }
        // One that cannot be read may be the newest: whoever restores an older one says so.
        for one in found {
            guard case .failure(let error) = one.contents else { continue }
            throw WeirError(
                error.code,
                "The snapshot \(one.name) cannot be read, and it may be the newest; name the one "
                    + "to restore. \(error.message)", at: error.place)
        }
        guard let newest = found.last else {
            throw WeirError(
                .notFound, "The backup has no snapshot yet; no backup to it came to its end.",
                at: .init(path: backup))
        }
        return newest.name
    }

    /// Under another name beside it, so that nobody meets half a store.
    private static func restore(
        _ plan: RestorePlan, _ directory: BackupDirectory<RealFileSystem>, _ name: String,
        in parent: RealFileSystem, _ progress: @escaping BackupProgress
    ) throws(WeirError) -> RestoreReport {
        let unfinished = name + ".restoring"
        let separator = parent.rootPath.hasSuffix("/") ? "" : "/"
        let path = parent.rootPath + separator
        let target = try openUnfinished(path + unfinished)
        do throws(WeirError) {
            return try RestoreRun.run(
                plan, from: directory.files, into: target, host: .system(), progress: progress
            ) { () throws(WeirError) in
                try expectFree(name, parent, path + name)
                try parent.rename(unfinished, to: name)
                try parent.syncDirectory("")
            }
        } catch {
            guard error.code != .locked else {
                throw WeirError(
                    .locked,
                    "Another restore is under way to \(path + name), by \(keeper(of: target)); "
                        + "wait until it is done, or give another path.")
            }
            guard error.code != .notFound || isThere(unfinished, in: parent) else {
                throw WeirError(
                    .notFound,
                    "The folder \(path + unfinished), in which the store was being made, went away "
                        + "meanwhile; nothing was restored. Run the restore again.",
                    errno: error.errno)
            }
            _ = isRemoved(unfinished, in: parent)
            throw error
        }
    }

    /// Who has the lock, as far as its file tells.
    private static func keeper(of target: RealFileSystem) -> String {
        let unknown = "another process"
        do throws(WeirError) {
            let file = try target.open(StoreLayout.lock, .read)
            let note = try LockKeeper.read(files: target, file: file)
            try target.close(file)
            return note?.description ?? unknown
        } catch {
            // It may be done by now, and its lock is gone.
            return unknown
        }
    }

    /// The folder in which the store is made, new, or with what a restore that died left in it.
    private static func openUnfinished(_ path: String) throws(WeirError) -> RealFileSystem {
        let target: RealFileSystem?
        do throws(WeirError) {
            target = try RealFileSystem.openRoot(path, creating: true)
        } catch {
            guard error.errno == ENOTDIR else { throw error }
            target = nil
        }
        let names = try target?.list("")
        if let target, let names, names.isEmpty || names.contains(StoreLayout.lock) {
            return target
        }
        throw WeirError(
            .alreadyExists,
            "The new store is made at \(path) until it is whole, and something else stands there; "
                + "move it away, or give another path.")
    }

    /// `true` where that cannot be told: then the error speaks for itself.
    private static func isThere(_ name: String, in parent: RealFileSystem) -> Bool {
        do throws(WeirError) {
            return try parent.list("").contains(name)
        } catch {
            return true
        }
    }

    /// `false` where it is not empty: the next restore removes it, and what is told is the error.
    private static func isRemoved(_ name: String, in parent: RealFileSystem) -> Bool {
        do throws(WeirError) {
            try parent.removeDirectory(name)
            return true
        } catch {
            return false
        }
    }
}
