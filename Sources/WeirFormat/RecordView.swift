public import WeirBase

/// One record of a batch, borrowed: its spans cannot be kept longer than the batch.
@usableFromInline
package struct RecordView: ~Escapable {
    @usableFromInline package let entry: RawSpan
    @usableFromInline package let offset: Offset
    /// Where the value begins if the entry is a plain value, else zero and `layout` is filled.
    @usableFromInline let plainStart: Int
    @usableFromInline package let layout: EntryLayout

    @inlinable @inline(__always) @_lifetime(copy entry)
    init(entry: RawSpan, offset: Offset, plainStart: Int, layout: EntryLayout) {
        self.entry = entry
        self.offset = offset
        self.plainStart = plainStart
        self.layout = layout
    }

    /// The value's bytes; empty for a tombstone.
    @inlinable package var value: RawSpan {
        @_lifetime(copy self) get {
            let range = plainStart > 0 ? plainStart..<entry.byteCount : layout.value
            return unsafe entry.extracting(unchecked: range)
        }
    }

    @inlinable package var key: RawSpan? {
        @_lifetime(copy self) get {
            guard plainStart == 0, let range = layout.key else { return nil }
            return unsafe entry.extracting(unchecked: range)
        }
    }

    package var shape: EntryLayout.Shape { plainStart > 0 ? .value : layout.shape }
    /// The record's own time; `nil` where it is the batch's append time.
    package var recordTime: Timestamp? { plainStart > 0 ? nil : layout.recordTime }
    package var isTombstone: Bool { shape == .tombstone }

    /// Whether it has a key, and these are its bytes.
    package func hasKey(_ wanted: [UInt8]) -> Bool {
        guard let key, key.byteCount == wanted.count else { return false }
        return unsafe key.withUnsafeBytes { key in
            unsafe wanted.withUnsafeBytes { wanted in
                guard let a = key.baseAddress, let b = wanted.baseAddress else { return true }
                return unsafe isSame(a, b, byteCount: wanted.count)
            }
        }
    }

    /// Calls `body` with each header, in the order in which they were written.
    ///
    /// The values of headers that are not simple (lists, maps) are left out. Takes memory for
    /// names and values: a program that wants none reads `entry`.
    package func forEachHeader(_ body: (String, HeaderValue) -> Void) {
        guard plainStart == 0, let range = layout.headers else { return }
        unsafe entry.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            var reader = unsafe AmqpReader(
                base: base, position: range.lowerBound, end: range.upperBound)
            var count = layout.headerItemCount
            while count > 0, let name = reader.octets() {
                count -= 2
                if let value = reader.headerValue() {
                    body(unsafe String(decoding: reader.span(name), as: UTF8.self), value)
                } else if !reader.skipValue() {
                    return
                }
            }
        }
    }
}

