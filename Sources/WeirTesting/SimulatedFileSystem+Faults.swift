package import WeirBase
import WeirFiles

/// What may befall the disk, and what it is like afterwards.
extension SimulatedFileSystem {
    package var operationCount: Int { world.withLock { $0.operationCount } }
    package var syncCount: Int { world.withLock { $0.syncCount } }
    package var syncFailures: Int { world.withLock { $0.syncFailures } }
    package var hasStopped: Bool { world.withLock { $0.hasStopped } }

    /// The machine stops at this operation, counted from now; it may or may not take effect.
    package func stop(after operations: Int, takingEffect: Bool? = nil) {
        world.withLock { world in
            world.stopAt = world.operationCount + operations
            world.stopTakesEffect = takingEffect
        }
    }
    /// The sync so many from now fails once, and leaves the pages clean and the medium old.
    package func failSync(after syncs: Int) {
        world.withLock { $0.failingSync = $0.syncCount + syncs }
    }
    /// The write so many from now fails once, with a part of its bytes written.
    package func failWrite(after writes: Int) {
        world.withLock { $0.failingWrite = $0.writeCount + writes }
    }

    /// The medium itself changes under everybody: rot, or a write that went to the wrong place.
    package func spoil(_ path: String, at position: Int, with bytes: [UInt8]) throws(WeirError) {
        let file = try open(path, .read)
        world.withLock { _ in file.inode.spoil(bytes, at: position) }
    }

    /// `keptNames` says for each unsynced change of a name whether it is kept, a bit each; a seed
    /// decides about everything that it does not name.
    package func afterPowerLoss(seed: UInt64, keptNames: UInt64? = nil) -> SimulatedFileSystem {
        var loss = PowerLoss(random: SeededRandom(seed: seed), keptNames: keptNames)
        let root = world.withLock { $0.root.afterPowerLoss(&loss) }
        return SimulatedFileSystem(root: root, capacity: capacity, random: loss.random)
    }

    /// Changes of names that a power failure may take, each or not.
    package var unsyncedNameCount: Int { world.withLock { $0.root.pendingCount } }

    /// The same disk, for the process that comes after; unsynced bytes stay unsynced.
    package func afterKill() -> SimulatedFileSystem {
        let (root, random) = world.withLock { ($0.root, $0.random) }
        return SimulatedFileSystem(root: root, capacity: capacity, random: random)
    }
}
