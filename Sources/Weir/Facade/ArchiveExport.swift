public import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// A stream, or a part of it, as an archive: one file or pipe with its batches as they are.
///
/// ```swift
/// var export = try orders.exportArchive()
/// writing: while true {
///     switch try export.next() {
///     case .bytes(let bytes): try file.write(contentsOf: bytes)
///     case .gap(let gap): print("\(gap)")
///     case .end: break writing
///     }
/// }
/// ```
///
/// Every batch is proven by its checksums before it is given. The archive is whole only with the
/// bytes before `end`, its trailer; an importer refuses it otherwise.
public struct ArchiveExport: ~Copyable {
    /// What a step found.
    public enum Step: Sendable, Hashable {
        /// What follows in the archive: its head, a batch, or the trailer.
        case bytes([UInt8])
        /// Records are missing in the stream, and so in the archive.
        case gap(Gap)
        /// Everything was given.
        case end
    }

    private var inner: LogCursor<RealFileSystem>
    private var encoder: ArchiveEncoder
    private var hasBegun: Bool
    private var isEnded = false

    init(_ stream: LogStream, _ range: Range<Offset>, after gap: Gap?) {
        let engine = stream.engine
        encoder = ArchiveEncoder(
            ArchiveHead(
                archiveID: SegmentID(engine.host.random()), storeID: engine.header.storeID,
                streamID: stream.open.id, range: range, name: stream.name,
                configuration: stream.open.settings, creationTime: engine.host.now()))
        inner = LogCursor(view: stream.view, at: range.lowerBound, after: gap)
        hasBegun = false
    }

    init(_ stream: LogStream, _ head: ArchiveHead, after tally: ArchiveTally) {
        encoder = ArchiveEncoder(head, after: tally)
        inner = LogCursor(view: stream.view, at: max(tally.end, head.first))
        hasBegun = true
    }

    /// The first offset that is exported, and the one at which the export ends.
    public var range: Range<Offset> { encoder.head.first..<encoder.head.end }
    /// The offset that comes next.
    public var nextOffset: Offset { inner.nextOffset }
    /// In the archive so far, with what an interrupted writer left.
    public var recordCount: Int { Int(clamping: encoder.tally.recordCount) }
    /// Bytes that were damaged in the stream and cost no record.
    public var reports: [DamageReport] { inner.reports }

    /// Goes on. Throws what the medium said, `damaged` where mapped pages vanish, `newerFormat`.
    public mutating func next() throws(WeirError) -> Step {
        if !hasBegun {
            hasBegun = true
            return .bytes(encoder.begin())
        }
        if isEnded { return .end }
        if inner.nextOffset < encoder.head.end {
            switch try inner.next() {
            case .batch(let header) where header.firstOffset < encoder.head.end:
                let bytes = encoder.put(header, stored: inner.storedBytes)
                // Were pages lost meanwhile, zeros were copied.
                try inner.expectIntact()
                return .bytes(bytes)
            case .gap(let gap): return .gap(gap)
            case .batch, .end, .held: break
            }
        }
        isEnded = true
        return .bytes(encoder.end())
    }
}

/// What is whole of an archive whose writing was interrupted: where to go on.
public struct ArchivePart: Sendable {
    private var decoder = ArchiveDecoder()
    private(set) var head: ArchiveHead?
    private var isBroken = false
    /// The trailer is there: nothing is missing.
    public private(set) var isComplete = false

    public init() {}

    /// Takes in what was written, from its beginning on, in pieces of any size. Throws
    /// `newerFormat`; what is cut or altered ends what is whole.
    public mutating func add(_ bytes: [UInt8]) throws(WeirError) {
        if isBroken { return }
        decoder.add(bytes)
        do throws(WeirError) {
            while let item = try decoder.next() {
                if case .head(let found) = item { head = found }
                if case .trailer = item { isComplete = true }
            }
        } catch {
            if error.code == .newerFormat { throw error }
            isBroken = true
        }
    }

    var tally: ArchiveTally? { decoder.tally }
    /// Up to here it is whole, and there the rest goes.
    public var byteCount: Int { Int(clamping: tally?.byteCount ?? 0) }
}

extension LogStream {
    /// The stream from a position to before an offset, else to its present end, as an archive.
    ///
    /// Blocks the thread. An archive has whole batches: it holds those with at least one record in
    /// the range, and an importer takes the records of the range only. Throws as `cursor`.
    public func exportArchive(
        from start: StartPosition = .first, to end: Offset? = nil
    ) throws(WeirError) -> ArchiveExport {
        let begin = try begin(start)
        let first = max(begin.offset, view.logStart)
        let end = min(end ?? .init(.max), max(view.visibleEnd, first))
        return ArchiveExport(self, first..<max(first, end), after: begin.gap)
    }

    /// Goes on with an archive of this stream, behind what is whole of it; as far as that one was
    /// to go. Throws `invalidArgument` for an archive of another stream, or one that is complete.
    public func exportArchive(resuming part: ArchivePart) throws(WeirError) -> ArchiveExport {
        guard let head = part.head, let tally = part.tally, !part.isComplete else {
            throw WeirError(
                .invalidArgument,
                "Nothing is missing of the archive, or it has no head; make it anew.")
        }
        guard head.streamID == open.id, head.storeID == engine.header.storeID else {
            throw WeirError(
                .invalidArgument,
                "The archive that was begun is of stream \(head.name) with the id "
                    + "\(head.streamID) in store \(head.storeID), and not of \(name), \(open.id) "
                    + "in \(engine.header.storeID); remove it, or export that stream.")
        }
        if engine.isReadOnly { try engine.refresh(open) }
        return ArchiveExport(self, head, after: tally)
    }
}
