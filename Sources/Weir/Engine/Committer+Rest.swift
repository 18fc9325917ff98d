import Synchronization
import WeirBase
import WeirLog

/// A stream's place among those that have a file open, and how it gives that up.
extension Committer {
    /// By the leader, when a group was told.
    func noteUse() {
        if !wasUsed.load(ordering: .relaxed) { wasUsed.store(true, ordering: .relaxed) }
        guard !isCounted.load(ordering: .relaxed), writer.isAwake else { return }
        isCounted.store(true, ordering: .relaxed)
        housekeeper.openFiles.enter(self)
    }

    /// Puts the stream to rest, unless somebody leads it, or the disk keeps it from that: `false`
    /// then. May wait for the medium.
    func rest() -> Bool {
        let leads = queue.withLock { $0.queue.beginLead() }
        // A stream that has ended is led for ever, and not counted any more.
        guard leads else { return !isCounted.load(ordering: .relaxed) }
        defer { giveLeadOn() }
        do throws(WeirError) {
            try writer.rest()
        } catch {
            // Appends are told; there is nobody else to tell.
            refuseIfPoisoned()
        }
        // Synced it may be even where it could not be closed.
        watch.wake()
        tellGateEnd()
        if writer.isAwake { return false }
        isCounted.store(false, ordering: .relaxed)
        queue.withLock { $0.queue.releaseMemory() }
        return true
    }

    /// What came meanwhile is led by another thread: this one may have more streams to rest.
    private func giveLeadOn() {
        let isDone = queue.withLock { shared in
            !shared.wantsUpkeep && shared.errands.isEmpty && shared.queue.endLead()
        }
        if !isDone { pool.run { self.lead(until: nil) } }
    }
}
