package import WeirBase

/// Makes an archive's bytes, one part after the other.
package struct ArchiveEncoder: Sendable {
    package let head: ArchiveHead
    package private(set) var tally: ArchiveTally

    /// Begins a new archive, or goes on behind what `tally` says is there.
    package init(_ head: ArchiveHead, after tally: ArchiveTally? = nil) {
        self.head = head
        self.tally = tally ?? ArchiveTally(head)
    }

    package mutating func begin() -> [UInt8] {
        let bytes = head.encode()
        tally.add(bytes[...])
        return bytes
    }

    /// A batch as it stands in a segment, with a header that proves its new place.
    package mutating func put(_ header: BatchHeader, stored: RawSpan) -> [UInt8] {
        precondition(stored.byteCount == header.storedByteCount, "a part of a batch")
        var bytes = unsafe stored.withUnsafeBytes { unsafe Array($0) }
        let place = BatchPlace(segment: head.archiveID, position: tally.position)
        // A whole batch, whose header comes first, by the condition above.
        unsafe bytes.withUnsafeMutableBytes { buffer in
            if let base = buffer.baseAddress { unsafe header.encode(to: base, at: place) }
        }
        tally.add(header, bytes[...])
        return bytes
    }

    package func end() -> [UInt8] { tally.encode() }
}

/// A batch of an archive, proven.
package struct ArchivedBatch: Sendable, Hashable {
    package let header: BatchHeader
    /// Header, extension, body and padding.
    package let bytes: [UInt8]

    package var sections: RawSpan {
        @_lifetime(borrow self) borrowing get {
            unsafe bytes.span.bytes.extracting(BatchHeader.byteCount..<header.bodyStart)
        }
    }
    package var body: RawSpan {
        @_lifetime(borrow self) borrowing get {
            let end = header.bodyStart + header.bodyLength
            return unsafe bytes.span.bytes.extracting(header.bodyStart..<end)
        }
    }
}

