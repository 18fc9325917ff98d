public import WeirBase
import WeirFormat
import WeirIndex
import WeirLog

/// Whether a store keeps and uses an index of its records' keys.
///
/// The index is derived: a replay by key gives the same records without it, and reads the whole
/// stream for them.
public enum IndexUse: String, Sendable, Hashable {
    /// A writer keeps the index up with the log, on a thread of its own; readers look in it.
    case on
    /// A writer removes the index, since nobody would keep it up; readers scan.
    case off
}

/// How far the index of a store has come.
public struct IndexReport: Sendable, Hashable {
    /// A stream in the index.
    public struct Stream: Sendable, Hashable {
        public let name: StreamName
        /// The offsets that the index covers; empty where it covers none.
        public let covered: Range<Offset>
        /// Records that readers see and the index does not cover yet.
        public let lag: Int
    }

    /// Number of the file; `nil` where there is none that can be used.
    public let generation: UInt64?
    /// Why there is none, why it is not kept up, or why it was made anew last.
    public let trouble: String?
    /// Streams of which something is indexed, by name.
    public let streams: [Stream]

    /// Records, of all streams, that are not covered yet.
    public var lag: Int { streams.reduce(0) { $0 + $1.lag } }
}

extension Store {
    /// How far the index has come, stream by stream. May wait for the disk where another process
    /// writes the store.
    public func indexReport() -> IndexReport {
        if let figures = index.figures {
            return report(generation: figures.generation, figures.trouble) { stream in
                figures.coverage[stream.id]
            }
        }
        switch index.lookup() {
        case .none(let reason): return report(generation: nil, reason) { _ in nil }
        case .reader(let reader, _):
            var trouble: String?
            let found = report(generation: index.generation, nil) { stream in
                do throws(WeirError) {
                    return try reader.coverage(of: stream.id)
                } catch {
                    trouble = error.description
                    return nil
                }
            }
            guard let trouble else { return found }
            return IndexReport(generation: nil, trouble: trouble, streams: found.streams)
        }
    }

    private func report(
        generation: UInt64?, _ trouble: String?, _ coverage: (SystemStream) -> Range<Offset>?
    ) -> IndexReport {
        let streams = engine.streams.filter(IndexFeeder.isIndexed).map { stream in
            let start = stream.view.logStart
            let covered = coverage(stream) ?? start..<start
            let lag = stream.view.visibleEnd - max(covered.upperBound, start)
            return IndexReport.Stream(name: stream.name, covered: covered, lag: lag)
        }
        return IndexReport(generation: generation, trouble: trouble, streams: streams)
    }
}
