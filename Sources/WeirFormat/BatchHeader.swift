package import WeirBase

/// The 152 bytes before a batch's extension and body; little-endian.
///
///       0        4        8   9   10     12      16        20       24
///     | magic  | header | v | k | length| compat| roCompat| incompat|
///     |        | crc    | e | i |       |       |         |         |
///      24       28          32         36         40        44          48
///     | key id | ext. crc | body crc | ext. len | body len | raw len   |
///      48       52        56             64          68      72           76        80
///     | entries| records | first offset | offset span| keyed | tombstones| reserved |
///      80       88            96            104               112               120     152
///     | epoch  | durable end | append time | min record time | max record time | reserved |
///
/// The header checksum covers segment id, file position, the magic and everything from byte 8 on:
/// a batch that was copied, misdirected, recycled or left over from another epoch fails it.
@usableFromInline
package struct BatchHeader: Sendable, Hashable {
    package enum Field {
        package static let magic = 0, headerChecksum = 4, version = 8, kind = 9, headerLength = 10
        package static let compat = 12, roCompat = 16, incompat = 20, keyID = 24
        package static let extensionChecksum = 28, bodyChecksum = 32
        package static let extensionLength = 36, bodyLength = 40, rawBodyLength = 44
        package static let entryCount = 48, recordCount = 52, firstOffset = 56, offsetSpan = 64
        package static let keyedCount = 68, tombstoneCount = 72, reservedWord = 76
        package static let epoch = 80, durableEnd = 88, appendTime = 96
        package static let minRecordTime = 104, maxRecordTime = 112
        package static let reserved = 120, end = 152
    }

    package enum Kind: UInt8, Sendable {
        case records = 0
        /// Empty: says how far the log was durable when the writer closed or went idle.
        case marker = 1
        /// Padding up to a commit boundary.
        case filler = 2
    }

    /// "WBAT" as its bytes stand in the file.
    package static let magic: UInt32 = 0x5441_4257
    package static let version: UInt8 = 1
    package static let byteCount = Field.end
    /// Set where the body holds sub-batches, so that readers know to unpack before they walk.
    package static let compatHasSubBatches: UInt32 = 1
    package static let knownRoCompat: UInt32 = 0
    package static let knownIncompat: UInt32 = 0

    package var kind: Kind
    package var compat: UInt32 = 0
    package var roCompat: UInt32 = 0
    package var incompat: UInt32 = 0
    package var keyID: UInt32 = 0
    package var extensionChecksum: UInt32 = 0
    package var bodyChecksum: UInt32 = 0
    package var extensionLength: Int = 0
    package var bodyLength: Int = 0
    package var rawBodyLength: Int = 0
    package var entryCount: Int = 0
    package var recordCount: Int = 0
    package var firstOffset: Offset
    package var offsetSpan: Int = 0
    package var keyedCount: Int = 0
    package var tombstoneCount: Int = 0
    package var epoch: Epoch
    package var durableEnd: Offset
    package var appendTime: Timestamp
    package var minRecordTime: Timestamp
    package var maxRecordTime: Timestamp

    package init(
        kind: Kind, firstOffset: Offset, epoch: Epoch, durableEnd: Offset, appendTime: Timestamp
    ) {
        self.kind = kind
        self.firstOffset = firstOffset
        self.epoch = epoch
        self.durableEnd = durableEnd
        self.appendTime = appendTime
        self.minRecordTime = appendTime
        self.maxRecordTime = appendTime
    }

    /// The first offset after the batch.
    package var endOffset: Offset { firstOffset + offsetSpan }
    /// Header, extension, body and the padding up to the next multiple of eight.
    package var storedByteCount: Int {
        roundedUp(BatchHeader.byteCount + extensionLength + bodyLength, to: 8)
    }
    package var bodyStart: Int { BatchHeader.byteCount + extensionLength }
}

/// Where a batch stands; part of its header checksum.
package struct BatchPlace: Sendable, Hashable {
    package let segment: SegmentID
    package let position: FilePosition
    package init(segment: SegmentID, position: FilePosition) {
        self.segment = segment
        self.position = position
    }
}

