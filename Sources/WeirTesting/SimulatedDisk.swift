import WeirBase

/// A file's bytes, twice: as the page cache has them, and as they are on the medium.
///
/// Which sectors differ is noted by the writes, with the bytes that a write changed: after power
/// loss each such sector is old, new, or rubbish in just those bytes.
@safe
final class SimulatedInode: @unchecked Sendable {
    // @unchecked: one trial, one thread; the file system's lock guards the rest.
    static let sectorBytes = 512
    let capacity: Int
    let cached: UnsafeMutableRawPointer
    private let medium: UnsafeMutableRawPointer
    var size = 0
    var mediumSize = 0
    private var prepared = 0
    /// Sector to the bytes of it that unsynced writes changed.
    private(set) var dirty: [Int: Range<Int>] = [:]
    /// Sectors whose sync failed: clean in the cache, old on the medium.
    private var forgotten: Set<Int> = []

    init(capacity: Int) {
        self.capacity = capacity
        unsafe cached = .allocate(byteCount: capacity, alignment: 4096)
        unsafe medium = .allocate(byteCount: capacity, alignment: 4096)
    }

    /// Zeros up to a place; most files never need most of their room.
    func prepare(to end: Int) {
        guard end > prepared else { return }
        let target = min(capacity, max(end, prepared + 4096))
        unsafe (cached + prepared).initializeMemory(
            as: UInt8.self, repeating: 0, count: target - prepared)
        unsafe (medium + prepared).initializeMemory(
            as: UInt8.self, repeating: 0, count: target - prepared)
        prepared = target
    }

    deinit {
        unsafe cached.deallocate()
        unsafe medium.deallocate()
    }

    func write(_ bytes: UnsafeRawBufferPointer, at position: Int) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        prepare(to: (position / Self.sectorBytes + 1) * Self.sectorBytes + bytes.count)
        unsafe (cached + position).copyMemory(from: source, byteCount: bytes.count)
        size = max(size, position + bytes.count)
        note(position..<position + bytes.count)
    }

    /// Changes cache and medium alike.
    func spoil(_ bytes: [UInt8], at position: Int) {
        for (index, byte) in bytes.enumerated() where position + index < size {
            unsafe cached.storeBytes(of: byte, toByteOffset: position + index, as: UInt8.self)
            unsafe medium.storeBytes(of: byte, toByteOffset: position + index, as: UInt8.self)
        }
    }

    func note(_ range: Range<Int>) {
        var start = range.lowerBound
        while start < range.upperBound {
            let sector = start / Self.sectorBytes
            let end = min(range.upperBound, (sector + 1) * Self.sectorBytes)
            let known = dirty[sector] ?? start..<end
            dirty[sector] = min(known.lowerBound, start)..<max(known.upperBound, end)
            forgotten.remove(sector)
            start = end
        }
    }

    func truncate(to newSize: Int) {
        if newSize < size {
            unsafe (cached + newSize).initializeMemory(
                as: UInt8.self, repeating: 0, count: size - newSize)
            note(newSize..<size)
        }
        prepare(to: newSize)
        size = newSize
    }

    func sync() {
        for (sector, _) in dirty { unsafe copy(sector, from: cached, to: medium) }
        dirty.removeAll(keepingCapacity: true)
        mediumSize = size
    }

    /// As ext4 does: the pages are clean now, the cache has the new bytes, the medium the old.
    func failSync() {
        forgotten.formUnion(dirty.keys)
        dirty.removeAll(keepingCapacity: true)
    }

    /// What is clean is read from the medium again.
    func dropCache() {
        for sector in forgotten { unsafe copy(sector, from: medium, to: cached) }
        if !forgotten.isEmpty { size = mediumSize }
        forgotten.removeAll()
    }

    private func copy(
        _ sector: Int, from source: UnsafeMutableRawPointer, to target: UnsafeMutableRawPointer
    ) {
        let start = sector * Self.sectorBytes
        let count = min(Self.sectorBytes, prepared - start)
        unsafe (target + start).copyMemory(from: source + start, byteCount: count)
    }

    /// What the medium may hold after power loss, as a new file.
    func afterPowerLoss(_ loss: inout PowerLoss) -> SimulatedInode {
        let new = SimulatedInode(capacity: capacity)
        new.prepare(to: prepared)
        unsafe new.medium.copyMemory(from: medium, byteCount: max(size, mediumSize))
        for sector in dirty.keys.sorted() {
            guard let changed = dirty[sector] else { continue }
            switch loss.random.below(8) {
            case 0...2: break
            case 3...5:
                unsafe (new.medium + changed.lowerBound).copyMemory(
                    from: cached + changed.lowerBound, byteCount: changed.count)
            case 6:
                unsafe (new.medium + changed.lowerBound).initializeMemory(
                    as: UInt8.self, repeating: 0, count: changed.count)
            default:
                for place in changed {
                    let byte = UInt8(truncatingIfNeeded: loss.random.next())
                    unsafe new.medium.storeBytes(of: byte, toByteOffset: place, as: UInt8.self)
                }
            }
        }
        switch loss.random.below(3) {
        case 0: new.size = mediumSize
        case 1: new.size = size
        default:
            let low = min(size, mediumSize)
            new.size = low + loss.random.below(max(size, mediumSize) - low + 1)
        }
        // Beyond its end a file has nothing.
        unsafe (new.medium + new.size).initializeMemory(
            as: UInt8.self, repeating: 0, count: new.prepared - new.size)
        unsafe new.cached.copyMemory(from: new.medium, byteCount: new.prepared)
        new.mediumSize = new.size
        return new
    }
}

