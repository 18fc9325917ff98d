import WeirBase
import WeirFiles
import WeirFormat

/// The store's own files: what makes a directory a store.
enum StoreDirectory {
    /// Names that a creation may have left when it was interrupted.
    private static let own: Set<String> = [
        StoreLayout.header, StoreLayout.header + ".new", StoreLayout.lock, StoreLayout.epochs,
        StoreLayout.tail, StoreLayout.streams, StoreLayout.control,
        StoreLayout.reserve,
    ]

    private static func isOwn(_ name: String) -> Bool {
        own.contains(name) || name.hasPrefix(StoreLayout.repairPrefix)
            || StoreLayout.generation(ofIndexFile: name) != nil
    }

    /// Takes the one lock that makes this process the writer.
    static func takeLock<Files: FileSystem>(
        files: Files, host: Host, creating: Bool
    ) throws(WeirError) -> Files.File {
        try expectStore(files: files, creating: creating)
        return try takeLock(files: files, host: host)
    }

    /// The same of a directory that is known to be a store, or to have been one.
    static func takeLock<Files: FileSystem>(
        files: Files, host: Host
    ) throws(WeirError) -> Files.File {
        var file: Files.File?
        do throws(WeirError) {
            file = try files.open(StoreLayout.lock, .readWrite)
        } catch {
            if error.code != .notFound { throw error }
        }
        let lockFile: Files.File
        if let file {
            lockFile = file
        } else {
            lockFile = try createLock(files: files)
        }
        if try files.lock(lockFile) {
            // At once: whoever comes second is told by whom the store is held.
            try LockKeeper.write(files: files, file: lockFile, host: host)
            return lockFile
        }
        let note = try LockKeeper.read(files: files, file: lockFile)
        try files.close(lockFile)
        throw WeirError(
            .locked,
            "The store is open for writing by \(note?.description ?? "another process"); wait "
                + "until it closes, or read only.")
    }

    /// Two processes may create a store at once: whoever comes second opens the first one's file.
    private static func createLock<Files: FileSystem>(
        files: Files
    ) throws(WeirError) -> Files.File {
        do throws(WeirError) {
            return try files.open(StoreLayout.lock, .createExclusive)
        } catch {
            guard error.code == .alreadyExists else { throw error }
            return try files.open(StoreLayout.lock, .readWrite)
        }
    }

    /// Refuses a directory that holds other things, before anything is written into it.
    private static func expectStore<Files: FileSystem>(
        files: Files, creating: Bool
    ) throws(WeirError) {
        let names = try files.list("")
        if names.contains(StoreLayout.header) { return }
        let strangers = names.filter { !isOwn($0) }
        if !strangers.isEmpty {
            throw WeirError(
                .invalidArgument,
                "The directory is no store: it has \(names.count) entries (\(strangers[0]) is one) "
                    + "and no file WEIR. Give a store's directory, or a new or empty one.")
        }
        if !creating {
            throw WeirError(
                .notFound, "The directory is empty, not a store; create one by creating a stream.")
        }
    }

    static func readHeader<Files: FileSystem>(files: Files) throws(WeirError) -> StoreHeader {
        let file: Files.File
        do throws(WeirError) {
            file = try files.open(StoreLayout.header, .read)
        } catch {
            guard error.code == .notFound else { throw error }
            throw WeirError(
                .invalidArgument,
                "The directory is no store: it has no file WEIR. Give a store's directory.",
                at: error.place)
        }
        let bytes = try files.read(file, at: .zero, byteCount: StoreHeader.Field.end + 1)
        try files.close(file)
        return try StoreHeader.decode(bytes)
    }

    static func readOrCreateHeader<Files: FileSystem>(
        files: Files, host: Host, creating: Bool
    ) throws(WeirError) -> StoreHeader {
        if try files.list("").contains(StoreLayout.header) { return try readHeader(files: files) }
        return try create(files: files, host: host)
    }

    /// The file WEIR comes last, by rename: there is a whole store, or none.
    private static func create<Files: FileSystem>(
        files: Files, host: Host
    ) throws(WeirError) -> StoreHeader {
        do throws(WeirError) {
            try files.createDirectory(StoreLayout.streams)
        } catch {
            if error.code != .alreadyExists { throw error }
        }
        // Before WEIR: a store that is there must have a place for its streams.
        try files.syncDirectory("")
        let header = StoreHeader(storeID: StoreID(host.random()), creationTime: host.now())
        let newPath = StoreLayout.header + ".new"
        do throws(WeirError) {
            try files.removeFile(newPath)
        } catch {
            if error.code != .notFound { throw error }
        }
        let file = try files.open(newPath, .createExclusive)
        try files.writeAll(file, header.encode(), at: .zero)
        try files.sync(file)
        try files.close(file)
        try files.rename(newPath, to: StoreLayout.header)
        try files.syncDirectory("")
        return header
    }

    /// Removes a directory and everything in it; a step that was done before is done.
    static func removeTree<Files: FileSystem>(
        _ path: String, files: Files
    ) throws(WeirError) {
        for name in try files.list(path) {
            let child = path + "/" + name
            do throws(WeirError) {
                if name == StoreLayout.quarantineName {
                    try removeTree(child, files: files)
                } else {
                    try files.removeFile(child)
                }
            } catch {
                if error.code != .notFound { throw error }
            }
        }
        try files.removeDirectory(path)
        try files.syncDirectory(StoreLayout.streams)
    }

