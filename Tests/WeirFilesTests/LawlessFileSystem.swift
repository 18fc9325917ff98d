import WeirBase
import WeirFiles
import WeirTesting

/// What an implementation may get wrong: one law each.
enum Breach: CaseIterable {
    case missingIsFound, createdTwice, listedLate, oldNameStays, removedTwice, earlierBytesStay
    case readsBeyondTheEnd, sizeStays, endMovesBack, dataIsAHole, cutBytesComeBack
    case reservingGrows, directoryMadeTwice, fullDirectoryRemoved
    case cloneIsEmpty, cloneChanges, linkIsNowhere
    case lockGoesWithAnyClose, lockIsForAll, heldLockIsUnseen

    /// A part of the sentence that the checker says.
    var law: String {
        switch self {
        case .missingIsFound: "what is not there is not found"
        case .createdTwice: "a file is created once"
        case .listedLate: "a new file is listed at once"
        case .oldNameStays: "a renamed file has its new name only"
        case .removedTwice: "a file is removed once"
        case .earlierBytesStay: "the later over the earlier"
        case .readsBeyondTheEnd: "reading ends at the file's end"
        case .sizeStays: "a write behind the end moves it"
        case .endMovesBack: "a new file is empty"
        case .dataIsAHole: "no data is left out as a hole"
        case .cutBytesComeBack: "what was cut reads as zeros"
        case .reservingGrows: "room that is set aside leaves the size"
        case .directoryMadeTwice: "a directory is made once"
        case .fullDirectoryRemoved: "a directory with something in it is not removed"
        case .cloneIsEmpty: "a clone has the bytes"
        case .cloneChanges: "a clone stays as it was"
        case .linkIsNowhere: "a linked file has both names"
        case .lockGoesWithAnyClose: "closing another opening leaves the lock"
        case .lockIsForAll: "a second opening does not get the lock"
        case .heldLockIsUnseen: "a lock that is held is seen"
        }
    }
}

/// A file system that keeps every law but one.
struct LawlessFileSystem: FileSystem {
    typealias Base = SimulatedFileSystem
    typealias File = SimulatedFileSystem.File
    let base = SimulatedFileSystem(seed: 1)
    let breach: Breach

    /// A mistake that makes something of a refusal.
    private func forgiving(
        _ wanted: Breach, _ code: WeirError.Code, _ step: () throws(WeirError) -> Void
    ) throws(WeirError) {
        do throws(WeirError) {
            try step()
        } catch {
            guard breach == wanted, error.code == code else { throw error }
        }
    }

    func open(_ path: String, _ mode: OpenMode) throws(WeirError) -> File {
        do throws(WeirError) {
            return try base.open(path, mode)
        } catch {
            switch (breach, error.code, mode) {
            case (.missingIsFound, .notFound, .read) where path == "a":
                // Another file is opened in its place.
                let other = try base.open("other", .createExclusive)
                try base.removeFile("other")
                return other
            case (.createdTwice, .alreadyExists, .createExclusive):
                return try base.open(path, .readWrite)
            default: throw error
            }
        }
    }

    func close(_ file: File) throws(WeirError) {
        if breach == .lockGoesWithAnyClose, let holder = try holder(of: file) {
            try base.close(holder)
        }
        try base.close(file)
    }

    private let holders = Lock<[File]>([])
    private func holder(of file: File) throws(WeirError) -> File? {
        try base.isLocked(file) ? holders.withLock { $0.last } : nil
    }

    func size(of file: File) throws(WeirError) -> Int {
        let size = try base.size(of: file)
        switch breach {
        case .sizeStays: return min(size, 3)
        case .endMovesBack: return size == 0 ? 1 : size
        default: return size
        }
    }

    func allocatedBytes(of file: File) throws(WeirError) -> Int {
        try base.allocatedBytes(of: file)
    }

    func read(
        _ file: File, into buffer: UnsafeMutableRawBufferPointer, at position: FilePosition
    ) throws(WeirError) -> Int {
        let count = try base.read(file, into: buffer, at: position)
        return breach == .readsBeyondTheEnd && count > 0 ? buffer.count : count
    }

