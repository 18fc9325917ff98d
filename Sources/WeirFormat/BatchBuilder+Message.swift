public import WeirBase

/// Records with a key, headers, a record time, or without a value.
///
///     | length | annotations: key, time | application properties: headers | body |
///
/// Parts that a record lacks are left out. The entry is begun, filled and finished in place; a part
/// that does not fit takes the whole entry back.
extension BatchBuilder {
    /// Adds a record. `value == nil` is a tombstone, which needs a key.
    ///
    /// `headers` is called once, and adds what it likes; it takes no memory of its own. Returns
    /// `false` if the batch has no room. Throws `tooLarge` for a key over its limit, and
    /// `invalidArgument` for a tombstone without a key.
    @usableFromInline
    package mutating func append(
        key: RawSpan?, time: Timestamp?, value: RawSpan?,
        headers: (inout HeaderEncoder) -> Void
    ) throws(WeirError) -> Bool {
        if let key, key.byteCount > Limits.keyBytesMax {
            throw WeirError(
                .tooLarge,
                "The key has \(key.byteCount) bytes; expected at most \(Limits.keyBytesMax).")
        }
        if value == nil, key == nil {
            throw WeirError(
                .invalidArgument,
                "A record without a value is a tombstone and needs a key; give it one.")
        }
        let start = end
        guard reserve(4) else { return false }
        end += 4
        guard appendAnnotations(key: key, time: time), try appendHeaders(headers),
            appendBody(value)
        else {
            end = start
            return false
        }
        unsafe base.storeBig(UInt32(end - start - 4), start)
        recordCount += 1
        if key != nil { keyedCount += 1 }
        if value == nil { tombstoneCount += 1 }
        if let time { note(time: time) }
        return true
    }

    private mutating func appendAnnotations(key: RawSpan?, time: Timestamp?) -> Bool {
        guard key != nil || time != nil else { return true }
        let keyName = EntryLayout.keyAnnotation.utf8CodeUnitCount
        let timeName = EntryLayout.timeAnnotation.utf8CodeUnitCount
        var size = 0
        if let key { size += 2 + keyName + (key.byteCount < 256 ? 2 : 5) + key.byteCount }
        if time != nil { size += 2 + timeName + 9 }
        let pairs = (key == nil ? 0 : 1) + (time == nil ? 0 : 1)
        guard reserve(size + 12) else { return false }
        storeSection(AmqpType.Section.messageAnnotations)
        storeMapHead(size: size, itemCount: pairs * 2)
        if let key {
            storeShort(EntryLayout.keyAnnotation, as: AmqpType.symbol8)
            let isText = UTF8Check.isValid(key)
            storeOctets(
                key, short: isText ? AmqpType.string8 : AmqpType.binary8,
                long: isText ? AmqpType.string32 : AmqpType.binary32)
        }
        if let time {
            storeShort(EntryLayout.timeAnnotation, as: AmqpType.symbol8)
            store(AmqpType.long)
            storeBig(time.microseconds)
        }
        return true
    }

    private mutating func appendHeaders(
        _ fill: (inout HeaderEncoder) -> Void
    ) throws(WeirError) -> Bool {
        let start = end
        // 00 53 74 c1 size count: widened afterwards in the rare case that a byte is too small.
        guard reserve(6) else { return false }
        end += 6
        let itemsStart = end
        var encoder = unsafe HeaderEncoder(base: base, position: end, limit: capacity)
        fill(&encoder)
        while encoder.overflowed, !encoder.hasFailed {
            guard reserve(encoder.needed + 64) else {
                end = start
                return false
            }
            unsafe encoder = HeaderEncoder(base: base, position: end, limit: capacity)
            fill(&encoder)
        }
        if encoder.hasFailed, let failure = encoder.failure {
            end = start - 4
            throw failure
        }
        guard encoder.itemCount > 0 else {
            end = start
            return true
        }
        return closeHeaders(
            start: start, itemsStart: itemsStart, end: encoder.position,
            itemCount: encoder.itemCount)
    }

    private mutating func closeHeaders(
        start: Int, itemsStart: Int, end itemsEnd: Int, itemCount: Int
    ) -> Bool {
        let size = itemsEnd - itemsStart
        end = itemsEnd
        guard bodyByteCount <= byteLimit else { return false }
        if size + 1 < 256, itemCount < 256 {
            end = start
            storeSection(AmqpType.Section.applicationProperties)
            storeMapHead(size: size, itemCount: itemCount)
            end = itemsEnd
            return true
        }
        guard reserve(6) else { return false }
        unsafe (base + itemsStart + 6).copyMemory(from: base + itemsStart, byteCount: size)
        end = start
        storeSection(AmqpType.Section.applicationProperties)
        storeWideMapHead(size: size, itemCount: itemCount)
        end = itemsEnd + 6
        return true
    }

    private mutating func appendBody(_ value: RawSpan?) -> Bool {
        guard let value else {
            guard reserve(4) else { return false }
            storeSection(AmqpType.Section.value)
            store(AmqpType.null)
            return true
        }
        let count = value.byteCount
        guard count <= byteLimit, reserve(8 + count) else { return false }
        unsafe PlainValue.storeHead(to: base + end, valueByteCount: count)
        end += count < 256 ? 5 : 8
        storeBytes(value)
        return true
    }

    // MARK: pieces; every caller has reserved the room

    private mutating func store(_ byte: UInt8) {
        unsafe base.storeBytes(of: byte, toByteOffset: end, as: UInt8.self)
        end += 1
    }

    private mutating func storeBig<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        unsafe base.storeBig(value, end)
        end += MemoryLayout<T>.size
    }

    private mutating func storeSection(_ code: UInt8) {
        store(AmqpType.described)
        store(AmqpType.smallUnsignedLong)
        store(code)
    }

    private mutating func storeMapHead(size: Int, itemCount: Int) {
        // A map's size counts from behind the size itself: the count is part of it.
        guard size + 1 < 256, itemCount < 256 else {
            return storeWideMapHead(size: size, itemCount: itemCount)
        }
        store(AmqpType.map8)
        store(UInt8(size + 1))
        store(UInt8(itemCount))
    }

    private mutating func storeWideMapHead(size: Int, itemCount: Int) {
        store(AmqpType.map32)
        storeBig(UInt32(size + 4))
        storeBig(UInt32(itemCount))
    }

    private mutating func storeShort(_ text: StaticString, as type: UInt8) {
        store(type)
        store(UInt8(text.utf8CodeUnitCount))
        unsafe (base + end).copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
        end += text.utf8CodeUnitCount
    }

    private mutating func storeOctets(_ bytes: RawSpan, short: UInt8, long: UInt8) {
        if bytes.byteCount < 256 {
            store(short)
            store(UInt8(bytes.byteCount))
        } else {
            store(long)
            storeBig(UInt32(bytes.byteCount))
        }
        storeBytes(bytes)
    }

    private mutating func storeBytes(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { source in
            if let address = source.baseAddress {
                unsafe (base + end).copyMemory(from: address, byteCount: source.count)
            }
        }
        end += bytes.byteCount
    }
}
