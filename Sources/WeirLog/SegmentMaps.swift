import Synchronization
import WeirBase
package import WeirFiles
import WeirFormat

/// The maps of a store's segments: a bounded number, of which the newest stay when nobody reads.
///
/// A reader that gets none reads by `pread` instead: the bound blocks nobody. A map lives for as
/// long as a reader, a lent batch or the list of recent ones holds it.
package final class SegmentMaps: Sendable {
    private struct State {
        /// A ring: reading here and there in a few segments maps none of them twice.
        var recent: [SegmentMap] = []
        var next = 0
    }
    private let state = Lock(State())
    /// Apart from this value, which holds maps: they must not hold it.
    private let counter = MapCounter()
    private let countMax: Int
    private let recentMax: Int
    /// Beside the maps, what bodies that cannot be read in them are unpacked into.
    let bodies = BodyPool()

    package init(countMax: Int = Limits.mapsMax, recentMax: Int = Limits.recentMapsMax) {
        precondition(recentMax > 0 && recentMax <= countMax, "more recent maps than maps")
        self.countMax = countMax
        self.recentMax = recentMax
    }

    package var count: Int { counter.count }

    /// A new map, or `nil` if there are as many as may be, or the system gives none.
    func make<Files: FileSystem>(
        _ files: Files, _ file: Files.File, byteCount: Int
    ) throws(WeirError) -> SegmentMap? {
        guard counter.take(countMax) else { return nil }
        let mapping: Mapping
        do throws(WeirError) {
            mapping = try files.map(file, byteCount: byteCount)
        } catch {
            counter.giveBack()
            if error.code == .exhausted { return nil }
            throw error
        }
        let map = SegmentMap(mapping: mapping, counter: counter)
        // The map that it pushes out is let go outside the lock.
        let old = state.withLock { state -> SegmentMap? in
            guard state.recent.count == recentMax else {
                state.recent.append(map)
                return nil
            }
            defer { state.next = (state.next + 1) % recentMax }
            let old = state.recent[state.next]
            state.recent[state.next] = map
            return old
        }
        withExtendedLifetime(old) {}
        return map
    }
}

/// How many maps there are.
private final class MapCounter: Sendable {
    private let value = Atomic(0)

    var count: Int { value.load(ordering: .relaxed) }

    func take(_ countMax: Int) -> Bool {
        let (_, new) = value.add(1, ordering: .relaxed)
        if new > countMax { giveBack() }
        return new <= countMax
    }

    func giveBack() { value.subtract(1, ordering: .relaxed) }
}

/// A segment's bytes in memory, counted while they are.
package final class SegmentMap: Sendable {
    package let mapping: Mapping
    private let counter: MapCounter

    fileprivate init(mapping: Mapping, counter: MapCounter) {
        self.mapping = mapping
        self.counter = counter
    }

    deinit { counter.giveBack() }
}