extension BatchHeader {
    /// Writes the header, its checksum last.
    ///
    /// `target` has at least `byteCount` bytes.
    package func encode(to target: UnsafeMutableRawPointer, at place: BatchPlace) {
        unsafe target.storeLittle(BatchHeader.magic, Field.magic)
        unsafe target.storeLittle(BatchHeader.version, Field.version)
        unsafe target.storeLittle(kind.rawValue, Field.kind)
        unsafe target.storeLittle(UInt16(BatchHeader.byteCount), Field.headerLength)
        unsafe target.storeLittle(compat, Field.compat)
        unsafe target.storeLittle(roCompat, Field.roCompat)
        unsafe target.storeLittle(incompat, Field.incompat)
        unsafe target.storeLittle(keyID, Field.keyID)
        unsafe target.storeLittle(extensionChecksum, Field.extensionChecksum)
        unsafe target.storeLittle(bodyChecksum, Field.bodyChecksum)
        unsafe target.storeLittle(UInt32(extensionLength), Field.extensionLength)
        unsafe target.storeLittle(UInt32(bodyLength), Field.bodyLength)
        unsafe target.storeLittle(UInt32(rawBodyLength), Field.rawBodyLength)
        unsafe target.storeLittle(UInt32(entryCount), Field.entryCount)
        unsafe target.storeLittle(UInt32(recordCount), Field.recordCount)
        unsafe target.storeLittle(firstOffset.value, Field.firstOffset)
        unsafe target.storeLittle(UInt32(offsetSpan), Field.offsetSpan)
        unsafe target.storeLittle(UInt32(keyedCount), Field.keyedCount)
        unsafe target.storeLittle(UInt32(tombstoneCount), Field.tombstoneCount)
        unsafe target.storeLittle(UInt32(0), Field.reservedWord)
        unsafe target.storeLittle(epoch.value, Field.epoch)
        unsafe target.storeLittle(durableEnd.value, Field.durableEnd)
        unsafe target.storeLittle(appendTime.microseconds, Field.appendTime)
        unsafe target.storeLittle(minRecordTime.microseconds, Field.minRecordTime)
        unsafe target.storeLittle(maxRecordTime.microseconds, Field.maxRecordTime)
        unsafe (target + Field.reserved).initializeMemory(
            as: UInt8.self, repeating: 0, count: Field.end - Field.reserved)
        let checksum = unsafe BatchHeader.checksum(of: UnsafeRawPointer(target), at: place)
        unsafe target.storeLittle(checksum, Field.headerChecksum)
    }

    /// CRC-32C over segment id, position, magic and the bytes from `version` to the end.
    package static func checksum(of header: UnsafeRawPointer, at place: BatchPlace) -> UInt32 {
        let words = (
            place.segment.value.littleEndian, place.position.value.littleEndian,
            unsafe header.loadUnaligned(fromByteOffset: Field.magic, as: UInt32.self)
        )
        var checksum = unsafe withUnsafeBytes(of: words) { bytes in
            // 20 bytes: the tuple's own padding is left out.
            unsafe crc32c(UnsafeRawBufferPointer(rebasing: bytes[0..<20]))
        }
        let rest = unsafe UnsafeRawBufferPointer(
            start: header + Field.version, count: Field.end - Field.version)
        checksum = unsafe crc32c(rest, seed: checksum)
        return checksum
    }

    /// Why bytes are not a batch header.
    package enum Defect: Error, Hashable, Sendable {
        case notABatch
        case checksum
        case newer(String)
        case field(String)
    }

