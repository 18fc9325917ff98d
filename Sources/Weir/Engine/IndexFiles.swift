import WeirBase
import WeirFiles
import WeirFormat
import WeirIndex

extension IndexIdentity {
    init(store: StoreID, _ opening: EpochRecord) {
        self.init(store: store, epoch: opening.epoch, opened: opening.time)
    }
}

/// The index's files in a store's directory: which is the current one, and how it is thrown away.
struct IndexFiles: Sendable {
    let files: RealFileSystem

    /// Generations that are there, the newest last.
    func generations() throws(WeirError) -> [UInt64] {
        try files.list("").compactMap(StoreLayout.generation(indexName:)).sorted()
    }

    /// Of a file for SQLite, which would follow a link out of the store, and wait for ever at a
    /// FIFO. Throws `damaged` where something else than a file stands there, or at the names beside
    /// it: it is thrown away as any index that does not hold.
    func path(_ generation: UInt64) throws(WeirError) -> String {
        let name = StoreLayout.index(generation: generation)
        for name in [name, name + "-wal", name + "-shm"] {
            switch try files.kind(of: name) {
            case .missing, .file: break
            case .directory:
                // Whoever made it may want to keep what is in it: it is left to him.
                throw WeirError(
                    .permissionDenied, "A directory stands in the index's place; remove it.",
                    at: .init(path: name))
            case .other:
                throw WeirError.damaged("No file of the store's own stands there", path: name)
            }
        }
        return files.rootPath + "/" + name
    }

    /// Whether a writer that is gone left changes beside the file.
    func hasJournal(_ generation: UInt64) throws(WeirError) -> Bool {
        try files.list("").contains(StoreLayout.index(generation: generation) + "-wal")
    }

    /// Makes an empty file for the next generation, readable by its owner only, as SQLite makes
    /// those beside it after it.
    func create(_ generation: UInt64) throws(WeirError) {
        let file = try files.open(StoreLayout.index(generation: generation), .createExclusive)
        try files.close(file)
    }

    /// Removes every generation but one, with what SQLite left beside it.
    func remove(but kept: UInt64?) throws(WeirError) {
        try Self.remove(but: kept, files: files)
    }

    static func remove<Files: FileSystem>(
        but kept: UInt64?, files: Files
    ) throws(WeirError) {
        for name in try files.list("").sorted() {
            guard let generation = StoreLayout.generation(ofIndexFile: name), generation != kept
            else { continue }
            try files.removeFile(name)
        }
    }
}
