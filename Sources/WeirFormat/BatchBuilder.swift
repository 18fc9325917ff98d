public import WeirBase

/// Fills one batch: entries go straight into the memory that will be written.
///
///     | 152 bytes for the header | entries … |
///
/// One owner, no lock, no reference count. Memory grows by doubling and is kept by `removeAll`, so
/// a builder that is used again takes none. An entry that does not fit leaves the batch as it was.
@safe
@usableFromInline
package struct BatchBuilder: ~Copyable, @unchecked Sendable {
    // @unchecked: the memory belongs to this value alone, and a non-copyable value has one owner.
    @usableFromInline package private(set) var base: UnsafeMutableRawPointer
    @usableFromInline package private(set) var capacity: Int
    /// The first byte behind the last entry, counted from `base`.
    @usableFromInline package var end: Int
    @usableFromInline package var recordCount = 0
    package var keyedCount = 0
    package var tombstoneCount = 0
    package var minRecordTime = Timestamp.distantFuture
    package var maxRecordTime = Timestamp.distantPast
    /// Records that gave a time of their own; the others take the batch's append time.
    package var timedCount = 0
    /// Raw bytes that the body may have, length words included.
    @usableFromInline package let byteLimit: Int

    @usableFromInline package static let bodyStart = BatchHeader.byteCount
    /// Little: hundreds of streams may have one each, for a record now and then.
    private static let capacityFirst = 4 << 10

    package init(byteLimit: Int = Limits.batchBytesDefault) {
        self.byteLimit = min(byteLimit, Limits.decodedBodyBytesMax)
        // Eight bytes only, so that an empty builder costs next to nothing; the first record makes
        // room. Freed in `deinit`; every access stays below `capacity`.
        self.capacity = 0
        unsafe self.base = .allocate(byteCount: 8, alignment: 16)
        self.end = BatchBuilder.bodyStart
    }

    deinit { unsafe base.deallocate() }

    @inlinable package var bodyByteCount: Int { end - BatchBuilder.bodyStart }
    @inlinable package var isEmpty: Bool { recordCount == 0 }

    /// The entries, borrowed.
    package var body: RawSpan {
        @_lifetime(borrow self) borrowing get {
            guard capacity > 0 else { return RawSpan() }
            let span = unsafe RawSpan(
                _unsafeStart: base + BatchBuilder.bodyStart, byteCount: bodyByteCount)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    package mutating func removeAll() {
        end = BatchBuilder.bodyStart
        recordCount = 0
        keyedCount = 0
        tombstoneCount = 0
        timedCount = 0
        minRecordTime = .distantFuture
        maxRecordTime = .distantPast
    }

    /// Whether `byteCount` more bytes fit; makes room for them.
    @inlinable
    package mutating func reserve(_ byteCount: Int) -> Bool {
        if end + byteCount <= capacity, recordCount < Limits.batchEntriesMax,
            bodyByteCount + byteCount <= byteLimit
        {
            return true
        }
        return reserveSlowly(byteCount)
    }

    @usableFromInline
    package mutating func reserveSlowly(_ byteCount: Int) -> Bool {
        guard recordCount < Limits.batchEntriesMax, bodyByteCount + byteCount <= byteLimit
        else { return false }
        // Eight bytes more than the limit, so that padding always fits.
        let most = BatchBuilder.bodyStart + byteLimit + 8
        let least = max(capacity * 2, BatchBuilder.capacityFirst)
        // Whole words, so that padding fits behind whatever fits.
        grow(to: roundedUp(min(most, max(least, end + byteCount + 8)), to: 8))
        return true
    }

    private mutating func grow(to newCapacity: Int) {
        guard newCapacity > capacity else { return }
        let new = UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 16)
        if capacity > 0 { unsafe new.copyMemory(from: base, byteCount: end) }
        unsafe base.deallocate()
        unsafe base = new
        capacity = newCapacity
    }

    /// Adds a record that is a value and nothing else: 9 or 12 bytes above the value's own.
    ///
    /// `false` if the batch has no room for it.
    @inlinable
    package mutating func append(value: RawSpan) -> Bool {
        let count = value.byteCount
        let headLength = count < 256 ? 5 : 8
        guard count <= byteLimit, reserve(4 + headLength + count) else { return false }
        let target = unsafe base + end
        unsafe target.storeBig(UInt32(headLength + count), 0)
        unsafe PlainValue.storeHead(to: target + 4, valueByteCount: count)
        unsafe value.withUnsafeBytes { bytes in
            if let source = bytes.baseAddress {
                unsafe (target + 4 + headLength).copyMemory(from: source, byteCount: count)
            }
        }
        end += 4 + headLength + count
        recordCount += 1
        return true
    }

    /// Adds an entry as it is: a whole AMQP message, or any bytes as a raw record.
    package mutating func append(entry: RawSpan) -> Bool {
        append(entry, RecordWalker.layout(of: entry))
    }

    /// Appends a record of another batch, which was looked into there.
    package mutating func append(_ record: borrowing RecordView) -> Bool {
        append(record.entry, record.layout)
    }

    private mutating func append(_ entry: RawSpan, _ layout: EntryLayout) -> Bool {
        let count = entry.byteCount
        guard count <= byteLimit, reserve(4 + count) else { return false }
        let target = unsafe base + end
        unsafe target.storeBig(UInt32(count), 0)
        unsafe entry.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress else { return }
            unsafe (target + 4).copyMemory(from: source, byteCount: count)
        }
        end += 4 + count
        recordCount += 1
        if layout.key != nil { keyedCount += 1 }
        if layout.shape == .tombstone { tombstoneCount += 1 }
        if let time = layout.recordTime { note(time: time) }
        return true
    }

    package mutating func note(time: Timestamp) {
        timedCount += 1
        minRecordTime = min(minRecordTime, time)
        maxRecordTime = max(maxRecordTime, time)
    }
}

/// The head of an entry that is one `data` section.
@usableFromInline
package enum PlainValue {
    /// `00 53 75 a0` and `00 53 75 b0` as they are loaded from memory.
    @usableFromInline package static let short: UInt32 = 0xA075_5300
    @usableFromInline package static let long: UInt32 = 0xB075_5300

    @inlinable @inline(__always)
    package static func storeHead(to target: UnsafeMutableRawPointer, valueByteCount: Int) {
        if valueByteCount < 256 {
            unsafe target.storeLittle(short, 0)
            unsafe target.storeLittle(UInt8(truncatingIfNeeded: valueByteCount), 4)
        } else {
            unsafe target.storeLittle(long, 0)
            unsafe target.storeBig(UInt32(truncatingIfNeeded: valueByteCount), 4)
        }
    }

    /// Where the value begins if the entry is a plain one, to its last byte; else zero.
    @inlinable @inline(__always)
    package static func valueStart(_ entry: UnsafeRawPointer, byteCount: Int) -> Int {
        guard byteCount >= 5 else { return 0 }
        let head: UInt32 = unsafe entry.little(0)
        if head == short {
            return unsafe Int(entry.load(fromByteOffset: 4, as: UInt8.self)) == byteCount - 5
                ? 5 : 0
        }
        guard head == long, byteCount >= 8 else { return 0 }
        return unsafe Int(entry.big(4, as: UInt32.self)) == byteCount - 8 ? 8 : 0
    }
}
