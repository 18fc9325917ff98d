import WeirBase
import WeirFiles
import WeirFormat

/// The directory of a store's backups: snapshots, and the files of segments that they name.
struct BackupDirectory<Files: FileSystem> {
    /// A snapshot by its name, or why it cannot be read.
    struct Found: Sendable {
        let name: String
        let contents: Result<SnapshotFile, WeirError>

        var snapshot: SnapshotFile? {
            if case .success(let snapshot) = contents { snapshot } else { nil }
        }
    }

    let files: Files

    /// For reading. Throws `invalidArgument` for a directory that is none of backups.
    init(reading files: Files) throws(WeirError) {
        self.files = files
        guard try files.list("").contains(BackupLayout.snapshots) else {
            throw WeirError(
                .invalidArgument,
                "The directory is no backup: it has no directory \(BackupLayout.snapshots). Give "
                    + "the one that `weir backup` wrote to.")
        }
    }

    private init(files: Files) { self.files = files }

    /// For one backup at a time; makes what is missing. The lock goes when the file is closed.
    ///
    /// Throws `invalidArgument` for a directory of other things, before anything is made in it.
    static func openForWriting(
        files: Files, host: Host
    ) throws(WeirError) -> (directory: BackupDirectory, lock: Files.File) {
        let names = try files.list("")
        if let stranger = names.sorted().first(where: { !BackupLayout.own.contains($0) }) {
            let what = names.contains(StoreLayout.header) ? "a store" : "no backup"
            throw WeirError(
                .invalidArgument,
                "The directory is \(what): it holds \(stranger). Give a new or empty directory, or "
                    + "one that holds backups.")
        }
        let lock = try openOrCreate(StoreLayout.lock, files)
        guard try files.lock(lock) else {
            let note = try LockKeeper.read(files: files, file: lock)
            try files.close(lock)
            throw WeirError(
                .locked,
                "Another backup is being made in this directory by "
                    + "\(note?.description ?? "another process"); wait until it is done.")
        }
        do throws(WeirError) {
            try LockKeeper.write(files: files, file: lock, host: host)
            for name in [BackupLayout.snapshots, StoreLayout.streams] where !names.contains(name) {
                try files.createDirectory(name)
            }
            try files.syncDirectory("")
        } catch {
            try files.close(lock)
            throw error
        }
        return (BackupDirectory(files: files), lock)
    }

    private static func openOrCreate(
        _ path: String, _ files: Files
    ) throws(WeirError) -> Files.File {
        do throws(WeirError) {
            return try files.open(path, .readWrite)
        } catch {
            guard error.code == .notFound else { throw error }
            return try files.open(path, .createExclusive)
        }
    }

    // MARK: snapshots

    /// All of them, the oldest first; those that cannot be read before the others.
    func snapshots() throws(WeirError) -> [Found] {
        var found: [Found] = []
        for name in try files.list(BackupLayout.snapshots).sorted()
        where name.hasSuffix(BackupLayout.snapshotSuffix) {
            let short = String(name.dropLast(BackupLayout.snapshotSuffix.count))
            do throws(WeirError) {
                found.append(Found(name: short, contents: .success(try read(short))))
            } catch {
                found.append(Found(name: short, contents: .failure(error)))
            }
        }
        func time(_ found: Found) -> Timestamp { found.snapshot?.time ?? .distantPast }
        return found.sorted { (time($0), $0.name) < (time($1), $1.name) }
    }

    func read(_ name: String) throws(WeirError) -> SnapshotFile {
        let path = BackupLayout.snapshot(name)
        do throws(WeirError) {
            let file = try files.open(path, .read)
            let size = try files.size(of: file)
            guard size <= Limits.snapshotBytesMax else {
                throw WeirError.damaged(
                    "The snapshot has \(size) bytes; at most \(Limits.snapshotBytesMax) fit.")
            }
            let bytes = try files.read(file, at: .zero, byteCount: size)
            try files.close(file)
            return try SnapshotFile.decode(bytes)
        } catch {
            throw error.located(.init(path: path))
        }
    }

    /// The commit point of a backup: there is the whole snapshot, or none. Durable when it returns.
    func write(_ snapshot: SnapshotFile, as name: String) throws(WeirError) -> Int {
        let path = BackupLayout.snapshot(name)
        let bytes = try snapshot.encode()
        let file = try files.replace(
            path, with: bytes, beside: path + BackupLayout.unfinishedSuffix,
            in: BackupLayout.snapshots)
        try files.close(file)
        return bytes.count
    }

    func remove(snapshots names: some Collection<String>) throws(WeirError) {
        guard !names.isEmpty else { return }
        for name in names { try files.removeFile(BackupLayout.snapshot(name)) }
        // Before the files that they name: a snapshot that came back would miss them.
        try files.syncDirectory(BackupLayout.snapshots)
    }

    // MARK: segments

    /// Bytes of every segment's file.
    func segmentSizes() throws(WeirError) -> [SegmentID: Int] {
        var found: [SegmentID: Int] = [:]
        for directory in try files.list(StoreLayout.streams) {
            for name in try files.list(StoreLayout.streams + "/" + directory) {
                guard let (_, id) = StoreLayout.parse(segmentName: name) else { continue }
                let file = try files.open(
                    StoreLayout.streams + "/" + directory + "/" + name, .read)
                found[id] = try files.size(of: file)
                try files.close(file)
            }
        }
        return found
    }

    /// Removes the files that none of these snapshots names, and what was never finished. Only what
    /// a backup makes is looked at. Returns how many.
    func sweep(keeping snapshots: [SnapshotFile]) throws(WeirError) -> Int {
        var named: Set<SegmentID> = []
        for snapshot in snapshots {
            for stream in snapshot.streams { named.formUnion(stream.files.keys) }
        }
        var count = 0
        for directory in try files.list(StoreLayout.streams)
        where StreamID(hexadecimal: directory) != nil {
            let path = StoreLayout.streams + "/" + directory
            var left = try files.list(path)
            let before = left.count
            for name in left where isUnneeded(name, named) {
                try files.removeFile(path + "/" + name)
                left.removeAll { $0 == name }
            }
            count += before - left.count
            if left.isEmpty {
                try files.removeDirectory(path)
            } else if left.count < before {
                try files.syncDirectory(path)
            }
        }
        for name in try files.list(BackupLayout.snapshots)
        where name.hasSuffix(BackupLayout.snapshotSuffix + BackupLayout.unfinishedSuffix) {
            try files.removeFile(BackupLayout.snapshots + "/" + name)
        }
        return count
    }

    private func isUnneeded(_ name: String, _ named: Set<SegmentID>) -> Bool {
        let suffix = BackupLayout.unfinishedSuffix
        if name.hasSuffix(suffix) {
            return StoreLayout.parse(segmentName: String(name.dropLast(suffix.count))) != nil
        }
        guard let (_, id) = StoreLayout.parse(segmentName: name) else { return false }
        return !named.contains(id)
    }
}
