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

    /// What of a stream is exported.
    struct Part {
        let stream: LogStream
        let range: Range<Offset>
        /// Before the range, where more was asked for.
        let gap: Gap?
    }

    /// Partitions behind the one that is exported now.
    private var following: ArraySlice<Part> = []
    private var inner: LogCursor<RealFileSystem>
    private var encoder: ArchiveEncoder
    private var hasBegun: Bool
    private var isEnded = false
    fileprivate var recordsBefore = 0
    private var offsetsBefore = 0
    private var reportsBefore: [DamageReport] = []

    init(_ part: Part, inSeriesBefore following: ArraySlice<Part>? = nil) {
        let (stream, engine) = (part.stream, part.stream.engine)
        var head = ArchiveHead(
            archiveID: SegmentID(engine.host.random()), storeID: engine.header.storeID,
            streamID: stream.open.id, range: part.range, name: stream.name,
            configuration: stream.open.settings, creationTime: engine.host.now())
        head.isInSeries = following != nil
        self.following = following ?? []
        encoder = ArchiveEncoder(head)
        inner = LogCursor(view: stream.view, at: part.range.lowerBound, after: part.gap)
        hasBegun = false
    }

    init(
        _ stream: LogStream, _ head: ArchiveHead, after tally: ArchiveTally,
        before following: ArraySlice<Part> = []
    ) {
        self.following = following
        encoder = ArchiveEncoder(head, after: tally)
        inner = LogCursor(view: stream.view, at: max(tally.end, head.first))
        hasBegun = true
    }

    /// The first offset that is exported, and the one at which the export ends; of a partitioned
    /// stream those of the partition that is under way.
    public var range: Range<Offset> { encoder.head.first..<encoder.head.end }
    /// The offset that comes next, in the same stream.
    public var nextOffset: Offset { inner.nextOffset }
    /// Offsets that were gone through, of all streams.
    public var offsetsDone: Int {
        offsetsBefore.adding(min(inner.nextOffset, encoder.head.end) - encoder.head.first)
    }
    /// Those and the ones to come.
    public var offsetsTotal: Int {
        following.reduce(offsetsBefore.adding(range.offsetCount)) {
            $0.adding($1.range.offsetCount)
        }
    }
    /// In the archive so far, with what an interrupted writer left.
    public var recordCount: Int { recordsBefore.adding(Int(clamping: encoder.tally.recordCount)) }
    /// Bytes that were damaged in the streams and cost no record.
    public var reports: [DamageReport] { reportsBefore + inner.reports }

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
        let trailer = encoder.end()
        if let next = following.popFirst() { goOn(next) } else { isEnded = true }
        return .bytes(trailer)
    }

    private mutating func goOn(_ next: Part) {
        var export = ArchiveExport(next, inSeriesBefore: following)
        export.recordsBefore = recordCount
        export.offsetsBefore = offsetsBefore.adding(range.offsetCount)
        export.reportsBefore = reports
        self = export
    }
}

/// What is whole of an archive whose writing was interrupted: where to go on.
public struct ArchivePart: Sendable {
    private var decoder = ArchiveDecoder()
    private var isBroken = false
    /// The trailer is there: nothing is missing.
    public var isComplete: Bool { decoder.isEnded }

    public init() {}

    /// Takes in what was written, from its beginning on, in pieces of any size. Throws
    /// `newerFormat`; what is cut or altered ends what is whole.
    public mutating func add(_ bytes: [UInt8]) throws(WeirError) {
        if isBroken { return }
        decoder.add(bytes)
        do throws(WeirError) {
            while try decoder.next() != nil {}
        } catch {
            if error.code == .newerFormat { throw error }
            isBroken = true
        }
    }

    /// Of the archive that is not whole, if its head is.
    var head: ArchiveHead? { decoder.head }
    var tally: ArchiveTally? { decoder.tally }
    /// Of the last partition that is whole, in the archive of a partitioned stream.
    var previous: ArchiveHead? { decoder.previous?.head }
    fileprivate var recordsBefore: Int { Int(clamping: decoder.previous?.recordCount ?? 0) }
    /// Up to here it is whole, and there the rest goes.
    public var byteCount: Int { Int(clamping: decoder.byteCount) }
}

extension Range<Offset> {
    fileprivate var offsetCount: Int { upperBound - lowerBound }
}

extension Int {
    /// Offsets are what somebody's file says: a sum that does not fit is the largest number.
    fileprivate func adding(_ count: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(count)
        return overflow ? .max : sum
    }
}

extension ArchivePart {
    fileprivate var nothingMissing: WeirError {
        WeirError(
            .invalidArgument, "Nothing is missing of the archive, or it has no head; make it anew.")
    }
}

