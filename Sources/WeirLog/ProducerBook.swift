package import WeirBase
import WeirFiles
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

extension LogView {
    /// What the log says of its producers, up to a segment's end: the newest footer, and the
    /// batches behind it.
    ///
    /// May be asked beside a writer that knows of no producer itself, since it writes of none.
    /// Costs the read of a footer, and a walk over the batches' headers of what is not sealed. What
    /// a segment would have told that is lost, or a part that is damaged, is not known: its records
    /// are lost as well. Throws `newerFormat`, and what keeps it from reading at all.
    package func producers(
        through last: ReadableSegment<Files>? = nil
    ) throws(WeirError) -> ProducerTable {
        var known = segments
        if let last, let place = known.firstIndex(where: { $0 === last }) {
            known.removeSubrange((place + 1)...)
        }
        return try Self.producers(of: known)
    }

    /// The same without that segment.
    func producers(before segment: ReadableSegment<Files>) throws(WeirError) -> ProducerTable {
        try Self.producers(of: Array(segments.prefix { $0 !== segment }))
    }

    private static func producers(
        of segments: [ReadableSegment<Files>]
    ) throws(WeirError) -> ProducerTable {
        var table = ProducerTable()
        var unsealed: [ReadableSegment<Files>] = []
        for segment in segments.reversed() {
            let footer = try told { () throws(WeirError) -> SegmentFooter? in
                try Self.footer(of: segment)
            }
            if let footer {
                table = ProducerTable(footer.producers)
                break
            }
            unsealed.append(segment)
        }
        for segment in unsealed.reversed() {
            // Batches before the place that cannot be read are noted, and stay so.
            _ = try told { () throws(WeirError) -> Void? in
                try walk(segment, &table)
            }
        }
        return table
    }

    private static func footer(
        of segment: ReadableSegment<Files>
    ) throws(WeirError) -> SegmentFooter? {
        guard let sealed = segment.sealed else { return nil }
        return try segment.footer(sealed)
    }

    /// Nothing, where a file is missing or its medium fails.
    private static func told<Value>(
        by read: () throws(WeirError) -> Value?
    ) throws(WeirError) -> Value? {
        do throws(WeirError) {
            return try read()
        } catch {
            guard [.notFound, .damaged, .system].contains(error.code) else { throw error }
            return nil
        }
    }

    /// The same up to a sealed segment's end, for a footer that takes the place of others. Throws
    /// `damaged` where it cannot be told whether that is all.
    package func allProducers(
        through last: ReadableSegment<Files>, end: Offset
    ) throws(WeirError) -> ProducerTable {
        guard let place = segments.firstIndex(where: { $0 === last }) else {
            throw Self.untold(last)
        }
        for segment in segments[place...] {
            guard let footer = try Self.footer(of: segment) else { continue }
            // A later footer says the same as long as nobody has appended since.
            guard footer.producers.allSatisfy({ $0.offset < end }) else { break }
            return ProducerTable(footer.producers)
        }
        var walked: [ReadableSegment<Files>] = []
        var known: ProducerTable?
        for segment in segments[...place].reversed() {
            if let footer = try Self.footer(of: segment) {
                known = ProducerTable(footer.producers)
                break
            }
            walked.append(segment)
            // The batches that told it may be gone, by a compaction or a trim.
            if segment.generation > 0 { throw Self.untold(segment) }
        }
        guard var table = known ?? (walked.last?.base == .zero ? ProducerTable() : nil) else {
            throw Self.untold(last)
        }
        for segment in walked.reversed() { try Self.walk(segment, &table, isStrict: true) }
        return table
    }

    private static func untold(_ segment: ReadableSegment<Files>) -> WeirError {
        WeirError.damaged(
            "The footer does not hold, and what it said of producers may stand nowhere else",
            path: segment.path)
    }

    /// Bodies are brought in, and proven, only where an extension stands before them. `isStrict`:
    /// throws `damaged` where bytes do not hold.
    private static func walk(
        _ segment: ReadableSegment<Files>, _ table: inout ProducerTable, isStrict: Bool = false
    ) throws(WeirError) {
        var window = SegmentWindow(segment: segment, mode: .copied)
        var scanner = SegmentScanner(
            segment: segment.id, position: FilePosition(UInt64(SegmentHeader.alignment)))
        while true {
            let step = try window.next(&scanner) { header in
                header.extensionLength > 0 ? .read(ahead: nil) : .pass
            }
            switch step {
            case .batch(let header, let position):
                guard header.extensionLength > 0 else { continue }
                let sections = window.bytes(
                    at: position + BatchHeader.byteCount, byteCount: header.extensionLength)
                for row in BatchExtension.producers(in: sections) { table.note(row) }
            case .damage:
                if isStrict { throw untold(segment) }
            case .end, nil: return
            case .newer(let what, let position):
                throw WeirError.newerFormat(
                    "Byte \(position) of \(segment.path) has \(what); use a newer version of Weir.")
            }
        }
    }
}
