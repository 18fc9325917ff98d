import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// One sealed segment, batch by batch, as its readers see it.
struct SegmentWalk<Files: FileSystem>: ~Copyable {
    enum Step {
        /// The cursor shows it. `firstRecord` counts the segment's records before it.
        case batch(BatchHeader, firstRecord: Int)
        /// Bytes that do not hold, or cannot be read; the next step goes on behind them, or ends.
        case damage(String)
        case end
    }
    private(set) var cursor: LogCursor<Files>
    private var recordCount = 0
    private let recordsMax: Int
    private let path: String
    /// Its reading failed: asked again, it would fail again.
    private var isOver = false

    /// `keyedOnly`: of batches without keys only the headers are read.
    init(
        _ segment: ReadableSegment<Files>, _ sealed: SealedSegment, of view: LogView<Files>,
        keyedOnly: Bool
    ) {
        let alone = LogView(
            name: view.name, visibility: .flushed, maps: view.maps, segments: [segment],
            logStart: segment.base, flushedEnd: sealed.endOffset, durableEnd: sealed.endOffset)
        cursor = LogCursor(view: alone, at: segment.base, passing: keyedOnly ? .keyless : .none)
        recordsMax = Int(clamping: sealed.recordCount)
        path = segment.path
    }

    /// Throws `damaged` if pages vanished under the batch while it was walked.
    mutating func expectIntact() throws(WeirError) { try cursor.expectIntact() }

    /// Throws what is the trouble of more than this segment.
    mutating func next() throws(WeirError) -> Step {
        if isOver { return .end }
        do throws(WeirError) {
            return try step()
        } catch {
            guard error.isOfOneSegment else { throw error }
            isOver = true
            return .damage(error.reason)
        }
    }

    private mutating func step() throws(WeirError) -> Step {
        switch try cursor.next() {
        case .batch(let header):
            defer { recordCount += header.recordCount }
            guard recordCount + header.recordCount <= recordsMax else {
                return .damage("it has more than the \(recordsMax) records that its seal names")
            }
            return .batch(header, firstRecord: recordCount)
        case .gap(let gap):
            // Whoever is told knows the segment's name.
            let name = path + ": "
            let isNamed = gap.detail.hasPrefix(name)
            return .damage(isNamed ? String(gap.detail.dropFirst(name.count)) : gap.detail)
        case .end, .held: return .end
        }
    }
}

extension WeirError {
    /// Without its place, which whoever is told knows.
    var reason: String { cause.map { "\(message): \($0)" } ?? message }
}

extension RecordView {
    /// Bytes that the record takes in a body.
    var storedByteCount: Int { entry.byteCount + 4 }
}
