public import WeirBase

/// Where the parts of a record stand in its entry: what one walk over an AMQP message finds.
///
/// An entry is one of
///
///     plain value   00 53 75 | a0 n | n bytes           (b0 and four bytes of length from 256 on)
///     message       [header] [annotations] [properties] [application properties] body [footer]
///     raw           anything else: the whole entry is the value
///
/// All numbers are byte positions within the entry, so the value holds no reference.
@usableFromInline
package struct EntryLayout: Sendable, Hashable {
    @usableFromInline
    package enum Shape: UInt8, Sendable {
        /// One `data` section, or an `amqp-value` that is a string, symbol or binary.
        case value
        /// A key and an `amqp-value` of null.
        case tombstone
        /// A well-formed message with another body; its value is the whole entry.
        case other
        /// Not well-formed AMQP to its last byte; its value is the whole entry.
        case raw
        /// A sub-batch in a codec that is not built in; several records at once.
        case opaque
    }

    @usableFromInline package var shape: Shape
    @usableFromInline package var value: Range<Int>
    @usableFromInline package var key: Range<Int>?
    /// Items of the application properties and how many they are (names and values counted each).
    @usableFromInline package var headers: Range<Int>?
    @usableFromInline package var headerItemCount: Int
    @usableFromInline package var recordTime: Timestamp?

    @inlinable @inline(__always)
    package init(shape: Shape, value: Range<Int>) {
        self.shape = shape
        self.value = value
        self.key = nil
        self.headers = nil
        self.headerItemCount = 0
        self.recordTime = nil
    }

    package static let keyAnnotation: StaticString = "x-opt-partition-key"
    package static let timeAnnotation: StaticString = "x-opt-weir-time"
    /// Place of `creation-time` in the list of an AMQP message's properties.
    package static let creationTimeIndex = 9

    /// Reads an entry that is not a plain value. Costs one walk over it; takes no memory.
    @usableFromInline
    package static func parse(_ base: UnsafeRawPointer, byteCount: Int) -> EntryLayout {
        if let (key, value) = unsafe KeyedValue.parts(base, byteCount: byteCount) {
            var layout = EntryLayout(shape: .value, value: value)
            layout.key = key
            return layout
        }
        var reader = unsafe AmqpReader(base: base, position: 0, end: byteCount)
        var layout = EntryLayout(shape: .other, value: 0..<byteCount)
        var bodyCount = 0
        while !reader.isAtEnd {
            guard let section = reader.sectionCode(),
                layout.read(section, &reader, bodyCount: &bodyCount)
            else { return EntryLayout(shape: .raw, value: 0..<byteCount) }
        }
        // A message has a body; what has none, or ended early, was never a message.
        guard bodyCount > 0 else { return EntryLayout(shape: .raw, value: 0..<byteCount) }
        if bodyCount > 1 || (layout.shape == .tombstone && layout.key == nil) {
            layout.shape = .other
        }
        if layout.shape == .other { layout.value = 0..<byteCount }
        return layout
    }

    private mutating func read(
        _ section: UInt8, _ reader: inout AmqpReader, bodyCount: inout Int
    ) -> Bool {
        switch section {
        case AmqpType.Section.messageAnnotations: return readAnnotations(&reader)
        case AmqpType.Section.properties: return readProperties(&reader)
        case AmqpType.Section.applicationProperties: return readHeaders(&reader)
        case AmqpType.Section.data, AmqpType.Section.value, AmqpType.Section.sequence:
            bodyCount += 1
            return readBody(section, &reader)
        case AmqpType.Section.header, AmqpType.Section.deliveryAnnotations,
            AmqpType.Section.footer:
            return reader.skipValue()
        default: return false
        }
    }

    private mutating func readBody(_ section: UInt8, _ reader: inout AmqpReader) -> Bool {
        let start = reader.position
        if section == AmqpType.Section.data || section == AmqpType.Section.value {
            if let octets = reader.octets() {
                shape = .value
                value = octets
                return true
            }
            if section == AmqpType.Section.data { return false }
            if let constructor = reader.byte(), constructor == AmqpType.null {
                shape = .tombstone
                value = start..<start
                return true
            }
            reader.position = start
        }
        return reader.skipValue()
    }

    private mutating func readAnnotations(_ reader: inout AmqpReader) -> Bool {
        guard var (count, items) = reader.map() else { return false }
        while count > 0 {
            count -= 2
            guard let name = items.octets() else {
                // A reserved numeric annotation name; nothing of ours.
                guard items.skipValue(), items.skipValue() else { return false }
                continue
            }
            if items.equals(name, EntryLayout.keyAnnotation), key == nil {
                guard let found = items.keyOctets() else { return false }
                key = found
            } else {
                let start = items.position
                guard items.skipValue() else { return false }
                guard items.equals(name, EntryLayout.timeAnnotation) else { continue }
                // Read a second time, as a value: of another type than ours it means nothing.
                var value = unsafe AmqpReader(
                    base: items.base, position: start, end: items.position)
                if case .int(let microseconds)? = value.headerValue() {
                    recordTime = Timestamp(microseconds: microseconds)
                }
            }
        }
        return items.isAtEnd
    }

    private mutating func readProperties(_ reader: inout AmqpReader) -> Bool {
        let start = reader.position
        guard reader.skipValue() else { return false }
        let end = reader.position
        reader.position = start
        defer { reader.position = end }
        guard let constructor = reader.byte() else { return false }
        let list: (count: Int, items: AmqpReader)? =
            switch constructor {
            case AmqpType.list8: reader.compound(UInt8.self)
            case AmqpType.list32: reader.compound(UInt32.self)
            case AmqpType.emptyList: (0, reader)
            default: nil
            }
        guard var list else { return false }
        guard list.count > EntryLayout.creationTimeIndex else { return true }
        for _ in 0..<EntryLayout.creationTimeIndex where !list.items.skipValue() { return false }
        // The annotation has microseconds and wins over this field's milliseconds.
        if recordTime == nil, case .timestamp(let milliseconds)? = list.items.headerValue() {
            recordTime = Timestamp(milliseconds: milliseconds)
        }
        return true
    }

    private mutating func readHeaders(_ reader: inout AmqpReader) -> Bool {
        guard var (count, items) = reader.map() else { return false }
        headers = items.position..<items.end
        headerItemCount = count
        while count > 0 {
            count -= 2
            guard items.octets() != nil, items.skipValue() else { return false }
        }
        return items.isAtEnd
    }
}

extension AmqpReader {
    /// A section's code from its descriptor: `00 53 code` or `00 80` and eight bytes.
    fileprivate mutating func sectionCode() -> UInt8? {
        guard byte() == AmqpType.described, let constructor = byte() else { return nil }
        switch constructor {
        case AmqpType.smallUnsignedLong: return byte()
        case AmqpType.unsignedLong: return number(UInt64.self).flatMap { UInt8(exactly: $0) }
        default: return nil
        }
    }

    fileprivate func equals(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        return unsafe isSame(base + range.lowerBound, text.utf8Start, byteCount: range.count)
    }

    /// A key's bytes: the octets of string, symbol or binary, which are equal across the three;
    /// of any other type the constructor and its encoding.
    fileprivate mutating func keyOctets() -> Range<Int>? {
        if let range = octets() { return range }
        let start = position
        return skipValue() ? start..<position : nil
    }
}
