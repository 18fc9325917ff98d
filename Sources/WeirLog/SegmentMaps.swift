import WeirBase
package import WeirFiles

/// The maps of a store's segments: a bounded number, of which the newest stay when nobody reads.
///
/// A reader that gets none reads by `pread` instead: the bound blocks nobody. A map lives for as
/// long as a reader, a lent batch or the list of recent ones holds it.
package final class SegmentMaps: Sendable {
    private struct State {
        var count = 0
        /// A ring: reading here and there in a few segments maps none of them twice.
        var recent: [SegmentMap] = []
        var next = 0
    }
    private let state = Lock(State())
    private let countMax: Int
    private let recentMax: Int

    package init(countMax: Int = Limits.mapsMax, recentMax: Int = Limits.recentMapsMax) {
        precondition(recentMax > 0 && recentMax <= countMax, "more recent maps than maps")
        self.countMax = countMax
        self.recentMax = recentMax
    }

    package var count: Int { state.withLock { $0.count } }

    /// A new map, or `nil` if there are as many as may be, or the system gives none.
    func make<Files: FileSystem>(
        _ files: Files, _ file: Files.File, byteCount: Int
    ) throws(WeirError) -> SegmentMap? {
        let isAllowed = state.withLock { state in
            guard state.count < countMax else { return false }
            state.count += 1
            return true
        }
        guard isAllowed else { return nil }
        let mapping: Mapping
        do throws(WeirError) {
            mapping = try files.map(file, byteCount: byteCount)
        } catch {
            state.withLock { $0.count -= 1 }
            if error.code == .exhausted { return nil }
            throw error
        }
        let map = SegmentMap(mapping: mapping, maps: self)
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

    fileprivate func giveBack() { state.withLock { $0.count -= 1 } }
}

/// A segment's bytes in memory, counted while they are.
package final class SegmentMap: Sendable {
    package let mapping: Mapping
    private let maps: SegmentMaps

    fileprivate init(mapping: Mapping, maps: SegmentMaps) {
        self.mapping = mapping
        self.maps = maps
    }

    deinit { maps.giveBack() }
}
