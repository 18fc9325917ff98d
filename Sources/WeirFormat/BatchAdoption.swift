package import WeirBase

/// A batch of another log on its way into this one: what is kept of it, besides its body.
package struct BatchAdoption: Sendable {
    /// The header of a body that goes in as it is; `nil` for one that was built anew.
    package var packed: BatchHeader?
    /// Where it began there, and how many offsets it had.
    package var first: Offset
    package var offsetSpan: Int
    package var recordCount: Int
    /// Of each record relative to `first`, if offsets are missing between them.
    package var offsets: [UInt32] = []
    /// Wanted where the next offset is not beyond `first`: what is missing before the batch becomes
    /// a part of its span, as if compaction had taken it away.
    package var keepsOffsets: Bool
    /// When it was appended there: the time of records that have none of their own.
    package var appendTime: Timestamp
    /// Whether it is refused where the time cannot be kept.
    package var needsTime: Bool
    /// Of named producers there; they are taken over with the offsets.
    package var producers: [ProducerRow] = []
    /// What else the extension held.
    package var sections: [UInt8] = []

    package init(
        of header: BatchHeader, range: Range<Offset>, recordCount: Int, keepsOffsets: Bool,
        needsTime: Bool
    ) {
        self.first = range.lowerBound
        self.offsetSpan = range.upperBound - range.lowerBound
        self.recordCount = recordCount
        self.keepsOffsets = keepsOffsets
        self.appendTime = header.appendTime
        self.needsTime = needsTime
    }

    /// The end of what it had, where it was.
    package var end: Offset { first + offsetSpan }

    /// A whole batch, its body as it is.
    package init(packed header: BatchHeader, sections: RawSpan, keepsOffsets: Bool) {
        self.init(
            of: header, range: header.firstOffset..<header.endOffset,
            recordCount: header.recordCount, keepsOffsets: keepsOffsets, needsTime: true)
        packed = header
        producers = BatchExtension.producers(in: sections)
        let told = [
            BatchExtension.SectionType.producers, BatchExtension.SectionType.offsetTable,
        ]
        let rest = BatchExtension.sections(in: sections, without: Set(told))
        // Room for a table and producers. What is left out are hints that a reader does without.
        if rest.count <= Limits.extensionBytesMax / 4 { self.sections = rest }
        guard let table = BatchExtension.offsetTable(in: sections) else { return }
        for place in stride(from: 0, to: table.byteCount - 3, by: 4) {
            offsets.append(
                unsafe UInt32(
                    littleEndian: table.unsafeLoadUnaligned(
                        fromByteOffset: place, as: UInt32.self)))
        }
    }

    /// How many offsets before the batch it takes into its span, where the log goes on at `next`.
    package func hole(at next: Offset) -> Int {
        guard keepsOffsets, next < first else { return 0 }
        let hole = first - next
        return hole <= Int(UInt32.max) - offsetSpan ? hole : 0
    }

    /// The extension: with `hole` offsets taken in, and whose appends the batch holds.
    package func encodeSections(hole: Int, producers rows: [ProducerRow]) -> [UInt8] {
        var offsets = offsets
        if hole > 0 {
            // A batch without a table has its records one after the other.
            if offsets.isEmpty { offsets = (0..<recordCount).map { UInt32($0) } }
            offsets = offsets.map { UInt32(clamping: Int($0) + hole) }
        }
        let rest = unsafe BatchExtension.encode(offsets: offsets, keeping: sections.span.bytes)
        return rest + (rows.isEmpty ? [] : BatchExtension.encode(producers: rows))
    }
}

extension BatchBuilder {
    /// Takes a batch's body as it is, packed or not, in place of records of its own. `false` if it
    /// is larger than the builder's limit.
    package mutating func adopt(_ header: BatchHeader, body: RawSpan) -> Bool {
        removeAll()
        guard reserve(body.byteCount) else { return false }
        // Room for all of it, by the line above.
        unsafe body.withUnsafeBytes { bytes in
            if let source = bytes.baseAddress {
                unsafe (base + BatchBuilder.bodyStart).copyMemory(
                    from: source, byteCount: bytes.count)
            }
        }
        end = BatchBuilder.bodyStart + body.byteCount
        recordCount = header.recordCount
        keyedCount = header.keyedCount
        tombstoneCount = header.tombstoneCount
        timedCount = header.recordCount
        minRecordTime = header.minRecordTime
        maxRecordTime = header.maxRecordTime
        return true
    }
}
