public import Weir
package import WeirBase

/// Decides which walks over a whole stream are told: those whose statement has a condition that an
/// index would have answered, each once.
final class ScanTeller: Sendable {
    private struct State {
        /// What the statement's conditions name.
        var names: Set<String> = []
        var told: Set<String> = []
    }

    private let state = Lock(State())
    private let tell: @Sendable (RecordsDatabase.Scan) -> Void

    init(_ tell: @escaping @Sendable (RecordsDatabase.Scan) -> Void) { self.tell = tell }

    func begin(_ statement: [SQLToken]) {
        let names = Set(statement.conditions.compactMap(\.identifier))
        state.withLock { $0 = State(names: names) }
    }

    func meet(_ scan: RecordsDatabase.Scan) {
        let news = state.withLock { state -> RecordsDatabase.Scan? in
            let columns = scan.columns.filter { state.names.contains($0.lowercased()) }
            let found = RecordsDatabase.Scan(
                stream: scan.stream, columns: columns, isFromTime: scan.isFromTime,
                reason: scan.reason)
            guard !columns.isEmpty, state.told.insert(found.description).inserted else {
                return nil
            }
            return found
        }
        if let news { tell(news) }
    }
}

extension RecordsDatabase {
    /// A walk over all of a stream, as no condition says where to begin or to end; or over all
    /// from a time on, for a condition on a key or a header that no index answered.
    public struct Scan: Sendable, CustomStringConvertible {
        public let stream: LogStream
        /// Those that the statement's conditions name; in a connection of the caller's own, those
        /// that it looks at.
        public let columns: [String]
        /// Whether a condition on a time says where to begin.
        public let isFromTime: Bool
        /// Why the index is of no use for a condition on a key or a header.
        public let reason: String?

        /// One sentence.
        public var description: String { description(of: stream.name) }

        /// The same of a stream that is part of another one, by the name of that.
        package func description(of name: StreamName) -> String {
            let lack = isFromTime ? "no index answers it" : "nothing in it says where to begin"
            let place = isFromTime ? "\(name) from the time on" : "\(name)"
            return "The condition on \(columns.joined(separator: ", ")) was answered by "
                + "looking at all of \(place)"
                + (reason.map { ": \($0)." } ?? ", as \(lack).")
        }
    }
}
