package import WeirBase
package import WeirFormat

/// A stream's producers as the log has them: what was written, not what is under way.
///
/// Nothing is known of them until somebody asks for a producer, so that a stream without any pays
/// for none. From then on the leader notes each batch that it has written.
///
///     leader                                appenders, under the queue's lock
///     write ─▶ note ─▶ settle the queue     under way? else the last in the book
///
/// Its lock may be taken under the queue's, and takes none itself.
package final class ProducerBook: Sendable {
    private let table = Lock<ProducerTable?>(nil)

    package var isLoaded: Bool { table.withLock { $0 != nil } }
    /// `nil` as long as nobody asked for a producer: then this writer has written of none.
    package var snapshot: ProducerTable? { table.withLock { $0 } }

    /// The first one counts: it has had everything noted since.
    package func load(_ loaded: ProducerTable) { table.withLock { $0 = $0 ?? loaded } }

    package func last(of name: ProducerName) -> ProducerTable.Entry? {
        table.withLock { $0?[name] }
    }

    func note(_ rows: [ProducerRow]) {
        table.withLock { table in
            precondition(table != nil, "a producer's batch before its stream's producers were read")
            for row in rows { table?.note(row) }
        }
    }
}
