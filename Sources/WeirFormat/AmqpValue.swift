package import WeirBase

/// The parts of AMQP 1.0's type system (ISO/IEC 19464, part 1) that a message can be made of.
///
/// A value is a constructor byte and its octets; the constructor's upper half says how long:
///
///     4x none   5x 1   6x 2   7x 4   8x 8   9x 16 bytes
///     ax length in 1 byte   bx length in 4 bytes (big-endian)
///     cx, ex size in 1 byte, then count and items   dx, fx size in 4 bytes
package enum AmqpType {
    package static let described: UInt8 = 0x00
    package static let null: UInt8 = 0x40
    package static let trueValue: UInt8 = 0x41, falseValue: UInt8 = 0x42
    package static let boolean: UInt8 = 0x56
    package static let unsignedZero: UInt8 = 0x43, unsignedLongZero: UInt8 = 0x44
    package static let ubyte: UInt8 = 0x50, byte: UInt8 = 0x51
    package static let smallUnsigned: UInt8 = 0x52, smallUnsignedLong: UInt8 = 0x53
    package static let smallInt: UInt8 = 0x54, smallLong: UInt8 = 0x55
    package static let ushort: UInt8 = 0x60, short: UInt8 = 0x61
    package static let unsigned: UInt8 = 0x70, int: UInt8 = 0x71
    package static let float: UInt8 = 0x72, character: UInt8 = 0x73
    package static let unsignedLong: UInt8 = 0x80, long: UInt8 = 0x81
    package static let double: UInt8 = 0x82, timestamp: UInt8 = 0x83
    package static let uuid: UInt8 = 0x98
    package static let binary8: UInt8 = 0xA0, string8: UInt8 = 0xA1, symbol8: UInt8 = 0xA3
    package static let binary32: UInt8 = 0xB0, string32: UInt8 = 0xB1, symbol32: UInt8 = 0xB3
    package static let emptyList: UInt8 = 0x45
    package static let list8: UInt8 = 0xC0, map8: UInt8 = 0xC1
    package static let list32: UInt8 = 0xD0, map32: UInt8 = 0xD1

    /// The last byte of a section's descriptor.
    package enum Section {
        package static let header: UInt8 = 0x70
        package static let deliveryAnnotations: UInt8 = 0x71
        package static let messageAnnotations: UInt8 = 0x72
        package static let properties: UInt8 = 0x73
        package static let applicationProperties: UInt8 = 0x74
        package static let data: UInt8 = 0x75
        package static let sequence: UInt8 = 0x76
        package static let value: UInt8 = 0x77
        package static let footer: UInt8 = 0x78
    }
    /// How deep values may nest before an entry counts as not well-formed.
    package static let depthMax = 16
}

/// A hand over encoded values. It never reads beyond its end and never traps: what does not fit
/// makes the step return `nil` or `false`.
@safe
package struct AmqpReader {
    /// The entry's first byte; valid as long as the span that the reader was made in.
    let base: UnsafeRawPointer
    package var position: Int
    package let end: Int

    package init(base: UnsafeRawPointer, position: Int, end: Int) {
        unsafe self.base = base
        self.position = position
        self.end = end
    }

    package var isAtEnd: Bool { position == end }
    package var left: Int { end - position }

    package mutating func byte() -> UInt8? {
        guard position < end else { return nil }
        defer { position += 1 }
        return unsafe base.load(fromByteOffset: position, as: UInt8.self)
    }

    /// A big-endian number of `T`'s size.
    package mutating func number<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) -> T? {
        guard left >= MemoryLayout<T>.size else { return nil }
        defer { position += MemoryLayout<T>.size }
        return unsafe base.big(position, as: T.self)
    }

    /// The range of the next `count` bytes, stepped over.
    package mutating func take(_ count: Int) -> Range<Int>? {
        guard count >= 0, count <= left else { return nil }
        defer { position += count }
        return position..<position + count
    }

    package func span(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    }

    /// Steps over one whole value, whatever it is, and checks everything inside it.
    package mutating func skipValue(depth: Int = 0) -> Bool {
        guard depth <= AmqpType.depthMax, let constructor = byte() else { return false }
        return skipOctets(of: constructor, depth: depth)
    }

    package mutating func skipOctets(of constructor: UInt8, depth: Int) -> Bool {
        switch constructor >> 4 {
        case 0:
            // A described value: a descriptor, then the value itself.
            return constructor == AmqpType.described && skipValue(depth: depth + 1)
                && skipValue(depth: depth + 1)
        case 4: return take(0) != nil
        case 5: return take(1) != nil
        case 6: return take(2) != nil
        case 7: return take(4) != nil
        case 8: return take(8) != nil
        case 9: return take(16) != nil
        case 0xA: return number(UInt8.self).flatMap { take(Int($0)) } != nil
        case 0xB: return number(UInt32.self).flatMap { take(Int($0)) } != nil
        case 0xC: return skipCompound(UInt8.self, depth: depth)
        case 0xD: return skipCompound(UInt32.self, depth: depth)
        case 0xE: return skipArray(UInt8.self, depth: depth)
        case 0xF: return skipArray(UInt32.self, depth: depth)
        default: return false
        }
    }

    private mutating func skipCompound<Size: FixedWidthInteger & BitwiseCopyable>(
        _ size: Size.Type, depth: Int
    ) -> Bool {
        guard var inner = compound(size) else { return false }
        for _ in 0..<inner.count {
            guard inner.items.skipValue(depth: depth + 1) else { return false }
        }
        return inner.items.isAtEnd
    }

    /// A list or map behind its constructor byte: how many items, and a hand over them.
    package mutating func compound<Size: FixedWidthInteger & BitwiseCopyable>(
        _ size: Size.Type
    ) -> (count: Int, items: AmqpReader)? {
        guard let byteCount = number(size), let range = take(Int(byteCount)) else { return nil }
        var items = unsafe AmqpReader(base: base, position: range.lowerBound, end: range.upperBound)
        guard let count = items.number(size), Int(count) <= items.left else { return nil }
        return (Int(count), items)
    }

    private mutating func skipArray<Size: FixedWidthInteger & BitwiseCopyable>(
        _ size: Size.Type, depth: Int
    ) -> Bool {
        guard depth < AmqpType.depthMax, let byteCount = number(size),
            let range = take(Int(byteCount))
        else { return false }
        var items = unsafe AmqpReader(base: base, position: range.lowerBound, end: range.upperBound)
        guard let count = items.number(size), let constructor = items.byte() else { return false }
        // One constructor for all items; a described one carries its descriptor once.
        var itemConstructor = constructor
        if constructor == AmqpType.described {
            guard items.skipValue(depth: depth + 1), let inner = items.byte() else { return false }
            itemConstructor = inner
        }
        // Items without octets would let a few bytes claim four thousand million of them.
        guard itemConstructor >> 4 != 0, itemConstructor >> 4 != 4 || items.isAtEnd else {
            return false
        }
        if itemConstructor >> 4 == 4 { return true }
        guard Int(count) <= items.left else { return false }
        for _ in 0..<Int(count) {
            guard items.skipOctets(of: itemConstructor, depth: depth + 1) else { return false }
        }
        return items.isAtEnd
    }
}

