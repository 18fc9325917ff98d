package import WeirBase
package import WeirFiles
import WeirFormat

/// Turns every start position into an offset, by manifest, block index, batch headers, records.
///
/// Each level narrows the search for the next: a position costs one block of headers and, for a
/// record time, the records of one batch. Damaged batches are stepped over.
package struct LogSearch<Files: FileSystem> {
    let view: LogView<Files>

    package init(_ view: LogView<Files>) { self.view = view }

    /// The offset to begin at. May wait for the disk.
    ///
    /// `.time(t)` is the first record, in offset order, whose record time is not before `t`; the
    /// stream's end where there is none.
    package func offset(of start: StartPosition) throws(WeirError) -> Offset {
        try retrying { () throws(WeirError) in try offsetOnce(of: start) }
    }

    /// Again, where another process put a segment in the place of one that was not open yet: by
    /// then the view has the new one.
    func retrying<Result>(
        _ body: () throws(WeirError) -> Result
    ) throws(WeirError) -> Result {
        var triesLeft = 16
        while true {
            do throws(WeirError) {
                return try body()
            } catch {
                triesLeft -= 1
                guard error.code == .notFound, triesLeft > 0 else { throw error }
            }
        }
    }

    private func offsetOnce(of start: StartPosition) throws(WeirError) -> Offset {
        let end = view.visibleEnd
        switch start {
        case .first: return view.logStart
        case .next: return end
        case .last: return end.value == 0 ? end : max(view.logStart, Offset(end.value - 1))
        case .offset(let offset): return offset
        case .time(let time): return try first(recordTime: time) ?? end
        case .appended(let time): return try first(appendTime: time) ?? end
        case .cursor(let name):
            // The log knows no names: whoever keeps the cursors looks them up before.
            throw WeirError(
                .invalidArgument,
                "The start is the cursor \(name), which a log does not know; expected its offset.",
                at: .init(stream: view.name.description))
        }
    }

    private func first(appendTime time: Timestamp) throws(WeirError) -> Offset? {
        for segment in view.segments {
            // Append times are monotone: a segment that ended before the time has nothing.
            if let sealed = segment.sealed, sealed.lastAppendTime < time { continue }
            guard let summary = try summary(of: segment) else { continue }
            let start = summary.position(forAppendTime: time)
            let found = try batch(in: segment, from: start) { $0.appendTime >= time }
            if let found { return max(found.firstOffset, view.logStart) }
        }
        return nil
    }

    /// `nil` for a segment whose file is missing, which a reader is told as a gap.
    func summary(
        of segment: ReadableSegment<Files>
    ) throws(WeirError) -> SegmentSummary? {
        do throws(WeirError) {
            // A footer that was read is known when the file is gone; its batches are not.
            _ = try segment.file()
            return try segment.summary()
        } catch {
            guard error.code == .notFound else { throw error }
            if try view.hasLeft(segment) { throw error }
            return nil
        }
    }

    private func first(recordTime time: Timestamp) throws(WeirError) -> Offset? {
        for segment in view.segments {
            if let sealed = segment.sealed, sealed.maxRecordTime < time { continue }
            guard let summary = try summary(of: segment) else { continue }
            let start = summary.position(forRecordTime: time)
            // The batch that the log begins within may have such a record before its start only.
            var place = view.logStart
            let isWanted = { (header: BatchHeader) in
                header.maxRecordTime >= time && header.endOffset > place
            }
            while let found = try batch(in: segment, from: start, where: isWanted) {
                if let offset = try record(in: found, recordTime: time) { return offset }
                place = found.endOffset
            }
        }
        return nil
    }

    /// The first batch from a block on for which a condition holds, as far as readers see.
    func batch(
        in segment: ReadableSegment<Files>, from start: FilePosition?,
        where holds: (BatchHeader) -> Bool
    ) throws(WeirError) -> BatchHeader? {
        let end = view.visibleEnd
        var window = SegmentWindow(segment: segment, mode: .copied)
        var scanner = SegmentScanner(
            segment: segment.id,
            position: start ?? FilePosition(UInt64(SegmentHeader.alignment)))
        while true {
            switch try window.next(&scanner, checkingBody: false) {
            case .batch(let header, _):
                guard header.kind == .records else { continue }
                if header.firstOffset >= end { return nil }
                if holds(header) { return header }
            case .damage: continue
            case .end: return nil
            case .newer(let what, let position):
                throw WeirError.newerFormat(
                    "Byte \(position) of \(segment.path) has \(what); use a newer Weir.")
            }
        }
    }

    private func record(
        in header: BatchHeader, recordTime time: Timestamp
    ) throws(WeirError) -> Offset? {
        let start = max(header.firstOffset, view.logStart)
        var cursor = LogCursor(view: view, at: start)
        guard case .batch(let found) = try cursor.next(), found.firstOffset == header.firstOffset
        else { return start }
        var records = cursor.records
        while let record = records.next() {
            if record.recordTime ?? header.appendTime >= time { return record.offset }
        }
        return start > header.firstOffset ? nil : start
    }
}
