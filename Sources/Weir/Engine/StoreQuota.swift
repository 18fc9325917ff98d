import Synchronization
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// What the streams of users take up together, and whether that is as much as they may.
struct StoreUsage: Sendable {
    var quota: Quota?
    private var byteCounts: [StreamID: UInt64] = [:]
    private(set) var usedBytes: UInt64 = 0

    var isOver: Bool { quota?.isReached(by: usedBytes) ?? false }

    /// What becomes of an append that may wait, or may not.
    func answer(mayWait: Bool) -> QuotaAnswer {
        quota?.answer(usedBytes: usedBytes, mayWait: mayWait) ?? .room
    }

    /// A stream has so many bytes now.
    mutating func count(_ byteCount: UInt64, of stream: StreamID) {
        let before = byteCounts.updateValue(byteCount, forKey: stream) ?? 0
        usedBytes = usedBytes - before + byteCount
    }

    /// There are these streams and no others.
    mutating func recount(_ streams: [(id: StreamID, byteCount: UInt64)]) {
        byteCounts = [:]
        usedBytes = 0
        for stream in streams { count(stream.byteCount, of: stream.id) }
    }
}

/// What a quota says to an append.
enum QuotaAnswer: Sendable, Hashable {
    case room, waits, refused
}

extension Quota {
    func isReached(by usedBytes: UInt64) -> Bool { usedBytes >= UInt64(bytesMax) }

    func answer(usedBytes: UInt64, mayWait: Bool) -> QuotaAnswer {
        guard isReached(by: usedBytes) else { return .room }
        return mayWait && policy == .wait ? .waits : .refused
    }
}

/// The quota of a whole store: all streams but Weir's own, counted together.
///
///     leaders, after each group: their stream ────────────────┐
///     retention, trim, compaction, deletion: every stream ────┼─▶ over: appends are refused, or
///     the store's look, every 15 seconds: every stream ───────┤   wait in their stream's line;
///     another quota: every stream ────────────────────────────┘   room: the lines are told
///
/// It is kept as the quota in the settings of `weir.store`, a stream without records: what reads,
/// recovers, backs up and checks streams does so with it, and there is no file of another kind.
final class StoreQuota: Sendable {
    private struct State {
        var usage = StoreUsage()
        /// Lines that wait for room.
        var lines: [StreamID: @Sendable () -> Void] = [:]
    }
    private let state = Lock(State())
    /// Spare stores without a quota, and those that have room, the lock.
    private let isSet = Atomic(false)
    private let isReached = Atomic(false)

    /// The one place that makes its name.
    static let streamName = StreamName(own: "store")

    static let configuration = StreamConfiguration(
        segmentBytes: Limits.segmentBytesMin, batchBytesMax: 64 << 10, keyIndex: false)

    /// Whether the streams have as many bytes as they may.
    var isOver: Bool { isReached.load(ordering: .relaxed) }

    /// Of one stream, after a group of its appends, or what made room in it. Says whether the quota
    /// came to be reached.
    func count(_ stream: StreamID, _ view: LogView<RealFileSystem>) -> Bool {
        // Whoever sets a quota looks at the view behind that: this group is counted there, or here.
        guard isSet.load(ordering: .relaxed), !view.name.isSystem else { return false }
        return change { $0.count(view.byteCount, of: stream) }
    }

    /// Of all streams: one may have been deleted.
    func recount(_ engine: SystemEngine) -> Bool {
        guard isSet.load(ordering: .relaxed) else { return false }
        return change { $0.recount(Self.byteCounts(engine)) }
    }

    /// Goes by the quota that is recorded now.
    func load(_ engine: SystemEngine) -> Bool {
        isSet.store(true, ordering: .relaxed)
        return change { usage in
            usage.quota = engine.quota
            usage.recount(Self.byteCounts(engine))
            isSet.store(usage.quota != nil, ordering: .relaxed)
        }
    }

    private static func byteCounts(
        _ engine: SystemEngine
    ) -> [(id: StreamID, byteCount: UInt64)] {
        engine.streams { !$0.name.isSystem }.map { ($0.id, $0.view.byteCount) }
    }

    /// What becomes of an append to a stream. Where it waits, `tell` is called once when there is
    /// room, or another quota. One step under one lock; were it two, an append could wait for what
    /// has come already:
    ///
    ///     the append                        somebody who sets a quota that refuses
    ///     it is over, and has me wait
    ///                                       this one holds now; the lines are told: none is there
    ///     stands in the line, and nobody
    ///     tells it until its time is over
    func ask(
        _ stream: StreamID, mayWait: Bool, _ tell: @escaping @Sendable () -> Void
    ) -> QuotaAnswer {
        state.withLock { state in
            let answer = state.usage.answer(mayWait: mayWait)
            if answer == .waits { state.lines[stream] = tell }
            return answer
        }
    }

    /// Counted under the lock, so that of two counts the later one holds.
    private func change(_ body: (inout StoreUsage) -> Void) -> Bool {
        let (lines, isNewlyOver) = state.withLock { state -> ([@Sendable () -> Void], Bool) in
            let (wasOver, before) = (state.usage.isOver, state.usage.quota)
            body(&state.usage)
            let isOver = state.usage.isOver
            isReached.store(isOver, ordering: .relaxed)
            // Another quota may refuse where this one has them wait: they ask again.
            if isOver, before == state.usage.quota { return ([], !wasOver) }
            defer { state.lines = [:] }
            return (Array(state.lines.values), isOver && !wasOver)
        }
        for tell in lines { tell() }
        return isNewlyOver
    }

    /// That it is reached, and what makes room; `nil` where there is room.
    var fullness: (found: String, advice: String)? {
        let usage = state.withLock { $0.usage }
        guard usage.isOver, let quota = usage.quota else { return nil }
        return (
            "The streams of the store have \(usage.usedBytes) bytes, and its quota is "
                + "\(quota.bytesMax)",
            "Let retention, `weir trim` or compaction make room in any of them, delete one, or "
                + "raise the quota of the store: `weir config . set quota.bytes=SIZE`."
        )
    }
}

extension StoreEngine {
    /// What all streams of users together may take up. Of a reader, as it was at the opening.
    package var quota: Quota? { stream(StoreQuota.streamName)?.settings.quota }
}

extension StoreFlow {
    /// A stream's appends were written.
    func countQuota(_ stream: StreamID, _ view: LogView<RealFileSystem>) {
        if quota.count(stream, view) { tellQuotaReached() }
    }

    /// Streams may have become smaller, or gone.
    func recountQuota(_ engine: SystemEngine) {
        if quota.recount(engine) { tellQuotaReached() }
    }

    func loadQuota(_ engine: SystemEngine) {
        if quota.load(engine) { tellQuotaReached() }
    }

    private func tellQuotaReached() {
        let store = StoreQuota.streamName
        // There may be room again by now, which then needs nobody's attention.
        guard let (found, advice) = quota.fullness else { return }
        signals.note(
            .quotaReached, SignalSource(stream: store.description),
            detail: "\(found). \(advice)")
    }
}