extension LogStream {
    /// The stream from a position to before an offset, else to its present end, as an archive.
    ///
    /// Blocks the thread. An archive has whole batches: it holds those with at least one record in
    /// the range, and an importer takes the records of the range only. Throws as `cursor`.
    public func exportArchive(
        from start: StartPosition = .first, to end: Offset? = nil
    ) throws(WeirError) -> ArchiveExport {
        ArchiveExport(try archivePart(from: start, to: end))
    }

    fileprivate func archivePart(
        from start: StartPosition, to end: Offset? = nil
    ) throws(WeirError) -> ArchiveExport.Part {
        let begin = try begin(start)
        let first = max(begin.offset, view.logStart)
        let end = min(end ?? .init(.max), max(view.visibleEnd, first))
        return .init(stream: self, range: first..<max(first, end), gap: begin.gap)
    }

    /// Goes on with an archive of this stream, behind what is whole of it; as far as that one was
    /// to go. Throws `invalidArgument` for an archive of another stream, or one that is complete.
    public func exportArchive(resuming part: ArchivePart) throws(WeirError) -> ArchiveExport {
        guard let head = part.head, let tally = part.tally, !part.isComplete else {
            throw part.nothingMissing
        }
        try expectOwn(head, inSeries: false)
        try expectWithin(head, tally)
        return ArchiveExport(self, head, after: tally)
    }

    /// Throws `damaged` for an archive that goes, or is to go, where this stream never was.
    fileprivate func expectWithin(
        _ head: ArchiveHead, _ tally: ArchiveTally
    ) throws(WeirError) {
        if engine.isReadOnly { try engine.refresh(open) }
        let goal = max(head.end, tally.end)
        guard goal > max(view.visibleEnd, view.logStart) else { return }
        throw WeirError.damaged(
            "The archive that was begun goes up to offset \(goal), and the stream \(name) ends at "
                + "\(view.visibleEnd): the archive was altered, or the stream lost its end. Remove "
                + "what was begun, and export anew.", offset: view.visibleEnd)
    }

    fileprivate func expectOwn(_ head: ArchiveHead, inSeries: Bool) throws(WeirError) {
        let isOwn = head.streamID == open.id && head.storeID == engine.header.storeID
        guard isOwn, head.isInSeries == inSeries else {
            throw WeirError(
                .invalidArgument,
                "The archive that was begun is of stream \(head.name) with the id "
                    + "\(head.streamID) in store \(head.storeID), "
                    + (head.isInSeries ? "with all other partitions, " : "")
                    + "and not of \(name), \(open.id) in \(engine.header.storeID); remove it, or "
                    + "export that stream.")
        }
    }
}

extension PartitionedStream {
    /// All partitions as one archive, each up to where it ends now: an archive of each, one after
    /// the other. Imported, they are a partitioned stream again.
    ///
    /// Blocks the thread. Throws `invalidArgument` for a beginning at an offset, which counts in
    /// one partition, and as `cursor`.
    public func exportArchive(
        from start: StartPosition = .first
    ) throws(WeirError) -> ArchiveExport {
        let parts = try archiveParts(partitions[...], from: start)
        return ArchiveExport(parts[0], inSeriesBefore: parts.dropFirst())
    }

    /// Goes on with an archive of this partitioned stream, behind what is whole of it. Partitions
    /// of which nothing was begun go up to where they end now. Throws `invalidArgument` for an
    /// archive of another stream, or one that is complete.
    public func exportArchive(
        resuming part: ArchivePart, from start: StartPosition = .first
    ) throws(WeirError) -> ArchiveExport {
        guard part.byteCount > 0, !part.isComplete else { throw part.nothingMissing }
        let wholeCount = (part.previous?.configuration.partition?.index ?? -1) + 1
        guard partitions.indices.contains(wholeCount) else { throw part.nothingMissing }
        if let previous = part.previous {
            try partitions[wholeCount - 1].expectOwn(previous, inSeries: true)
        }
        var export: ArchiveExport
        if let head = part.head, let tally = part.tally {
            let stream = partitions[wholeCount]
            try stream.expectOwn(head, inSeries: true)
            let following = try archiveParts(partitions[(wholeCount + 1)...], from: start)
            try stream.expectWithin(head, tally)
            export = ArchiveExport(stream, head, after: tally, before: following[...])
        } else {
            let parts = try archiveParts(partitions[wholeCount...], from: start)
            export = ArchiveExport(parts[0], inSeriesBefore: parts.dropFirst())
        }
        export.recordsBefore = part.recordsBefore
        return export
    }

    private func archiveParts(
        _ streams: ArraySlice<LogStream>, from start: StartPosition
    ) throws(WeirError) -> [ArchiveExport.Part] {
        if case .offset = start {
            throw WeirError(
                .invalidArgument,
                "Offsets count in one partition, and \(name) has \(partitions.count); begin at a "
                    + "time, or export one of them.", at: .init(stream: name.description))
        }
        var parts: [ArchiveExport.Part] = []
        for stream in streams { parts.append(try stream.archivePart(from: start)) }
        return parts
    }
}