/// What a power failure takes, as a seed has it.
struct PowerLoss {
    var random: SeededRandom
    /// Which of the unsynced changes of names are kept, a bit each in the order in which they are
    /// met; by chance where it is `nil`.
    var keptNames: UInt64?
    private(set) var nameCount = 0

    init(random: SeededRandom, keptNames: UInt64? = nil) {
        self.random = random
        self.keptNames = keptNames
    }

    mutating func keepsName() -> Bool {
        defer { nameCount += 1 }
        guard let keptNames else { return random.oneIn(2) }
        return nameCount < 64 && keptNames >> UInt64(nameCount) & 1 == 1
    }
}

/// A directory: its names as the system shows them, and as they are on the medium.
final class SimulatedDirectory: @unchecked Sendable {
    // @unchecked: as the inode.
    enum Node {
        case file(SimulatedInode)
        case directory(SimulatedDirectory)
    }
    enum Change {
        case add(String, Node)
        case remove(String)
        case rename(String, String, Node)
    }
    var names: [String: Node] = [:]
    var mediumNames: [String: Node] = [:]
    var pending: [Change] = []

    func perform(_ change: Change) {
        Self.apply(change, to: &names)
        pending.append(change)
    }

    func sync() {
        for change in pending { Self.apply(change, to: &mediumNames) }
        pending.removeAll()
    }

    /// Changes of names here and below that are not synced.
    var pendingCount: Int {
        names.values.reduce(pending.count) { sum, node in
            guard case .directory(let directory) = node else { return sum }
            return sum + directory.pendingCount
        }
    }

    private static func apply(_ change: Change, to names: inout [String: Node]) {
        switch change {
        case .add(let name, let node): names[name] = node
        case .remove(let name): names[name] = nil
        case .rename(let source, let target, let node):
            names[source] = nil
            names[target] = node
        }
    }

    /// Each unsynced change was kept or lost, independently of the others.
    func afterPowerLoss(_ loss: inout PowerLoss) -> SimulatedDirectory {
        var kept = mediumNames
        for change in pending where loss.keepsName() { Self.apply(change, to: &kept) }
        let new = SimulatedDirectory()
        for name in kept.keys.sorted() {
            switch kept[name] {
            case .file(let inode): new.names[name] = .file(inode.afterPowerLoss(&loss))
            case .directory(let directory):
                new.names[name] = .directory(directory.afterPowerLoss(&loss))
            case nil: break
            }
        }
        new.mediumNames = new.names
        return new
    }
}