    static func report(_ kind: DamageReport.Kind, _ path: String) -> DamageReport {
        let detail =
            switch kind {
            case .damagedEpochs: "records of earlier openings are damaged; they were stepped over"
            case .missingStoreHeader:
                "the file WEIR was missing, though there are streams; a new one was written"
            case .copiedStream:
                "a copy of another stream's directory, or one of a name that is taken; it is left"
            case .unfinishedCreation: "a directory that holds neither manifest nor segment"
            default: "a file that is no part of the store"
            }
        return DamageReport(kind: kind, stream: "", path: path, detail: detail)
    }

    /// Of a stream whose name could not be read.
    static func unreadable(_ id: StreamID, _ error: WeirError) -> DamageReport {
        DamageReport(
            kind: .unreadableStream, stream: id.description, path: StoreLayout.stream(id),
            detail: "the stream cannot be opened: \(error)")
    }
}

/// The LOCK file's content, which is for messages only.
enum LockKeeper {
    static func write<Files: FileSystem>(
        files: Files, file: Files.File, host: Host
    ) throws(WeirError) {
        let note = LockNote(
            processID: host.processID, host: host.hostName, program: host.programName,
            since: host.now())
        try files.truncate(file, to: 0)
        try files.writeAll(file, note.encode(), at: .zero)
    }

    static func read<Files: FileSystem>(
        files: Files, file: Files.File
    ) throws(WeirError) -> LockNote? {
        LockNote.decode(try files.read(file, at: .zero, byteCount: 1024))
    }

    /// Whether a writer lives.
    static func isHeld<Files: FileSystem>(files: Files) throws(WeirError) -> Bool {
        do throws(WeirError) {
            let file = try files.open(StoreLayout.lock, .read)
            let isHeld = try files.isLocked(file)
            try files.close(file)
            return isHeld
        } catch {
            if error.code == .notFound { return false }
            throw error
        }
    }
}

/// The file EPOCHS, open for the one record of this opening and the one of its close.
final class EpochFile<Files: FileSystem>: @unchecked Sendable {
    // @unchecked: changed while the store opens and while it closes, by one thread each; between
    // them writers only look.
    private let files: Files
    private let file: Files.File
    private var lastChecksum: UInt32
    private var end: Int
    /// Of the file when this process last wrote to it; rubbish behind the last record counts too.
    private var byteCount = 0
    /// Of this process, once it has written it, and the one before.
    private(set) var opening: EpochRecord?
    let previousOpening: EpochRecord?

    private init(files: Files, file: Files.File, history: EpochRecord.History) {
        self.previousOpening = history.lastOpening
        self.files = files
        self.file = file
        self.lastChecksum = history.lastChecksum
        self.end = history.end
    }

    static func open(
        files: Files
    ) throws(WeirError) -> (file: EpochFile, history: EpochRecord.History) {
        let file: Files.File
        do throws(WeirError) {
            file = try files.open(StoreLayout.epochs, .readWrite)
        } catch {
            guard error.code == .notFound else { throw error }
            file = try files.open(StoreLayout.epochs, .createExclusive)
            try files.syncDirectory("")
        }
        try files.settle(file)
        let size = try files.size(of: file)
        let history = EpochRecord.decodeAll(try files.read(file, at: .zero, byteCount: size))
        return (EpochFile(files: files, file: file, history: history), history)
    }

    /// The last opening that the file tells of, by its end alone; `nil` where it tells of none.
    static func lastOpening(files: Files) throws(WeirError) -> EpochRecord? {
        let file = try files.open(StoreLayout.epochs, .read)
        let result: Result<EpochRecord?, WeirError>
        do throws(WeirError) {
            let end = try files.size(of: file) / EpochRecord.byteCount * EpochRecord.byteCount
            let start = max(0, end - recordsAtEnd * EpochRecord.byteCount)
            let bytes = try files.read(
                file, at: FilePosition(UInt64(start)), byteCount: end - start)
            result = .success(EpochRecord.decodeAll(bytes).lastOpening)
        } catch {
            result = .failure(error)
        }
        try files.close(file)
        return try result.get()
    }

    /// The last opening and closing, and what a crash may have torn behind them.
    private static var recordsAtEnd: Int { 4 }

    /// Durable when it returns.
    func append(_ record: EpochRecord) throws(WeirError) {
        let (bytes, checksum) = record.encode(previous: lastChecksum)
        try files.writeAll(file, bytes, at: FilePosition(UInt64(end)))
        try files.sync(file)
        lastChecksum = checksum
        if record.kind == .opened { opening = record }
        end += bytes.count
        byteCount = try files.size(of: file)
    }

    /// Whoever opens the store for writing adds a record here first: a longer file has another
    /// writer in it. Throws `locked` then.
    func expectNoLater() throws(WeirError) {
        let size = try files.size(of: file)
        guard size != byteCount else { return }
        throw WeirError(
            .locked,
            "EPOCHS has \(size) bytes where this process left \(byteCount): another process became "
                + "the writer while this one stood still. Nothing more is written; close the store "
                + "and open it again.", at: .init(path: StoreLayout.epochs))
    }

    func close() throws(WeirError) { try files.close(file) }
}
