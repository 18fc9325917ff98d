import WeirBase
import WeirFormat

/// Which streams of a snapshot come back, and what of each of their segments: decided over what the
/// snapshot says.
struct RestorePlan: Sendable {
    typealias Limit = RestoreOptions.End

    enum Action: Sendable, Hashable {
        case whole
        /// Up to a limit inside it.
        case cut(Limit)
        case leave
    }

    let snapshot: SnapshotFile
    let streams: [SnapshotFile.Stream]
    private let limit: Limit?

    /// `names` are streams or partitioned streams; all without any. Weir's own come along.
    ///
    /// Throws `notFound` for a name that the snapshot does not have, `invalidArgument` for a limit
    /// that it does not reach.
    init(
        _ snapshot: SnapshotFile, called snapshotName: String, names: [String], limit: Limit?
    ) throws(WeirError) {
        self.snapshot = snapshot
        self.limit = limit
        let all = snapshot.streams
        for name in names where !all.contains(where: { $0.manifest.answers(to: name) }) {
            let known = all.map(\.manifest.name).filter { !$0.isSystem }.prefix(5)
            throw WeirError(
                .notFound,
                "The snapshot \(snapshotName) has no stream \(name); it has "
                    + "\(known.isEmpty ? "none" : known.map(\.description).joined(separator: ", "))"
                    + "\(all.count > known.count ? " and others" : "").")
        }
        streams =
            names.isEmpty
            ? all
            : all.filter { stream in
                stream.manifest.name.isSystem
                    || names.contains { stream.manifest.answers(to: $0) }
            }
        try checkLimit(snapshotName)
    }

    private func checkLimit(_ snapshotName: String) throws(WeirError) {
        switch limit {
        case nil: return
        case .appended(let time):
            guard time <= snapshot.time else {
                throw WeirError(
                    .invalidArgument,
                    "The snapshot \(snapshotName) ends at \(snapshot.time), before \(time); give "
                        + "an earlier time, or a later snapshot.")
            }
        case .offset(let offset):
            let users = streams.filter { !$0.manifest.name.isSystem }
            guard users.count == 1, let stream = users.first else {
                throw WeirError(
                    .invalidArgument,
                    "An offset is one of a stream, and \(users.count) are to be restored; name "
                        + "the one that it belongs to.")
            }
            let range = stream.manifest.logStart...max(stream.durableEnd, stream.manifest.logStart)
            guard range.contains(offset) else {
                throw WeirError(
                    .invalidArgument,
                    "The snapshot \(snapshotName) has the offsets \(range.lowerBound) up to "
                        + "\(range.upperBound) of the stream \(stream.manifest.name), and "
                        + "\(offset) is not among them; give one that is.")
            }
        }
    }

    /// What limits a stream. An offset says nothing of Weir's own streams.
    func limit(of stream: SnapshotFile.Stream) -> Limit? {
        if case .offset = limit, stream.manifest.name.isSystem { return nil }
        return limit
    }

    /// What comes back of each segment, in the order of the log.
    func actions(for stream: SnapshotFile.Stream) -> [(entry: SegmentEntry, action: Action)] {
        let limit = limit(of: stream)
        return stream.manifest.segments.map { entry in
            (entry, limit.map { RestorePlan.action(for: entry, $0) } ?? .whole)
        }
    }

    private static func action(for entry: SegmentEntry, _ limit: Limit) -> Action {
        switch limit {
        case .offset(let offset):
            if entry.base >= offset { return .leave }
            guard let sealed = entry.sealed else { return .cut(limit) }
            return sealed.endOffset <= offset ? .whole : .cut(limit)
        case .appended(let time):
            guard let sealed = entry.sealed else { return .cut(limit) }
            if sealed.lastAppendTime < time { return .whole }
            return sealed.firstAppendTime >= time ? .leave : .cut(limit)
        }
    }
}

extension RestoreOptions.End {
    /// Whether a batch lies behind it, as a whole or with its end.
    func cuts(_ header: BatchHeader) -> Bool {
        guard header.kind == .records else { return false }
        return switch self {
        case .offset(let offset): header.endOffset > offset
        case .appended(let time): header.appendTime >= time
        }
    }
}

extension ManifestState {
    /// Whether a stream is called so, or is a partition of what is called so.
    fileprivate func answers(to name: String) -> Bool {
        self.name.description == name || configuration.partition?.group.description == name
    }
}
