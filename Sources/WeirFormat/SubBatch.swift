import WeirBase

/// The head of a compressed sub-batch, eleven bytes, big-endian as in the stream protocol.
///
///      0               1         3            7               11
///     | 1 ccc 0000    | records | raw length | stored length | bytes …
///
/// `ccc` is the codec. The bytes unpack to entries, each with its length word. Codec 3 is an LZ4
/// frame, codec 0 nothing at all; 1, 2 and 4 (gzip, snappy, zstd) are kept as they are.
package struct SubBatchHead: Sendable, Hashable {
    package enum Field {
        package static let codec = 0, recordCount = 1, rawLength = 3, storedLength = 7, end = 11
    }
    package static let byteCount = Field.end
    package static let codecNone: UInt8 = 0
    package static let codecLZ4: UInt8 = 3

    package let codec: UInt8
    package let recordCount: Int
    package let rawByteCount: Int
    package let storedByteCount: Int

    package init(codec: UInt8, recordCount: Int, rawByteCount: Int, storedByteCount: Int) {
        self.codec = codec
        self.recordCount = recordCount
        self.rawByteCount = rawByteCount
        self.storedByteCount = storedByteCount
    }

    /// Reads a head; `nil` if there is none, or what it claims does not fit its surroundings.
    package init?(_ body: RawSpan, at position: Int) {
        guard position + SubBatchHead.byteCount <= body.byteCount else { return nil }
        let found: SubBatchHead? = unsafe body.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return nil }
            let base = unsafe start + position
            let first: UInt8 = unsafe base.little(Field.codec)
            guard first & 0x80 != 0 else { return nil }
            return unsafe SubBatchHead(
                codec: first >> 4 & 0b111,
                recordCount: Int(base.big(Field.recordCount, as: UInt16.self)),
                rawByteCount: Int(base.big(Field.rawLength, as: UInt32.self)),
                storedByteCount: Int(base.big(Field.storedLength, as: UInt32.self)))
        }
        guard let found,
            found.storedByteCount <= body.byteCount - position - SubBatchHead.byteCount,
            found.rawByteCount <= Limits.decodedRawBytesMax,
            found.recordCount > 0, found.recordCount <= found.rawByteCount / 4
        else { return nil }
        self = found
    }

    package func encode(to target: UnsafeMutableRawPointer) {
        unsafe target.storeLittle(UInt8(0x80 | codec << 4), Field.codec)
        unsafe target.storeBig(UInt16(recordCount), Field.recordCount)
        unsafe target.storeBig(UInt32(rawByteCount), Field.rawLength)
        unsafe target.storeBig(UInt32(storedByteCount), Field.storedLength)
    }
}