/// Reads what `ArchiveEncoder` makes, in pieces of any size.
///
///     add bytes ─▶ next ─▶ head, batch, batch … trailer
///                       ─▶ nil: the next part is not there whole, add more
///
/// In a series a head follows each trailer but that of the last partition.
///
/// Pure. Holds the pieces that were added and no more: every length is bounded before it is waited
/// for, so that at most a batch of the largest size is gathered. Nothing is given of a batch with a
/// byte that is not as it was written.
package struct ArchiveDecoder: Sendable {
    package enum Item: Sendable, Hashable {
        case head(ArchiveHead)
        case batch(ArchivedBatch)
        /// Everything before it is whole, and as it was. Not the end, in a series.
        case trailer
    }

    private var buffer: [UInt8] = []
    private var taken = 0
    package private(set) var head: ArchiveHead?
    /// What was given so far of this archive; `nil` before its head.
    package private(set) var tally: ArchiveTally?
    /// The archive that is whole before this one in a series, and what there was up to its end.
    package private(set) var previous: (head: ArchiveHead, byteCount: UInt64, recordCount: UInt64)?
    /// The last trailer was given.
    package private(set) var isEnded = false

    package init() {}

    package mutating func add(_ bytes: [UInt8]) {
        if taken > 0 {
            buffer.removeFirst(taken)
            taken = 0
        }
        buffer += bytes
    }

    /// The next part; `nil` if more bytes are needed for it, or none follows.
    ///
    /// Throws `damaged` with the byte where it is, or `newerFormat`; it throws the same again then.
    package mutating func next() throws(WeirError) -> Item? {
        if isEnded {
            guard left == 0 else {
                throw damaged("\(left) bytes follow where the archive ends")
            }
            return nil
        }
        guard let head, tally != nil else { return try nextHead() }
        guard left >= 8 else { return nil }
        var reader = ByteReader(buffer[taken...], "archive")
        if try reader.get(UInt64.self) == ArchiveTally.magic { return try nextTrailer() }
        return try nextBatch(head)
    }

    /// Asked at the input's end. Throws `damaged` unless the trailer was given.
    package func expectEnd() throws(WeirError) {
        if isEnded { return }
        guard let tally else {
            let behind = previous.map { " behind partition \($0.head.name)" } ?? ""
            throw damaged("the input ends inside the archive's head" + behind)
        }
        throw damaged(
            "the input ends there, behind \(tally.batchCount) batches up to offset \(tally.end), "
                + "before the archive's trailer")
    }

    /// Bytes that were added and not given yet.
    package var left: Int { buffer.count - taken }
    /// Bytes that were given.
    package var byteCount: UInt64 { tally?.place ?? previous?.byteCount ?? 0 }

    private mutating func nextHead() throws(WeirError) -> Item? {
        guard left >= ArchiveHead.Field.version else { return nil }
        let byteCount = try ArchiveHead.byteCount(buffer[taken...])
        guard left >= byteCount else { return nil }
        let bytes = buffer[taken..<taken + byteCount]
        let head = try ArchiveHead.decode(bytes)
        guard head.follows(previous?.head) else {
            throw damaged(
                "stands that of \(head.name), and " + (previous?.head.name.description ?? "nothing")
                    + " before it, where the partitions of a stream go in their order")
        }
        var tally = ArchiveTally(head, behind: self.byteCount)
        tally.add(bytes)
        (self.head, self.tally) = (head, tally)
        taken += byteCount
        return .head(head)
    }

    private mutating func nextTrailer() throws(WeirError) -> Item? {
        guard left >= ArchiveTally.byteCount else { return nil }
        let end = taken + ArchiveTally.byteCount
        try tally?.expect(buffer[taken..<end])
        taken = end
        if let head, let tally, !head.isLast {
            previous = (
                head, byteCount + UInt64(ArchiveTally.byteCount),
                (previous?.recordCount ?? 0) + tally.recordCount
            )
            (self.head, self.tally) = (nil, nil)
            return .trailer
        }
        isEnded = true
        guard left == 0 else { return try next() }
        return .trailer
    }

    private mutating func nextBatch(_ head: ArchiveHead) throws(WeirError) -> Item? {
        guard left >= BatchHeader.byteCount else { return nil }
        let header = try nextHeader(head)
        guard left >= header.storedByteCount else { return nil }
        let end = taken + header.storedByteCount
        let batch = ArchivedBatch(header: header, bytes: Array(buffer[taken..<end]))
        try check(batch)
        tally?.add(header, buffer[taken..<end])
        taken = end
        return .batch(batch)
    }

    private func nextHeader(_ head: ArchiveHead) throws(WeirError) -> BatchHeader {
        let position = tally?.position ?? .zero
        let header: BatchHeader
        do throws(BatchHeader.Defect) {
            let end = taken + BatchHeader.byteCount
            header = unsafe try BatchHeader.decode(
                buffer.span.bytes.extracting(taken..<end),
                at: BatchPlace(segment: head.archiveID, position: position))
        } catch {
            switch error {
            case .notABatch: throw damaged("neither a batch nor the archive's trailer begins there")
            case .checksum: throw damaged("the batch's header does not fit its checksum")
            case .field(let what): throw damaged("the batch's header has \(what)")
            case .newer(let what):
                throw WeirError.newerFormat(
                    "Byte \(byteCount) of the archive has \(what); use a newer version of Weir.")
            }
        }
        guard header.kind == .records else { throw damaged("a \(header.kind) stands there") }
        if let tally, tally.batchCount > 0, header.firstOffset < tally.end {
            throw damaged(
                "the batch begins at offset \(header.firstOffset), and the one before ends at "
                    + "\(tally.end)")
        }
        return header
    }

    private func check(_ batch: ArchivedBatch) throws(WeirError) {
        let header = batch.header
        let isWhole = unsafe SegmentScanner.isWhole(header, in: batch.bytes.span.bytes, at: .zero)
        let padding = batch.bytes[(header.bodyStart + header.bodyLength)...]
        guard isWhole, padding.allSatisfy({ $0 == 0 }) else {
            throw damaged(
                "the batch's \(header.storedByteCount) bytes, with the offsets "
                    + "\(header.firstOffset) to before \(header.endOffset), do not fit its "
                    + "checksums")
        }
        switch BatchExtension.examine(batch.sections) {
        case .understood: break
        case .malformed: throw damaged("the sections of the batch's extension do not fit")
        case .newer(let type):
            throw WeirError.newerFormat(
                "The batch at byte \(byteCount) of the archive has an extension of "
                    + "type \(type); use a newer version of Weir.")
        }
        // Its checksums hold, so somebody made it so.
        guard let table = BatchExtension.offsetTable(in: batch.sections), !table.isEmpty else {
            return
        }
        guard BatchExtension.isGood(table, of: header) else {
            throw damaged(
                "the batch's table of offsets does not rise from record to record within the "
                    + "\(header.offsetSpan) that its header says")
        }
    }

    private func damaged(_ what: String) -> WeirError {
        WeirError.damaged(
            "At byte \(byteCount) of the archive \(what); fetch or make the archive "
                + "again, and import it once more: what was imported is not imported twice.",
            offset: tally?.end)
    }
}
