import WeirBase
package import WeirFormat

/// Whether a batch's records are what its header says, counted one by one: a decider.
///
/// A value with or without a key costs a look at its first bytes; an entry with a time or headers
/// is parsed.
package struct RecordCheck: Sendable, Hashable {
    private var recordCount = 0
    private var keyedCount = 0
    private var tombstoneCount = 0
    private var minTime = Timestamp.distantFuture
    private var maxTime = Timestamp.distantPast
    private var hasUntimed = false
    private var last: Offset?
    private var isInOrder = true
    /// Records in a codec that is not built in: nobody can look at them.
    private var opaqueCount = 0
    private var isComplete = false

    package var hasOpaque: Bool { opaqueCount > 0 }

    /// Walks over the records of an unpacked body. `hasTable`: their offsets have holes.
    package init(_ records: consuming RecordWalker, hasTable: Bool) {
        while true {
            // Nothing can be wrong with the offset of one that the table does not tell.
            let skipped = hasTable ? (all: 0, keyed: 0) : records.skipValues()
            recordCount += skipped.all
            keyedCount += skipped.keyed
            hasUntimed = hasUntimed || skipped.all > 0
            guard let record = records.next() else { break }
            if let last, record.offset <= last { isInOrder = false }
            last = record.offset
            recordCount += 1
            if record.shape == .opaque {
                let count = SubBatchHead(record.entry, at: 0)?.recordCount ?? 1
                recordCount += count - 1
                opaqueCount += count
            }
            if record.key != nil { keyedCount += 1 }
            if record.isTombstone { tombstoneCount += 1 }
            if let time = record.recordTime {
                minTime = min(minTime, time)
                maxTime = max(maxTime, time)
            } else {
                hasUntimed = true
            }
        }
        isComplete = records.isComplete
    }

    /// What is wrong, in words; `nil` if nothing is. `entryCount` is that of the stored body.
    package func defect(of header: BatchHeader, entryCount: Int?) -> String? {
        guard isComplete else {
            return "the entries of a batch do not fill its body: a length among them is wrong"
        }
        if recordCount != header.recordCount {
            return "a batch has \(recordCount) records, and its header says \(header.recordCount)"
        }
        let entries = entryCount ?? recordCount
        if entries != header.entryCount {
            return "a batch has \(entries) entries, and its header says \(header.entryCount)"
        }
        if !isInOrder { return "the offsets in a batch do not rise" }
        if let last, last >= header.endOffset {
            return "a batch has a record of offset \(last), and its header ends before "
                + "\(header.endOffset)"
        }
        guard !hasOpaque else { return nil }
        if (keyedCount, tombstoneCount) != (header.keyedCount, header.tombstoneCount) {
            return "a batch has \(keyedCount) keys and \(tombstoneCount) tombstones, and its "
                + "header says \(header.keyedCount) and \(header.tombstoneCount)"
        }
        return timeDefect(of: header)
    }

    private func timeDefect(of header: BatchHeader) -> String? {
        guard recordCount > 0 else { return nil }
        let low = hasUntimed ? min(minTime, header.appendTime) : minTime
        let high = hasUntimed ? max(maxTime, header.appendTime) : maxTime
        guard low == header.minRecordTime, high == header.maxRecordTime else {
            return "the record times of a batch go from \(low) to \(high), and its header says "
                + "\(header.minRecordTime) to \(header.maxRecordTime)"
        }
        return nil
    }
}

extension RecordCheck {
    /// What is wrong with a batch whose checksums hold, in words; `nil` if nothing is.
    static func defect(
        of header: BatchHeader, table: RawSpan, body: RawSpan, _ unpacker: inout BodyUnpacker
    ) -> String? {
        if !table.isEmpty, table.byteCount != header.recordCount * 4 {
            return "a batch of \(header.recordCount) records has an offset table of "
                + "\(table.byteCount) bytes"
        }
        if header.compat & BatchHeader.compatHasSubBatches != 0 {
            return packedDefect(of: header, table: table, body: body, &unpacker)
        }
        guard header.rawBodyLength == header.bodyLength else {
            return "a batch that is not compressed has \(header.bodyLength) bytes, and its header "
                + "says \(header.rawBodyLength)"
        }
        let records = RecordWalker(body: body, table: table, firstOffset: header.firstOffset)
        let check = RecordCheck(records, hasTable: !table.isEmpty)
        return check.defect(of: header, entryCount: nil)
    }

    private static func packedDefect(
        of header: BatchHeader, table: RawSpan, body: RawSpan, _ unpacker: inout BodyUnpacker
    ) -> String? {
        do throws(WeirError) {
            let byteCount = try unpacker.unpack(body, header: header)
            var entryCount = 0
            var entries = RecordWalker(
                body: body, table: RawSpan(), firstOffset: header.firstOffset)
            while entries.next() != nil { entryCount += 1 }
            let records = RecordWalker(
                body: unpacker.bytes(byteCount), table: table, firstOffset: header.firstOffset)
            let check = RecordCheck(records, hasTable: !table.isEmpty)
            guard byteCount == header.rawBodyLength || check.hasOpaque else {
                return "a batch unpacks to \(byteCount) bytes, and its header says "
                    + "\(header.rawBodyLength)"
            }
            return check.defect(of: header, entryCount: entryCount)
        } catch {
            return error.message
        }
    }
}