    func write(
        _ file: File, _ bytes: UnsafeRawBufferPointer, at position: FilePosition
    ) throws(WeirError) -> Int {
        let isInside = try position + bytes.count <= FilePosition(UInt64(base.size(of: file)))
        if breach == .earlierBytesStay, isInside { return bytes.count }
        // What is written to a source shows in its clone.
        for clone in clones.withLock({ $0 }) where clone.source === file {
            _ = try base.write(clone.target, bytes, at: position)
        }
        return try base.write(file, bytes, at: position)
    }

    func sync(_ file: File) throws(WeirError) { try base.sync(file) }

    func truncate(_ file: File, to size: Int) throws(WeirError) {
        // A shorter size is noted nowhere, so the old bytes show again.
        if breach == .cutBytesComeBack, size < (try base.size(of: file)) { return }
        try base.truncate(file, to: size)
    }

    func startWriting(_ file: File, from start: FilePosition, to end: FilePosition) {
        base.startWriting(file, from: start, to: end)
    }

    func reserve(_ file: File, from start: FilePosition, to end: FilePosition) -> Bool {
        guard breach == .reservingGrows else { return base.reserve(file, from: start, to: end) }
        do throws(WeirError) {
            try base.truncate(file, to: Int(end.value))
            return true
        } catch {
            return false
        }
    }

    func dropCache(_ file: File) throws(WeirError) { try base.dropCache(file) }

    func nextData(
        in file: File, from position: FilePosition
    ) throws(WeirError) -> FilePosition? {
        breach == .dataIsAHole ? nil : try base.nextData(in: file, from: position)
    }

    func map(_ file: File, byteCount: Int) throws(WeirError) -> Mapping {
        try base.map(file, byteCount: byteCount)
    }

    func mapForPublishing(_ file: File, byteCount: Int) throws(WeirError) -> Mapping {
        try base.mapForPublishing(file, byteCount: byteCount)
    }

    func clone(_ source: File, into target: File) -> Bool {
        guard breach == .cloneChanges else { return breach == .cloneIsEmpty }
        do throws(WeirError) {
            let bytes = try base.read(source, at: .zero, byteCount: 1 << 10)
            try base.writeAll(target, bytes, at: .zero)
            clones.withLock { $0.append((source, target)) }
            return true
        } catch {
            return false
        }
    }
    private let clones = Lock<[(source: File, target: File)]>([])

    func link(
        _ source: String, of other: LawlessFileSystem, as target: String
    ) throws(WeirError) -> Bool { breach == .linkIsNowhere }

    func createDirectory(_ path: String) throws(WeirError) {
        try forgiving(.directoryMadeTwice, .alreadyExists) { () throws(WeirError) in
            try base.createDirectory(path)
        }
    }

    func list(_ path: String) throws(WeirError) -> [String] {
        let names = try base.list(path)
        switch breach {
        case .listedLate: return names.filter { $0 != "a" }
        case .oldNameStays: return names == ["b"] ? ["a", "b"] : names
        default: return names
        }
    }

    func rename(_ source: String, to target: String) throws(WeirError) {
        try base.rename(source, to: target)
    }

    func removeFile(_ path: String) throws(WeirError) {
        try forgiving(.removedTwice, .notFound) { () throws(WeirError) in
            try base.removeFile(path)
        }
    }

    func removeDirectory(_ path: String) throws(WeirError) {
        if breach == .fullDirectoryRemoved {
            // What was in it is still found, so that only this law is broken.
            return
        }
        try base.removeDirectory(path)
    }

    func syncDirectory(_ path: String) throws(WeirError) { try base.syncDirectory(path) }

    func lock(_ file: File) throws(WeirError) -> Bool {
        let isTaken = try base.lock(file)
        if isTaken { holders.withLock { $0.append(file) } }
        return isTaken || breach == .lockIsForAll
    }

    func isLocked(_ file: File) throws(WeirError) -> Bool {
        try breach == .heldLockIsUnseen ? false : base.isLocked(file)
    }
}