/// Steps through the records of a batch's unpacked body.
///
///     | length | entry | length | entry | …        lengths are big-endian
///
/// A length that does not fit ends the walk: it never reads beyond the body, whatever stands there.
/// An entry whose top bit is set is a sub-batch in a codec that is not built in; it comes out as
/// one opaque record and is counted with all the offsets that it has.
@usableFromInline
package struct RecordWalker: ~Escapable {
    @usableFromInline let body: RawSpan
    /// The offset table of a compacted batch: a `UInt32` a record, relative to the first offset.
    @usableFromInline let table: RawSpan
    @usableFromInline let firstOffset: Offset
    @usableFromInline var position = 0
    @usableFromInline var index = 0

    @inlinable @_lifetime(copy body, copy table)
    package init(body: RawSpan, table: RawSpan, firstOffset: Offset) {
        self.body = body
        self.table = table
        self.firstOffset = firstOffset
    }

    /// Whether every byte of the body was walked over.
    @inlinable package var isComplete: Bool { position == body.byteCount }
    /// Whether the last record was at an offset or behind it.
    package func isBeyond(_ end: Offset) -> Bool { index > 0 && offset(of: index - 1) >= end }

    @inlinable @inline(__always) @_lifetime(copy self)
    package mutating func next() -> RecordView? {
        guard let length = length() else { return nil }
        guard length <= body.byteCount - position - 4 else { return nextSubBatch() }
        let start = position + 4
        let entry = unsafe body.extracting(unchecked: start..<start + length)
        position = start + length
        let offset = offset(of: index)
        index += 1
        let plainStart = unsafe entry.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return 0 }
            return unsafe PlainValue.valueStart(base, byteCount: length)
        }
        if plainStart > 0 {
            return RecordView(
                entry: entry, offset: offset, plainStart: plainStart,
                layout: EntryLayout(shape: .value, value: 0..<0))
        }
        return RecordView(
            entry: entry, offset: offset, plainStart: 0, layout: RecordWalker.layout(of: entry))
    }

    /// What stands where an entry's length does; `nil` at the end.
    @inlinable @inline(__always)
    func length() -> Int? {
        guard body.byteCount - position >= 4 else { return nil }
        // Inside the body: four bytes are left. The entry's end is compared with what is left.
        return unsafe Int(
            UInt32(
                bigEndian: body.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: position, as: UInt32.self)))
    }

    /// Steps over records that have a value and at most a key, up to the first that is another, and
    /// says how many they were: for whoever counts records and looks at none of these.
    package mutating func skipValues() -> (all: Int, keyed: Int) {
        let first = index
        var keyedCount = 0
        unsafe stepOverValues { _, _ in keyedCount += 1 }
        return (index - first, keyedCount)
    }

    /// The same, and tells the hash of each key and the offset of the record that has it: for
    /// whoever wants nothing else of these.
    @inline(__always)
    package mutating func hashKeysOfValues(_ body: (UInt64, Offset) -> Void) {
        unsafe stepOverValues { key, offset in unsafe body(keyHash(key), offset) }
    }

    @inline(__always)
    private mutating func stepOverValues(_ keyed: (UnsafeRawBufferPointer, Offset) -> Void) {
        let bytes = body
        unsafe bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            while bytes.count - position >= 4 {
                let length: Int = unsafe Int(base.big(position, as: UInt32.self))
                // The entry lies within the body before any byte of it is looked at.
                guard length <= bytes.count - position - 4 else { return }
                let entry = unsafe base + position + 4
                if unsafe PlainValue.valueStart(entry, byteCount: length) == 0 {
                    guard let (key, _) = unsafe KeyedValue.parts(entry, byteCount: length) else {
                        return
                    }
                    unsafe keyed(
                        UnsafeRawBufferPointer(start: entry + key.lowerBound, count: key.count),
                        offset(of: index))
                }
                position += 4 + length
                index += 1
            }
        }
    }

    /// Begins at the first record that is not before an offset.
    @_lifetime(copy body, copy table)
    package init(body: RawSpan, table: RawSpan, firstOffset: Offset, wanted: Offset) {
        self.init(body: body, table: table, firstOffset: firstOffset)
        if wanted > firstOffset { skip(before: wanted) }
    }

    /// Steps over the records before an offset.
    private mutating func skip(before offset: Offset) {
        while index < Int.max, self.offset(of: index) < offset {
            guard skip() else { return }
        }
    }

    /// Steps over the next record without looking into it. `false` if there is none.
    package mutating func skip() -> Bool {
        guard let length = length() else { return false }
        guard length <= body.byteCount - position - 4 else { return nextSubBatch() != nil }
        // Its length is all that is needed of it.
        position += 4 + length
        index += 1
        return true
    }

    @inlinable @inline(__always)
    func offset(of index: Int) -> Offset {
        guard table.byteCount >= (index + 1) * 4 else { return firstOffset + index }
        let relative = unsafe UInt32(
            littleEndian: table.unsafeLoadUnaligned(
                fromUncheckedByteOffset: index * 4, as: UInt32.self))
        return firstOffset + Int(relative)
    }

    @usableFromInline
    static func layout(of entry: RawSpan) -> EntryLayout {
        unsafe entry.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else {
                return EntryLayout(shape: .raw, value: 0..<0)
            }
            return unsafe EntryLayout.parse(base, byteCount: bytes.count)
        }
    }

    @usableFromInline @_lifetime(copy self)
    mutating func nextSubBatch() -> RecordView? {
        guard let head = SubBatchHead(body, at: position) else { return nil }
        let start = position
        let end = start + SubBatchHead.byteCount + head.storedByteCount
        let entry = unsafe body.extracting(unchecked: start..<end)
        position = end
        let offset = offset(of: index)
        index += head.recordCount
        return RecordView(
            entry: entry, offset: offset, plainStart: 0,
            layout: EntryLayout(shape: .opaque, value: 0..<entry.byteCount))
    }
}