    /// Reads a header and proves that it was written for this very place.
    ///
    /// Every number that other code will use to take memory or to move on is bounded here.
    package static func decode(
        _ bytes: RawSpan, at place: BatchPlace
    ) throws(Defect) -> BatchHeader {
        guard bytes.byteCount >= byteCount else { throw .notABatch }
        // The span is at least a header long, and the pointer does not leave the closure.
        let result: Result<BatchHeader, Defect> = unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return .failure(.notABatch) }
            do throws(Defect) {
                return .success(unsafe try decode(base, at: place))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private static func decode(
        _ base: UnsafeRawPointer, at place: BatchPlace
    ) throws(Defect) -> BatchHeader {
        guard unsafe base.little(Field.magic) == magic else { throw .notABatch }
        let headerLength = unsafe Int(base.little(Field.headerLength, as: UInt16.self))
        let foundVersion: UInt8 = unsafe base.little(Field.version)
        let found: UInt32 = unsafe base.little(Field.headerChecksum)
        guard unsafe found == checksum(of: base, at: place) else { throw .checksum }
        guard foundVersion == version, headerLength == byteCount else {
            throw .newer("batch version \(foundVersion), newest understood \(version)")
        }
        let incompat: UInt32 = unsafe base.little(Field.incompat)
        guard incompat & ~knownIncompat == 0 else {
            throw .newer("batch feature bits \(incompat), understood \(knownIncompat)")
        }
        guard let kind = unsafe Kind(rawValue: base.little(Field.kind)) else {
            throw .newer("batch kind \(unsafe base.little(Field.kind, as: UInt8.self))")
        }
        var header = BatchHeader(
            kind: kind,
            firstOffset: unsafe Offset(base.little(Field.firstOffset)),
            epoch: unsafe Epoch(base.little(Field.epoch)),
            durableEnd: unsafe Offset(base.little(Field.durableEnd)),
            appendTime: unsafe Timestamp(microseconds: base.little(Field.appendTime)))
        unsafe header.loadRest(from: base)
        header.incompat = incompat
        try header.checkLimits()
        return header
    }

    private mutating func loadRest(from base: UnsafeRawPointer) {
        func word(_ field: Int) -> Int { unsafe Int(base.little(field, as: UInt32.self)) }
        compat = unsafe base.little(Field.compat)
        roCompat = unsafe base.little(Field.roCompat)
        keyID = unsafe base.little(Field.keyID)
        extensionChecksum = unsafe base.little(Field.extensionChecksum)
        bodyChecksum = unsafe base.little(Field.bodyChecksum)
        extensionLength = word(Field.extensionLength)
        bodyLength = word(Field.bodyLength)
        rawBodyLength = word(Field.rawBodyLength)
        entryCount = word(Field.entryCount)
        recordCount = word(Field.recordCount)
        offsetSpan = word(Field.offsetSpan)
        keyedCount = word(Field.keyedCount)
        tombstoneCount = word(Field.tombstoneCount)
        minRecordTime = unsafe Timestamp(microseconds: base.little(Field.minRecordTime))
        maxRecordTime = unsafe Timestamp(microseconds: base.little(Field.maxRecordTime))
    }

    private func checkLimits() throws(Defect) {
        guard extensionLength <= Limits.extensionBytesMax, extensionLength % 8 == 0 else {
            throw .field("extension of \(extensionLength) bytes")
        }
        guard bodyLength <= Limits.decodedBodyBytesMax else {
            throw .field("body of \(bodyLength) bytes")
        }
        guard rawBodyLength <= Limits.decodedRawBytesMax else {
            throw .field("raw body of \(rawBodyLength) bytes")
        }
        guard entryCount <= Limits.batchEntriesMax, entryCount <= recordCount else {
            throw .field("\(entryCount) entries for \(recordCount) records")
        }
        guard recordCount <= rawBodyLength / 4 else {
            throw .field("\(recordCount) records in \(rawBodyLength) bytes")
        }
        guard recordCount <= offsetSpan, firstOffset.value <= .max - UInt64(offsetSpan) else {
            throw .field("\(recordCount) records in a span of \(offsetSpan) offsets")
        }
        guard keyedCount <= recordCount, tombstoneCount <= keyedCount else {
            throw .field("\(keyedCount) keys and \(tombstoneCount) tombstones")
        }
        guard kind == .records || (recordCount == 0 && offsetSpan == 0) else {
            throw .field("\(recordCount) records in a \(kind)")
        }
        guard minRecordTime <= maxRecordTime else { throw .field("record times in reverse") }
    }
}
