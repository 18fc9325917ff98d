import Synchronization
package import WeirBase
package import WeirFiles
import WeirFormat

/// What readers of a stream see: which segments there are, and how far they may read.
///
/// One writer publishes; any number of readers take a snapshot and keep it for as long as they
/// like. A segment that is replaced or retired lives until its last reader lets go of it.
///
///     writer                               readers
///     pwrite, then advance ─▶ flushedEnd ─▶ how far bytes may be looked at
///     sync,   then advance ─▶ durableEnd ─▶ how far records are shown (visibility)
///     roll,   then publish ─▶ segments   ─▶ where to look
///     upkeep: edit, then replace or retire ─▶ the same records elsewhere, or a later start
package final class LogView<Files: FileSystem>: Sendable {
    package let name: StreamName
    /// Of the whole store.
    package let maps: SegmentMaps
    private let flushed: Atomic<UInt64>
    private let durable: Atomic<UInt64>
    private let showsFlushed: Atomic<Bool>
    private let keyed = Atomic(UInt64.max)
    private let state: Lock<State>

    private struct State {
        var segments: [ReadableSegment<Files>]
        var logStart: Offset
        /// Of the files before the last one, where all of them are sealed and so never change.
        var sealedBytes: UInt64?
        /// Of a follower: what the writer's settings are, and the edition that it read.
        var settings: StreamConfiguration?
        var edition: UInt64?
        /// Reads the manifest again: in a process that does not write the stream.
        var reload: (@Sendable () throws(WeirError) -> Void)?
    }

    package init(
        name: StreamName, visibility: Visibility, maps: SegmentMaps,
        segments: [ReadableSegment<Files>], logStart: Offset, flushedEnd: Offset, durableEnd: Offset
    ) {
        self.name = name
        self.showsFlushed = Atomic(visibility == .flushed)
        self.maps = maps
        self.flushed = Atomic(flushedEnd.value)
        self.durable = Atomic(durableEnd.value)
        self.state = Lock(State(segments: segments, logStart: logStart))
    }

    package var flushedEnd: Offset { Offset(flushed.load(ordering: .acquiring)) }
    package var durableEnd: Offset { Offset(durable.load(ordering: .acquiring)) }
    /// The first offset that readers do not see yet.
    package var visibleEnd: Offset {
        showsFlushed.load(ordering: .acquiring) ? flushedEnd : durableEnd
    }
    /// From here to the end no record has a key. Read it after the end; only the writer knows it.
    package var keyedEnd: Offset { Offset(keyed.load(ordering: .acquiring)) }
    package var logStart: Offset { state.withLock { $0.logStart } }
    package var segments: [ReadableSegment<Files>] { state.withLock { $0.segments } }

    /// Only the writer, or the follower of another process's writer, calls these.
    package func advance(flushedEnd: Offset, durableEnd: Offset) {
        // Bytes first: whoever sees the new end must be able to see what is below it.
        flushed.store(flushedEnd.value, ordering: .releasing)
        durable.store(durableEnd.value, ordering: .releasing)
    }

    /// Records below may have keys. Said before the end behind them is.
    func note(keyedEnd: Offset) { keyed.store(keyedEnd.value, ordering: .releasing) }

    /// How far readers see from now on. Everything that they have seen is durable by then where
    /// that is less.
    package func show(_ visibility: Visibility) {
        showsFlushed.store(visibility == .flushed, ordering: .releasing)
    }

    /// Of a follower: the settings that its manifest told when the slot had this edition.
    package func follow(_ settings: StreamConfiguration?, edition: UInt64) {
        state.withLock { state in
            state.edition = edition
            state.settings = settings ?? state.settings
        }
        if let settings { show(settings.effectiveVisibility) }
    }

    /// Of the settings that a follower has read last; `nil` before it followed a writer.
    package var edition: UInt64? { state.withLock { $0.edition } }
    package var followedSettings: StreamConfiguration? { state.withLock { $0.settings } }

    package func publish(segments: [ReadableSegment<Files>], logStart: Offset) {
        let old = state.withLock { state in
            defer {
                state.segments = segments
                state.sealedBytes = nil
                state.logStart = max(logStart, state.logStart)
            }
            return state.segments
        }
        // The old list is let go outside the lock: it may close files.
        withExtendedLifetime(old) {}
    }

    package func append(segment: ReadableSegment<Files>) {
        state.withLock { state in
            state.segments.append(segment)
            state.sealedBytes = nil
        }
    }

    /// One segment takes the place of its neighbours, which hold the same records and older ones.
    package func replace(_ old: [SegmentID], with new: ReadableSegment<Files>) {
        let left = change { segments in
            guard let place = segments.firstIndex(where: { old.contains($0.id) }) else { return }
            segments.removeAll { old.contains($0.id) }
            segments.insert(new, at: place)
        }
        withExtendedLifetime(left) {}
    }

    /// Nothing before an offset is shown any more, and these segments are gone.
    package func retire(_ ids: [SegmentID], logStart: Offset) {
        // In one step: whoever misses a segment finds the later start.
        let left = state.withLock { state in
            let old = state.segments
            let gone = Set(ids)
            state.segments.removeAll { gone.contains($0.id) }
            state.sealedBytes = nil
            state.logStart = max(state.logStart, logStart)
            return old
        }
        withExtendedLifetime(left) {}
    }

    /// Bytes of the files, as far as they are written. Asked after each group of appends where
    /// there is a quota: costs a look at the last segment, as long as the others stay.
    package var byteCount: UInt64 {
        state.withLock { state in
            guard let last = state.segments.last else { return 0 }
            if let before = state.sealedBytes { return before + last.fileBytes }
            let others = state.segments.dropLast()
            let before = others.reduce(0) { $0 + $1.fileBytes }
            if others.allSatisfy({ $0.sealed != nil }) { state.sealedBytes = before }
            return before + last.fileBytes
        }
    }

    /// Gives the list as it was, to be let go outside the lock: it may close files.
    private func change(
        _ body: (inout [ReadableSegment<Files>]) -> Void
    ) -> [ReadableSegment<Files>] {
        state.withLock { state in
            let old = state.segments
            body(&state.segments)
            state.sealedBytes = nil
            return old
        }
    }

    /// What readers do who find a segment's file gone: another process may have put one in its
    /// place, or let it go.
    package func onMissing(_ reload: @escaping @Sendable () throws(WeirError) -> Void) {
        state.withLock { $0.reload = reload }
    }

    /// Whether a segment whose file is gone was replaced or retired; then the view says by what.
    func hasLeft(_ segment: ReadableSegment<Files>) throws(WeirError) -> Bool {
        if !holds(segment) { return true }
        guard let reload = state.withLock({ $0.reload }) else { return false }
        try reload()
        return !holds(segment)
    }

    func holds(_ segment: ReadableSegment<Files>) -> Bool {
        state.withLock { state in state.segments.contains { $0 === segment } }
    }

    /// The segment that holds an offset: the last one that does not begin behind it.
    package func segment(for offset: Offset) -> ReadableSegment<Files>? {
        state.withLock { state in
            let index = state.segments.partition { $0.base > offset }
            return index == 0 ? state.segments.first : state.segments[index - 1]
        }
    }

    /// Where what an epoch left ends: the first offset of a later epoch, or else the log's end.
    ///
    /// A merged segment's header tells of the epochs in it; the first question may wait for the
    /// disk. Of one that is gone, or does not hold, nothing is known, and no record is said to be
    /// lost. Throws what the medium said.
    package func end(of epoch: Epoch) throws(WeirError) -> Offset {
        while true {
            let (last, next) = state.withLock { state in
                let segments = state.segments
                let place = segments.firstIndex { $0.epoch > epoch } ?? segments.endIndex
                return (
                    place > 0 ? segments[place - 1] : nil,
                    place < segments.count ? segments[place].base : nil
                )
            }
            let end = next ?? flushedEnd
            guard let last else { return end }
            do throws(WeirError) {
                return try last.epochStarts().first { $0.epoch > epoch }?.offset ?? end
            } catch {
                if error.code == .damaged { return end }
                guard error.code == .notFound else { throw error }
                // Another process may have put a new one in its place.
                guard try hasLeft(last) else { return end }
            }
        }
    }

    /// Cheaper to ask than for the successor, and asked with each batch.
    func isLast(_ segment: ReadableSegment<Files>) -> Bool {
        state.withLock { $0.segments.last === segment }
    }

    /// What comes behind a segment.
    enum Successor {
        case next(ReadableSegment<Files>)
        case last
        /// It was replaced or retired: another one has what comes next.
        case left
    }

    /// Asked at once: between two questions the segment may be replaced together with the next.
    func successor(of segment: ReadableSegment<Files>) -> Successor {
        state.withLock { state in
            // An empty segment may share its base with the next; identity decides.
            guard let place = state.segments.firstIndex(where: { $0 === segment }) else {
                return .left
            }
            return place + 1 < state.segments.count ? .next(state.segments[place + 1]) : .last
        }
    }
}

extension Array {
    /// The first index whose element satisfies a condition that no element before it does.
    package func partition(by isBehind: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
