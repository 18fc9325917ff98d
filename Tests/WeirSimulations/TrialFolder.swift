import Foundation
import WeirBase
import WeirFiles
import WeirFormat
import WeirTesting

/// A store's real folder, in memory where the system has such a place, for a simulated disk and the
/// index beside it.
final class TrialFolder {
    let store: String
    var index: String { store + "/" + StoreLayout.index(generation: 1) }
    private static let memory = "/dev/shm"

    init() {
        let isThere = FileManager.default.fileExists(atPath: Self.memory)
        store =
            (isThere ? Self.memory + "/" : NSTemporaryDirectory()) + "weir-trial-"
            + UUID().uuidString
    }

    deinit { remove() }

    private func remove() {
        do {
            try FileManager.default.removeItem(atPath: store)
        } catch {
            // Never made: nothing to remove.
        }
    }

    func empty() throws {
        remove()
        try FileManager.default.createDirectory(
            atPath: store, withIntermediateDirectories: false)
    }

    /// The index's files as they are now.
    func image() throws -> IndexImage {
        IndexImage(main: contents(""), log: contents("-wal"))
    }

    private func contents(_ companion: String) -> [UInt8]? {
        FileManager.default.contents(atPath: index + companion).map { Array($0) }
    }

    func put(_ image: IndexImage) throws {
        try removeIndex()
        let files = [("", image.main), ("-wal", image.log), ("-shm", image.shared)]
        for (companion, bytes) in files {
            if let bytes { try Data(bytes).write(to: URL(filePath: index + companion)) }
        }
    }

    func removeIndex() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: store)
        where name.hasPrefix("index-") {
            try FileManager.default.removeItem(atPath: store + "/" + name)
        }
    }

    /// Everything that a simulated disk holds.
    func write(_ disk: SimulatedFileSystem, folder: String = "") throws {
        for name in try disk.list(folder) {
            let path = folder.isEmpty ? name : folder + "/" + name
            let target = store + "/" + path
            do {
                let file = try disk.open(path, .read)
                let bytes = try disk.read(file, at: .zero, byteCount: try disk.size(of: file))
                try disk.close(file)
                try Data(bytes).write(to: URL(filePath: target))
            } catch let error as WeirError {
                guard error.code == .permissionDenied else { throw error }
                try FileManager.default.createDirectory(
                    atPath: target, withIntermediateDirectories: false)
                try write(disk, folder: path)
            }
        }
    }
}
