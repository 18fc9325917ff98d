package import WeirBase
import WeirFiles
package import WeirFormat

/// What the log says of its producers: the newest footer that tells, and the batches behind it.
///
///     | tells | does not hold: its batches do | tells of none | not sealed |
///       ▲ beginning here, all that comes behind is walked through
///
/// A footer that does not hold is made up for by the batches of its segment, and by the footer
/// before it: not if its segment was compacted or nothing is left before it, since the batches that
/// it told of may be gone. Then the doubt says so.
extension LogView {
    /// Up to the log's end.
    ///
    /// May be asked beside a writer that knows of no producer itself, since it writes of none.
    /// Costs the read of a footer, and a walk over the batches' headers of what is not sealed. What
    /// a segment would have told that is lost, or a part that is damaged, is not known: its records
    /// are lost as well. Throws where a producer may be forgotten whose records are there: an
    /// append that is sent again would be taken twice.
    package func producers() throws(WeirError) -> ProducerTable {
        let told = try Self.producers(of: segments)
        guard let doubt = told.doubt, doubt.code != .notFound else { return told.table }
        throw WeirError(
            doubt.code,
            "What the stream remembers of named producers cannot be told, so an append that is "
                + "sent again might be taken twice; see what `weir verify` says of it, and try "
                + "again when that is put right",
            at: .init(stream: name.description), cause: doubt.description)
    }

    /// Up to a segment's end, or where it begins, for its footer; `nil` where that is better left
    /// to what is there, since not all of it can be told now.
    func producers(
        upTo segment: ReadableSegment<Files>, isIncluded: Bool
    ) throws(WeirError) -> [ProducerRow]? {
        var known = Array(segments.prefix { $0 !== segment })
        if isIncluded { known.append(segment) }
        let told = try Self.producers(of: known)
        return told.doubt == nil ? told.table.rows : nil
    }

    /// Up to a sealed segment's end, for a footer that takes the place of others. Throws where it
    /// cannot be told whether that is all, and what of which segment keeps it from that.
    package func allProducers(
        through last: ReadableSegment<Files>, end: Offset
    ) throws(WeirError) -> ProducerTable {
        let known = segments
        guard let place = known.firstIndex(where: { $0 === last }) else {
            throw WeirError(
                .notFound, "The segment is no part of the stream any more.",
                at: .init(path: last.path))
        }
        for segment in known[place...] {
            var told = ToldProducers()
            guard let rows = try Self.rows(of: segment, &told) else { continue }
            // A later footer says the same as long as nobody has appended since.
            guard rows.allSatisfy({ $0.offset < end }) else { break }
            return ProducerTable(rows)
        }
        let told = try Self.producers(of: Array(known[...place]), isStrict: true)
        if let doubt = told.doubt { throw doubt }
        return told.table
    }

    /// `isStrict`: in what is walked through, bytes that do not hold are a doubt as well.
    private static func producers(
        of segments: [ReadableSegment<Files>], isStrict: Bool = false
    ) throws(WeirError) -> ToldProducers {
        var told = ToldProducers()
        var walked: [ReadableSegment<Files>] = []
        var missed: [(segment: ReadableSegment<Files>, told: ToldProducers)] = []
        var hasBeginning = false
        for segment in segments.reversed() {
            var own = ToldProducers()
            if let rows = try rows(of: segment, &own) {
                told.table = ProducerTable(rows)
                hasBeginning = true
                break
            }
            walked.append(segment)
            // Its batches are not all that it told of, even where its footer holds.
            if segment.sealed != nil, segment.generation > 0 { own.note(untold(segment)) }
            if own.doubt != nil { missed.append((segment, own)) }
        }
        hasBeginning = hasBeginning || walked.last.map { $0.base == .zero } ?? true
        for segment in walked.reversed() { try walk(segment, &told, isStrict) }
        for (segment, own) in missed where segment.generation > 0 || !hasBeginning {
            if let doubt = own.doubt { told.note(doubt) }
        }
        return told
    }

    /// As a segment's footer says; `nil` where it says nothing of producers, and what keeps it from
    /// that.
    private static func rows(
        of segment: ReadableSegment<Files>, _ told: inout ToldProducers
    ) throws(WeirError) -> [ProducerRow]? {
        guard let sealed = segment.sealed else { return nil }
        do throws(WeirError) {
            if let footer = try segment.footer(sealed) { return footer.producers }
            throw untold(segment)
        } catch {
            guard error.isOfOneSegment else { throw error }
            told.note(error.located(.init(path: segment.path)))
        }
        return nil
    }

    private static func untold(_ segment: ReadableSegment<Files>) -> WeirError {
        WeirError.damaged(
            "The footer does not tell of producers, and what it said of them may stand nowhere "
                + "else", path: segment.path)
    }

    private static func walk(
        _ segment: ReadableSegment<Files>, _ told: inout ToldProducers, _ isStrict: Bool
    ) throws(WeirError) {
        do throws(WeirError) {
            // Batches before the place that cannot be read are noted, and stay so.
            try walk(segment, &told.table, isStrict: isStrict)
        } catch {
            guard error.isOfOneSegment else { throw error }
            told.note(error.located(.init(path: segment.path)))
        }
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
                guard isStrict else { continue }
                throw WeirError.damaged(
                    "Bytes do not hold that may have told of producers", path: segment.path)
            case .end, nil: return
            case .newer(let what, let position):
                throw WeirError.newerFormat(
                    "Byte \(position) of \(segment.path) has \(what); use a newer version of Weir.")
            }
        }
    }
}
