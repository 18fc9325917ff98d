import Synchronization
package import WeirBase
package import WeirFiles
package import WeirFormat

/// One file of batches as its readers share it: opened and mapped on first use.
///
/// A sealed file never changes. An active one grows below a map that already has its whole maximal
/// size, so tailing needs no new one; `readableEnd` says how far its bytes may be looked at.
package final class ReadableSegment<Files: FileSystem>: Sendable {
    package let id: SegmentID
    package let base: Offset
    /// Of the writer that began it.
    package let epoch: Epoch
    package let path: String
    package let generation: UInt32
    let files: Files
    private let maps: SegmentMaps
    /// Nobody looks beyond this.
    package let mapByteCount: Int
    private let readable: Atomic<UInt64>
    private let state: Lock<State>

    private struct State {
        /// Held by those who read from it; a map does without. It closes with the last of them.
        weak var file: Files.File?
        /// Held by those who read in it, and by the store's list of recent ones.
        weak var map: SegmentMap?
        var sealed: SealedSegment?
        /// Live statistics of an active segment; of a sealed one, its footer once it was read.
        var summary: SegmentSummary?
        /// Batches that came while there was no summary to note them in.
        var unnoted = 0
        /// What the header says of them, once it was read.
        var epochStarts: [EpochStart]?
        /// What is done when the last reader lets go of it.
        var farewell: (@Sendable () -> Void)?
    }

    /// `summary` is given for an active segment, `sealed` for a sealed one.
    package init(
        files: Files, entry: SegmentEntry, path: String, maps: SegmentMaps, mapByteCount: Int,
        readableEnd: FilePosition, summary: SegmentSummary?
    ) {
        self.id = entry.id
        self.base = entry.base
        self.epoch = entry.epoch
        self.path = path
        self.generation = entry.generation
        self.files = files
        self.maps = maps
        self.mapByteCount = mapByteCount
        self.readable = Atomic(readableEnd.value)
        self.state = Lock(State(sealed: entry.sealed, summary: summary))
    }

    deinit {
        let farewell = state.withLock { $0.farewell }
        farewell?()
    }

    /// Replaced or retired: its file may go when nobody reads it any more.
    func retire(_ farewell: @escaping @Sendable () -> Void) {
        state.withLock { $0.farewell = farewell }
    }

    package var readableEnd: FilePosition {
        FilePosition(readable.load(ordering: .acquiring))
    }
    package var sealed: SealedSegment? { state.withLock { $0.sealed } }

    /// Of the file, as far as it is written.
    var fileBytes: UInt64 { sealed?.fileBytes ?? readableEnd.value }

    package func advance(readableEnd: FilePosition) {
        readable.store(readableEnd.value, ordering: .releasing)
    }

    package func seal(_ sealed: SealedSegment, summary: SegmentSummary?) {
        readable.store(sealed.batchesEnd.value, ordering: .releasing)
        state.withLock {
            $0.sealed = sealed
            $0.summary = summary ?? $0.summary
        }
    }

    /// The writer notes each batch, so that searches in an active segment find their block.
    ///
    /// A walk that made the summary a moment ago may have met the batch already.
    package func note(_ header: BatchHeader, at position: FilePosition) {
        state.withLock { state in
            guard var summary = state.summary.take() else {
                state.unnoted += 1
                return
            }
            let isKnown = header.kind == .records && header.endOffset <= summary.endOffset
            if !isKnown { summary.add(header, at: position) }
            state.summary = summary
        }
    }

    /// The file, open for reading, for as long as the caller holds it.
    package func file() throws(WeirError) -> Files.File {
        if let file = state.withLock({ $0.file }) { return file }
        let opened = try files.open(path, .read)
        return state.withLock { state in
            if let file = state.file { return file }
            state.file = opened
            return opened
        }
    }

    /// The file's map; `nil` where as many files are mapped as may be: read it by `pread` then.
    package func map() throws(WeirError) -> SegmentMap? {
        if let map = state.withLock({ $0.map }) { return map }
        guard let made = try maps.make(files, file(), byteCount: mapByteCount) else { return nil }
        return state.withLock { state in
            if let map = state.map { return map }
            state.map = made
            return made
        }
    }

    /// Where epochs begin in it that are later than its own: of neighbours that were merged. The
    /// header is read once. Throws `damaged` where it does not hold.
    package func epochStarts() throws(WeirError) -> [EpochStart] {
        guard generation > 0 else { return [] }
        if let known = state.withLock({ $0.epochStarts }) { return known }
        let starts = try header().epochStarts
        state.withLock { $0.epochStarts = starts }
        return starts
    }

    private func header() throws(WeirError) -> SegmentHeader {
        let bytes = try files.read(try file(), at: .zero, byteCount: SegmentHeader.byteCountMax)
        do throws(WeirError) {
            let header = try SegmentHeader.decode(bytes).header
            guard header.segmentID == id else {
                throw WeirError.damaged("The header is that of segment \(header.segmentID).")
            }
            return header
        } catch {
            throw error.located(.init(path: path))
        }
    }

    /// What of a sealed file's header or footer does not hold; `nil` if both do. Reads both, and no
    /// batch.
    package func flaw(_ sealed: SealedSegment) throws(WeirError) -> String? {
        do throws(WeirError) {
            _ = try header()
        } catch {
            guard error.code == .damaged else { throw error }
            return error.message
        }
        return try footer(sealed) == nil ? "The footer does not hold." : nil
    }

    /// Counts, ranges and block index: live ones of an active segment, the footer of a sealed one.
    ///
    /// A footer is read once, on first use. One that is damaged is made anew by walking over the
    /// batches' headers, since it holds nothing that they do not.
    package func summary() throws(WeirError) -> SegmentSummary {
        let (known, sealed, unnoted) = state.withLock { ($0.summary, $0.sealed, $0.unnoted) }
        if let known { return known }
        let made: SegmentSummary
        if let sealed, let footer = try footer(sealed) {
            made = footer.summary
        } else {
            made = try scannedSummary()
        }
        state.withLock { state in
            // A batch that came while this one walked may be missing: then it is not kept.
            if state.summary == nil, state.unnoted == unnoted { state.summary = made }
        }
        return made
    }

    /// `nil` where it does not hold.
    package func footer(_ sealed: SealedSegment) throws(WeirError) -> SegmentFooter? {
        let length = Int(clamping: sealed.fileBytes) - Int(clamping: sealed.batchesEnd.value)
        guard (SegmentFooter.Trailer.end...Limits.footerBytesMax).contains(length) else {
            return nil
        }
        let bytes = try files.read(try file(), at: sealed.batchesEnd, byteCount: length)
        do throws(WeirError) {
            return try SegmentFooter.decode(bytes, segment: id, at: sealed.batchesEnd).footer
        } catch {
            if error.code == .newerFormat { throw error }
            return nil
        }
    }

    private func scannedSummary() throws(WeirError) -> SegmentSummary {
        var summary = SegmentSummary(base: base)
        var window = SegmentWindow(segment: self, mode: .copied)
        var scanner = SegmentScanner(
            segment: id, position: FilePosition(UInt64(SegmentHeader.alignment)))
        scan: while true {
            switch try window.next(&scanner, checkingBody: false) {
            case .batch(let header, let position): summary.add(header, at: position)
            case .damage: continue
            case .end: break scan
            case .newer(let what, let position):
                throw WeirError.newerFormat(
                    "Byte \(position) of \(path) has \(what); use a newer version of Weir.")
            }
        }
        return summary
    }
}
