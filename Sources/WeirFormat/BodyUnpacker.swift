package import WeirBase

/// Turns a batch's stored body into a plain row of entries.
///
/// Memory is used again for the next batch, unless the last one was lent; what a batch may unpack
/// to was bounded when its header was decoded. Sub-batches in a codec that is not built in stay as
/// they are.
package struct BodyUnpacker: ~Copyable {
    private let pool: BodyPool
    /// What the last `unpack` filled.
    private var body: UnpackedBody?
    private var decompressor: LZ4Decompressor?

    package init(pool: BodyPool = BodyPool()) { self.pool = pool }

    /// Unpacks into memory of this value and returns how many bytes stand there.
    ///
    /// Throws `damaged` if a sub-batch does not hold what its head says; the batch's own checksum
    /// was right then, so it was written that way.
    package mutating func unpack(_ body: RawSpan, header: BatchHeader) throws(WeirError) -> Int {
        // A sub-batch that stays packed may be longer than its raw bytes: it is bounded by both.
        let bound = header.rawBodyLength + body.byteCount
        let scratch = takeScratch()
        scratch.reserve(bound + LZ4Frame.blockBytes)
        var read = 0
        var written = 0
        while read < body.byteCount {
            if let head = SubBatchHead(body, at: read) {
                let stored = read..<read + SubBatchHead.byteCount + head.storedByteCount
                written += try unpack(
                    head, body.extracting(stored), to: scratch, at: written, of: bound)
                read = stored.upperBound
            } else {
                let count = try BodyUnpacker.entryByteCount(body, at: read)
                guard written + count <= bound else { throw BodyUnpacker.overflow() }
                scratch.copy(body.extracting(read..<read + count), to: written)
                read += count
                written += count
            }
        }
        return written
    }

    /// Memory that nobody else looks at: the last batch's, if it was not lent.
    private mutating func takeScratch() -> UnpackedBody {
        var last = body.take()
        if last != nil, isKnownUniquelyReferenced(&last), let last {
            body = last
            return last
        }
        let scratch = pool.take()
        body = scratch
        return scratch
    }

    /// The memory that the last `unpack` filled, to hold on to.
    package borrowing func filled() -> UnpackedBody? { body }

    /// What the last `unpack` made, borrowed.
    @_lifetime(borrow self)
    package borrowing func bytes(_ byteCount: Int) -> RawSpan {
        guard let body else { return RawSpan() }
        let span = unsafe RawSpan(
            _unsafeBytes: UnsafeRawBufferPointer(body.bytes(0..<byteCount)))
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    private mutating func unpack(
        _ head: SubBatchHead, _ stored: RawSpan, to scratch: UnpackedBody, at written: Int,
        of bound: Int
    ) throws(WeirError) -> Int {
        let packed = stored.extracting(SubBatchHead.byteCount..<stored.byteCount)
        switch head.codec {
        case SubBatchHead.codecLZ4:
            guard written + head.rawByteCount <= bound else { throw BodyUnpacker.overflow() }
            try inflate(packed, to: scratch, written..<written + head.rawByteCount)
            return head.rawByteCount
        case SubBatchHead.codecNone:
            guard packed.byteCount == head.rawByteCount, written + packed.byteCount <= bound
            else { throw BodyUnpacker.overflow() }
            scratch.copy(packed, to: written)
            return packed.byteCount
        default:
            guard written + stored.byteCount <= bound else { throw BodyUnpacker.overflow() }
            scratch.copy(stored, to: written)
            return stored.byteCount
        }
    }

    private mutating func inflate(
        _ packed: RawSpan, to scratch: UnpackedBody, _ range: Range<Int>
    ) throws(WeirError) {
        if decompressor == nil { decompressor = try LZ4Decompressor() }
        guard let decompressor else { return }
        let end = min(range.upperBound + LZ4Frame.blockBytes, scratch.capacity)
        let whole = unsafe packed.withUnsafeBytes {
            unsafe decompressor.decompress(
                $0, into: scratch.bytes(range.lowerBound..<end), byteCount: range.count)
        }
        guard whole else {
            throw WeirError.damaged(
                "A compressed batch does not unpack to the \(range.count) bytes that it declares.")
        }
    }

    private static func entryByteCount(_ body: RawSpan, at position: Int) throws(WeirError) -> Int {
        let left = body.byteCount - position
        guard left >= 4 else {
            throw WeirError.damaged("A batch's body ends inside an entry's length.")
        }
        let length = unsafe Int(
            UInt32(
                bigEndian: body.unsafeLoadUnaligned(fromByteOffset: position, as: UInt32.self)))
        guard length <= left - 4 else {
            throw WeirError.damaged(
                "An entry of a batch has \(length) bytes where \(left - 4) are left.")
        }
        return 4 + length
    }

    private static func overflow() -> WeirError {
        WeirError.damaged("A batch unpacks to more bytes than its header declares.")
    }
}
