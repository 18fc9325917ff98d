package import WeirBase
package import WeirFiles

extension WeirError.Code {
    /// The simulated machine stopped in the middle of an operation.
    package static let machineStopped = WeirError.Code("machineStopped")
}

/// A disk in memory whose crashes are legal: what a real one may hold after power loss, so may it.
///
/// Every operation is counted. `stop(at:)` lets the machine stop at one of them; `afterPowerLoss`
/// then gives *a* disk that power loss may have left, chosen by a seed, and `afterKill` the one
/// that the death of the process leaves. A model for this is pebble's strict in-memory file system.
package final class SimulatedFileSystem: FileSystem {
    package final class File: @unchecked Sendable {
        // @unchecked: both fields change under the file system's lock only.
        let inode: SimulatedInode
        let path: String
        var isLocked = false
        init(inode: SimulatedInode, path: String) {
            self.inode = inode
            self.path = path
        }
    }

    struct World {
        var root: SimulatedDirectory
        var operationCount = 0
        var syncCount = 0
        var stopAt: Int?
        /// Whether the operation at which it stops takes effect; by chance where it is `nil`.
        var stopTakesEffect: Bool?
        var hasStopped = false
        var failingSync: Int?
        var syncFailures = 0
        var writeCount = 0
        var failingWrite: Int?
        var lockedPaths: Set<ObjectIdentifier> = []
        var random: SeededRandom
        /// Pages of all maps count as vanished.
        var losesPages = false
        var isMemoryShort = false
        /// No map's pages can be brought into memory.
        var refusesPages = false
        /// What was read or brought in, if somebody asked for it.
        var touched: [Touch]?
    }

    /// Bytes of a file that were read, or brought into memory through a map.
    package struct Touch: Sendable, Hashable {
        package let path: String
        package let bytes: Range<Int>
    }
    let capacity: Int
    let world: Lock<World>

    /// `capacity`: bytes that a file can have; a longer one meets a full disk.
    package init(seed: UInt64, capacity: Int = 192 << 10) {
        self.capacity = capacity
        world = Lock(World(root: SimulatedDirectory(), random: SeededRandom(seed: seed)))
    }

    init(root: SimulatedDirectory, capacity: Int, random: SeededRandom) {
        self.capacity = capacity
        world = Lock(World(root: root, random: random))
    }

    /// Whether pages are told to be in memory.
    package func shortenMemory(_ isShort: Bool) { world.withLock { $0.isMemoryShort = isShort } }
    /// From now on, or no longer, pages count as vanished under all maps; copies are as they were.
    package func losePages(_ isLosing: Bool) { world.withLock { $0.losesPages = isLosing } }
    /// From now on, or no longer, maps are given and no page of theirs is brought into memory: a
    /// kernel before 5.14.
    package func refusePages(_ isRefusing: Bool) {
        world.withLock { $0.refusesPages = isRefusing }
    }

    /// What was read or brought in since the last call; the first call begins the record.
    package func takeTouched() -> [Touch] {
        world.withLock { world in
            defer { world.touched = [] }
            return world.touched ?? []
        }
    }

    private enum Kind { case other, write, sync }

    /// Counts an operation and performs it, unless the machine stops at it or the fault is due.
    private func operate<Result>(
        _ kind: Kind = .other, path: String,
        _ body: (inout World) throws(WeirError) -> Result
    ) throws(WeirError) -> Result {
        try world.withLock { world throws(WeirError) in
            if world.hasStopped { throw Self.stopped(path) }
            world.operationCount += 1
            if kind == .sync { world.syncCount += 1 }
            if kind == .write { world.writeCount += 1 }
            if world.operationCount == world.stopAt {
                world.hasStopped = true
                if world.stopTakesEffect ?? world.random.oneIn(2) { _ = try body(&world) }
                throw Self.stopped(path)
            }
            return try body(&world)
        }
    }

    private static func stopped(_ path: String) -> WeirError {
        WeirError(.machineStopped, "The simulated machine stopped.", at: .init(path: path))
    }

    static func fail(_ code: WeirError.Code, _ what: String, _ path: String) -> WeirError {
        WeirError(code, "Simulated: \(what) \(path)", at: .init(path: path), errno: 5)
    }

    // MARK: names

    private func directory(
        _ path: some StringProtocol, _ world: World
    ) throws(WeirError) -> SimulatedDirectory {
        var current = world.root
        for component in path.split(separator: "/") {
            guard case .directory(let next)? = current.names[String(component)] else {
                throw Self.fail(.notFound, "there is no directory", String(path))
            }
            current = next
        }
        return current
    }

    private func parent(
        _ path: String, _ world: World
    ) throws(WeirError) -> (SimulatedDirectory, String) {
        guard let slash = path.lastIndex(of: "/") else { return (world.root, path) }
        let name = String(path[path.index(after: slash)...])
        return (try directory(path[..<slash], world), name)
    }

    package func open(_ path: String, _ mode: OpenMode) throws(WeirError) -> File {
        try operate(path: path) { world throws(WeirError) in
            let (directory, name) = try parent(path, world)
            switch (directory.names[name], mode) {
            case (.file(let inode)?, .read), (.file(let inode)?, .readWrite):
                return File(inode: inode, path: path)
            case (.some, .createExclusive):
                throw Self.fail(.alreadyExists, "there is already", path)
            case (nil, .createExclusive):
                let inode = SimulatedInode(capacity: capacity)
                directory.perform(.add(name, .file(inode)))
                return File(inode: inode, path: path)
            case (.directory?, _):
                throw Self.fail(.permissionDenied, "this is no regular file:", path)
            case (nil, _):
                throw Self.fail(.notFound, "there is no file", path)
            }
        }
    }

    package func createDirectory(_ path: String) throws(WeirError) {
        try operate(path: path) { world throws(WeirError) in
            let (directory, name) = try parent(path, world)
            guard directory.names[name] == nil else {
                throw Self.fail(.alreadyExists, "there is already", path)
            }
            directory.perform(.add(name, .directory(SimulatedDirectory())))
        }
    }

    package func list(_ path: String) throws(WeirError) -> [String] {
        try operate(path: path) { world throws(WeirError) in
            Array(try directory(path, world).names.keys)
        }
    }

    package func rename(_ source: String, to target: String) throws(WeirError) {
        try operate(path: source) { world throws(WeirError) in
            let (directory, name) = try parent(source, world)
            let (_, targetName) = try parent(target, world)
            guard let node = directory.names[name] else {
                throw Self.fail(.notFound, "there is no file", source)
            }
            directory.perform(.rename(name, targetName, node))
        }
    }

    package func removeFile(_ path: String) throws(WeirError) {
        try operate(path: path) { world throws(WeirError) in
            let (directory, name) = try parent(path, world)
            guard case .file? = directory.names[name] else {
                throw Self.fail(.notFound, "there is no file", path)
            }
            directory.perform(.remove(name))
        }
    }

    package func removeDirectory(_ path: String) throws(WeirError) {
        try operate(path: path) { world throws(WeirError) in
            let (directory, name) = try parent(path, world)
            guard case .directory(let child)? = directory.names[name] else {
                throw Self.fail(.notFound, "there is no directory", path)
            }
            guard child.names.isEmpty else {
                throw Self.fail(.system, "not empty:", path)
            }
            directory.perform(.remove(name))
        }
    }

    package func syncDirectory(_ path: String) throws(WeirError) {
        try operate(path: path) { world throws(WeirError) in try directory(path, world).sync() }
    }

    // MARK: files

    package func close(_ file: File) throws(WeirError) {
        // Not counted: nothing on the disk depends on it.
        world.withLock { world in
            if file.isLocked { world.lockedPaths.remove(ObjectIdentifier(file.inode)) }
            file.isLocked = false
        }
    }

    package func size(of file: File) throws(WeirError) -> Int {
        world.withLock { _ in file.inode.size }
    }

    package func allocatedBytes(of file: File) throws(WeirError) -> Int {
        roundUp(try size(of: file))
    }

    private func roundUp(_ size: Int) -> Int { (size + 511) / 512 * 512 }

    package func read(
        _ file: File, into buffer: UnsafeMutableRawBufferPointer, at position: FilePosition
    ) throws(WeirError) -> Int {
        try operate(path: file.path) { world throws(WeirError) in
            let start = Int(clamping: position.value)
            let count = min(buffer.count, max(0, file.inode.size - start))
            world.touched?.append(Touch(path: file.path, bytes: start..<start + count))
            if count > 0, let target = buffer.baseAddress {
                unsafe target.copyMemory(from: file.inode.cached + start, byteCount: count)
            }
            return count
        }
    }

    /// Often short, so that every caller shows that it goes on.
    package func write(
        _ file: File, _ bytes: UnsafeRawBufferPointer, at position: FilePosition
    ) throws(WeirError) -> Int {
        try operate(.write, path: file.path) { world throws(WeirError) in
            let start = Int(clamping: position.value)
            guard start + bytes.count <= capacity else {
                throw Self.fail(.noSpace, "no room in", file.path)
            }
            let isFailing = world.writeCount == world.failingWrite
            let isShort = isFailing || (bytes.count > 1 && world.random.oneIn(16))
            let count =
                isShort ? world.random.below(bytes.count) + (isFailing ? 0 : 1) : bytes.count
            unsafe file.inode.write(
                UnsafeRawBufferPointer(rebasing: bytes[..<count]), at: start)
            if isFailing { throw Self.fail(.noSpace, "no space for", file.path) }
            return count
        }
    }

    package func sync(_ file: File) throws(WeirError) {
        try operate(.sync, path: file.path) { world throws(WeirError) in
            if world.syncCount == world.failingSync {
                world.syncFailures += 1
                file.inode.failSync()
                throw Self.fail(.system, "the sync failed of", file.path)
            }
            file.inode.sync()
        }
    }

    package func truncate(_ file: File, to size: Int) throws(WeirError) {
        try operate(path: file.path) { _ throws(WeirError) in
            guard size <= capacity else { throw Self.fail(.noSpace, "no room in", file.path) }
            file.inode.truncate(to: size)
        }
    }

    /// Any unsynced byte may be on the medium as it is.
    package func startWriting(
        _ file: File, from start: FilePosition, to end: FilePosition
    ) {}

    package func reserve(
        _ file: File, from start: FilePosition, to end: FilePosition
    ) -> Bool {
        Int(clamping: end.value) <= capacity
    }

    package func dropCache(_ file: File) throws(WeirError) {
        try operate(path: file.path) { _ throws(WeirError) in file.inode.dropCache() }
    }

    package func nextData(
        in file: File, from position: FilePosition
    ) throws(WeirError) -> FilePosition? {
        // A block of zeros is a hole, as far as anybody can see.
        world.withLock { _ in
            var place = Int(clamping: position.value)
            while place < file.inode.size {
                let end = min(file.inode.size, place / 4096 * 4096 + 4096)
                let block = unsafe UnsafeRawBufferPointer(
                    start: file.inode.cached + place, count: end - place)
                if unsafe block.contains(where: { $0 != 0 }) {
                    return FilePosition(UInt64(place))
                }
                place = end
            }
            return nil
        }
    }

    package func map(_ file: File, byteCount: Int) throws(WeirError) -> Mapping {
        let inode = file.inode
        // A map reaches beyond the end, and what is seen there is zeros.
        inode.prepare(to: min(byteCount, capacity))
        return unsafe Mapping(
            base: UnsafeRawPointer(inode.cached), byteCount: byteCount,
            operations: MappingOperations(
                unmap: { _, _ in withExtendedLifetime(inode) {} },
                populate: { [world] (_, range, _) throws(WeirError) in
                    let isRefused = world.withLock { world in
                        if !world.refusesPages {
                            world.touched?.append(Touch(path: file.path, bytes: range))
                        }
                        return world.refusesPages
                    }
                    if isRefused { return 0 }
                    if range.lowerBound > inode.size {
                        throw Self.fail(.system, "beyond the end of", file.path)
                    }
                    return range.upperBound
                },
                isInMemory: { [world] _, _ in world.withLock { !$0.isMemoryShort } },
                lostPages: { [world] _, _ in world.withLock { $0.losesPages } },
                publish: { [world] _, bytes, position, wordPosition in
                    world.withLock { _ in
                        unsafe inode.write(bytes, at: position)
                        let word = unsafe inode.cached.loadUnaligned(
                            fromByteOffset: wordPosition, as: UInt32.self)
                        unsafe inode.cached.storeBytes(
                            of: word &+ 1, toByteOffset: wordPosition, as: UInt32.self)
                        inode.note(wordPosition..<wordPosition + 4)
                    }
                },
                wait: { _, _, _, _ in }))
    }

    package func mapForPublishing(_ file: File, byteCount: Int) throws(WeirError) -> Mapping {
        try map(file, byteCount: byteCount)
    }

    package func lock(_ file: File) throws(WeirError) -> Bool {
        world.withLock { world in
            guard world.lockedPaths.insert(ObjectIdentifier(file.inode)).inserted else {
                return file.isLocked
            }
            file.isLocked = true
            return true
        }
    }

    package func isLocked(_ file: File) throws(WeirError) -> Bool {
        world.withLock { $0.lockedPaths.contains(ObjectIdentifier(file.inode)) }
    }
}