extension AmqpReader {
    /// The octets of a string, symbol or binary, or `nil` for any other type (nothing is consumed).
    package mutating func octets() -> Range<Int>? {
        let start = position
        guard let constructor = byte() else { return nil }
        let range: Range<Int>? =
            switch constructor {
            case AmqpType.binary8, AmqpType.string8, AmqpType.symbol8:
                number(UInt8.self).flatMap { take(Int($0)) }
            case AmqpType.binary32, AmqpType.string32, AmqpType.symbol32:
                number(UInt32.self).flatMap { take(Int($0)) }
            default: nil
            }
        if range == nil { position = start }
        return range
    }

    /// A map behind its constructor byte; an even number of items.
    package mutating func map() -> (count: Int, items: AmqpReader)? {
        guard let constructor = byte() else { return nil }
        let found: (count: Int, items: AmqpReader)? =
            switch constructor {
            case AmqpType.map8: compound(UInt8.self)
            case AmqpType.map32: compound(UInt32.self)
            default: nil
            }
        guard let found, found.count % 2 == 0 else { return nil }
        return found
    }

    /// Reads one simple value; `nil` for compounds and for what does not fit (nothing is consumed).
    package mutating func headerValue() -> HeaderValue? {
        let start = position
        let value = simpleValue()
        if value == nil { position = start }
        return value
    }

    private mutating func simpleValue() -> HeaderValue? {
        guard let constructor = byte() else { return nil }
        switch constructor {
        case AmqpType.null: return .null
        case AmqpType.trueValue: return .bool(true)
        case AmqpType.falseValue: return .bool(false)
        case AmqpType.boolean: return byte().map { .bool($0 != 0) }
        case AmqpType.unsignedZero, AmqpType.unsignedLongZero: return .unsigned(0)
        case AmqpType.ubyte, AmqpType.smallUnsigned, AmqpType.smallUnsignedLong:
            return byte().map { .unsigned(UInt64($0)) }
        case AmqpType.ushort: return number(UInt16.self).map { .unsigned(UInt64($0)) }
        case AmqpType.unsigned: return number(UInt32.self).map { .unsigned(UInt64($0)) }
        case AmqpType.unsignedLong: return number(UInt64.self).map { .unsigned($0) }
        case AmqpType.byte, AmqpType.smallInt, AmqpType.smallLong:
            return number(Int8.self).map { .int(Int64($0)) }
        case AmqpType.short: return number(Int16.self).map { .int(Int64($0)) }
        case AmqpType.int: return number(Int32.self).map { .int(Int64($0)) }
        case AmqpType.long: return number(Int64.self).map { .int($0) }
        case AmqpType.float:
            return number(UInt32.self).map { .double(Double(Float(bitPattern: $0))) }
        case AmqpType.double: return number(UInt64.self).map { .double(Double(bitPattern: $0)) }
        case AmqpType.character:
            return number(UInt32.self).flatMap { Unicode.Scalar($0) }.map { .string(String($0)) }
        case AmqpType.timestamp:
            return number(Int64.self).map { .timestamp(milliseconds: $0) }
        case AmqpType.uuid:
            guard let high = number(UInt64.self), let low = number(UInt64.self) else { return nil }
            return .uuid(high: high, low: low)
        default: return octetValue(constructor)
        }
    }

    private mutating func octetValue(_ constructor: UInt8) -> HeaderValue? {
        position -= 1
        guard let range = octets() else { return nil }
        let bytes = unsafe span(range)
        switch constructor {
        case AmqpType.binary8, AmqpType.binary32: return unsafe .bytes(Array(bytes))
        case AmqpType.symbol8, AmqpType.symbol32:
            return unsafe .symbol(String(decoding: bytes, as: UTF8.self))
        default: return unsafe .string(String(decoding: bytes, as: UTF8.self))
        }
    }
}
