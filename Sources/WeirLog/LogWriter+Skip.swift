package import WeirBase
import WeirFiles
package import WeirFormat

/// Offsets that no record has, at the log's end: another log, of which this one is a copy, gave
/// them out, and its compaction took their records away.
///
///     … | active |   ─▶   … | sealed | empty |   ─▶   … | sealed | sealed, without a record |
///                                                                           next: a new segment ┘
///
/// What the last one is, compaction makes of a segment all of whose records are superseded: a
/// header, and a footer that says where its offsets end. It takes an empty segment's place in the
/// manifest. A crash before that edit leaves a file that the next opening removes, and the log ends
/// where it did.
extension LogWriter {
    /// Goes on at a later offset; `false` unless the log ends at `start`. `row` is what a producer
    /// has come to by that. All is durable when it returns; costs the syncs of a roll, and three.
    package func skip(
        from start: Offset, to end: Offset, noting row: ProducerRow
    ) throws(WeirError) -> Bool {
        if let poison { throw poison }
        guard nextOffset == start, end > start else { return false }
        try makeEmptySegment()
        guard let empty = active, empty.isEmpty else { return false }
        let known = if let known = producers.snapshot { known } else { try view.producers() }
        let entry = try writeHole(from: start, to: end, in: empty.readable, known, row)
        let hole = readable(entry)
        do throws(WeirError) {
            try commit([.replaced(old: [empty.readable.id], new: [entry])])
        } catch {
            if error.leavesNoEdit {
                abandon(hole.path, error)
            } else if poison == nil {
                poison = error
            }
            throw error
        }
        view.replace([empty.readable.id], with: hole)
        active = nil
        (nextOffset, durableEnd, witnessedDurableEnd) = (end, end, end)
        if producers.isLoaded { producers.note([row]) }
        publish()
        try files.close(empty.file)
        _ = isRemoved(empty.readable.path)
        return true
    }

    /// Everything before it is sealed and durable.
    private func makeEmptySegment() throws(WeirError) {
        try checkTenure()
        try wake()
        if !hasOpened { try open() }
        try sealActive()
        try sync()
        try settle()
    }

    private func writeHole(
        from start: Offset, to end: Offset, in empty: ReadableSegment<Files>,
        _ known: ProducerTable, _ row: ProducerRow
    ) throws(WeirError) -> SegmentEntry {
        var header = SegmentHeader(
            segmentID: SegmentID(host.random()), streamID: streamID, epoch: epoch, base: start,
            creationTime: host.now(), logStart: view.logStart, name: view.name,
            configuration: configuration)
        header.generation = empty.generation + 1
        header.replaced = [empty.id]
        var summary = SegmentSummary(base: start)
        summary.endOffset = end
        var footer = SegmentFooter(
            segmentID: header.segmentID, summary: summary, logStart: view.logStart,
            configuration: configuration)
        var table = known
        table.note(row)
        footer.producers = table.rows
        let head = header.encode()
        let place = FilePosition(UInt64(head.count))
        let (tail, checksum) = footer.encode(at: place)
        try write(head + tail, to: StoreLayout.segment(streamID, header.segmentID, base: start))
        let sealed = SealedSegment(
            summary: summary, batchesEnd: place, fileBytes: UInt64(head.count + tail.count),
            footerChecksum: checksum)
        return SegmentEntry(
            id: header.segmentID, base: start, epoch: epoch, generation: header.generation,
            sealed: sealed)
    }

    private func write(_ bytes: [UInt8], to path: String) throws(WeirError) {
        let file = try files.open(path, .createExclusive)
        do throws(WeirError) {
            try files.writeAll(file, bytes, at: .zero)
            try files.sync(file)
            try files.close(file)
            try files.syncDirectory(StoreLayout.stream(streamID))
        } catch {
            abandon(path, error)
            throw error
        }
    }

    /// A hole that no edit lists must be gone, for good, before another record goes into the
    /// segment that it says it replaces: a manifest that is made anew from the files would leave
    /// that one out. Where it cannot be, nothing is written any more; the next opening removes it.
    private func abandon(_ path: String, _ error: WeirError) {
        do throws(WeirError) {
            try files.removeFile(path)
            try files.syncDirectory(StoreLayout.stream(streamID))
        } catch {
            poison = poison ?? error
        }
    }

    /// `false` where it could not be: the next opening removes what no edit lists.
    private func isRemoved(_ path: String) -> Bool {
        do throws(WeirError) {
            try files.removeFile(path)
            return true
        } catch {
            return false
        }
    }
}
