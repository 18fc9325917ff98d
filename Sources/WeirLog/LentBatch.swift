package import WeirBase
import WeirFiles
package import WeirFormat

/// A batch that outlives the cursor's step: it holds its bytes, mapped or copied.
@safe
package final class LentBatch: @unchecked Sendable {
    // @unchecked: nothing changes after `init`, and the memory is only read.
    package let header: BatchHeader
    /// Records before this offset are not for the reader.
    package let firstWanted: Offset
    private let map: SegmentMap?
    private let base: UnsafeRawPointer
    private let bodyByteCount: Int
    private let owned: CopiedBytes?
    private let unpacked: UnpackedBody?
    private let pool: BodyPool?
    private let table: CopiedBytes

    /// Shares a map: no byte is copied, and the segment's file stays mapped for as long.
    init(
        _ header: BatchHeader, firstWanted: Offset, map: SegmentMap, bodyAt position: Int,
        table: RawSpan
    ) {
        self.header = header
        self.firstWanted = firstWanted
        self.map = map
        // Inside the map: the step that found the batch checked its whole length.
        unsafe self.base = map.mapping.base + position
        self.bodyByteCount = header.bodyLength
        self.owned = nil
        self.unpacked = nil
        self.pool = nil
        self.table = CopiedBytes(table)
    }

    /// Shares the memory that its body was unpacked into, which goes back to the pool afterwards.
    init(
        _ header: BatchHeader, firstWanted: Offset, unpacked: UnpackedBody, byteCount: Int,
        pool: BodyPool, table: RawSpan
    ) {
        self.header = header
        self.firstWanted = firstWanted
        self.map = nil
        self.owned = nil
        self.unpacked = unpacked
        self.pool = pool
        // Nobody writes there while this object holds it.
        unsafe self.base = UnsafeRawPointer(unpacked.base)
        self.bodyByteCount = byteCount
        self.table = CopiedBytes(table)
    }

    deinit { if let unpacked { pool?.giveBack(unpacked) } }

    /// Copies a body that stands in its reader's own memory.
    init(_ header: BatchHeader, firstWanted: Offset, copying body: RawSpan, table: RawSpan) {
        self.header = header
        self.firstWanted = firstWanted
        self.map = nil
        let copy = CopiedBytes(body)
        self.owned = copy
        self.unpacked = nil
        self.pool = nil
        unsafe self.base = copy.base
        self.bodyByteCount = body.byteCount
        self.table = CopiedBytes(table)
    }

    /// Whether the bytes are still what was checked: a mapped page may have vanished since.
    package var isIntact: Bool { !(map?.mapping.lostPages ?? false) }

    package var records: RecordWalker {
        @_lifetime(borrow self) get {
            unsafe RecordWalker(
                body: span(base, bodyByteCount), table: span(table.base, table.byteCount),
                firstOffset: header.firstOffset, wanted: firstWanted)
        }
    }

    /// Bytes that live as long as this object does.
    @_lifetime(borrow self)
    private func span(_ start: UnsafeRawPointer, _ byteCount: Int) -> RawSpan {
        let span = unsafe RawSpan(_unsafeStart: start, byteCount: byteCount)
        return unsafe _overrideLifetime(span, borrowing: self)
    }
}

/// Bytes of one's own, freed with the last reference.
@safe
private final class CopiedBytes: @unchecked Sendable {
    // @unchecked: written in `init` only.
    let base: UnsafeRawPointer
    let byteCount: Int

    init(_ bytes: RawSpan) {
        byteCount = bytes.byteCount
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: max(1, byteCount), alignment: 16)
        unsafe bytes.withUnsafeBytes { source in
            if let address = source.baseAddress {
                unsafe memory.copyMemory(from: address, byteCount: source.count)
            }
        }
        unsafe base = UnsafeRawPointer(memory)
    }

    deinit { unsafe base.deallocate() }
}

extension LogCursor {
    /// The batch that the last step found, to keep. `nil` if there is none.
    package borrowing func lend() -> LentBatch? {
        guard let header else { return nil }
        let table = tableSpan(header)
        if let map = map, unpackedByteCount == nil {
            return LentBatch(
                header, firstWanted: firstWanted, map: map,
                bodyAt: Int(clamping: position.value) + header.bodyStart, table: table)
        }
        if let (body, byteCount, pool) = unpackedBody() {
            return LentBatch(
                header, firstWanted: firstWanted, unpacked: body, byteCount: byteCount, pool: pool,
                table: table)
        }
        return LentBatch(
            header, firstWanted: firstWanted, copying: bodySpan(header), table: table)
    }
}
