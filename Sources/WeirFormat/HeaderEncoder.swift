package import WeirBase

/// Writes a record's headers into its entry: pairs of a name and a value.
///
/// It writes at an address that the batch owns and takes no memory. What does not fit is counted
/// and not written; the batch then makes room and asks for the headers again, so the closure that
/// fills an encoder may run more than once and must add the same headers each time.
@safe
@usableFromInline
package struct HeaderEncoder: ~Copyable {
    private let base: UnsafeMutableRawPointer
    package private(set) var position: Int
    private let start: Int
    private let limit: Int
    package private(set) var itemCount = 0
    /// A byte, where the error itself would make every move of this value a long one.
    private var defect = Defect.none

    private enum Defect: UInt8 {
        case none, emptyName, longName, tooMuch
    }

    package init(base: UnsafeMutableRawPointer, position: Int, limit: Int) {
        unsafe self.base = base
        self.position = position
        self.start = position
        self.limit = limit
    }

    package var hasFailed: Bool { defect != .none }
    /// Bytes that all headers so far take, written or not.
    package var needed: Int { position - start }
    package var overflowed: Bool { position > limit }

    package mutating func add(_ name: String, _ value: HeaderValue) {
        switch value {
        case .null: begin(name) { $0.store(AmqpType.null) }
        case .bool(let flag):
            begin(name) { $0.store(flag ? AmqpType.trueValue : AmqpType.falseValue) }
        case .int(let number): begin(name) { $0.store(number) }
        case .unsigned(let number): begin(name) { $0.store(number) }
        case .double(let number):
            begin(name) { $0.store(AmqpType.double, bits: number.bitPattern) }
        case .timestamp(let milliseconds):
            begin(name) { $0.store(AmqpType.timestamp, bits: UInt64(bitPattern: milliseconds)) }
        case .uuid(let high, let low):
            begin(name) {
                $0.store(AmqpType.uuid, bits: high)
                $0.storeBig(low)
            }
        case .bytes(let bytes):
            begin(name) { encoder in
                unsafe bytes.withUnsafeBytes {
                    unsafe encoder.store($0, AmqpType.binary8, AmqpType.binary32)
                }
            }
        case .string(let text): add(name, text)
        case .symbol(let text):
            begin(name) { $0.store(text, AmqpType.symbol8, AmqpType.symbol32) }
        }
    }

    package mutating func add(_ name: String, _ text: String) {
        begin(name) { $0.store(text, AmqpType.string8, AmqpType.string32) }
    }

    package mutating func add(_ name: String, _ number: Int64) {
        begin(name) { $0.store(number) }
    }

    /// A header whose value is UTF-8 that stands in memory already.
    package mutating func add(_ name: String, utf8: RawSpan) {
        let isText = UTF8Check.isValid(utf8)
        begin(name) { encoder in
            unsafe utf8.withUnsafeBytes {
                unsafe encoder.store(
                    $0, isText ? AmqpType.string8 : AmqpType.binary8,
                    isText ? AmqpType.string32 : AmqpType.binary32)
            }
        }
    }

    private mutating func begin(_ name: String, value: (inout HeaderEncoder) -> Void) {
        guard defect == .none else { return }
        let nameBytes = name.utf8.count
        guard nameBytes > 0, nameBytes <= Limits.headerNameBytesMax else {
            defect = nameBytes == 0 ? .emptyName : .longName
            return
        }
        store(name, AmqpType.string8, AmqpType.string32)
        value(&self)
        itemCount += 2
        if needed > Limits.headersBytesMax { defect = .tooMuch }
    }

    /// Why the headers cannot be written; `nil` while all is well.
    package var failure: WeirError? {
        switch defect {
        case .none: nil
        case .emptyName:
            WeirError(
                .invalidArgument,
                "A header's name is empty; expected 1 to \(Limits.headerNameBytesMax) bytes.")
        case .longName:
            WeirError(
                .tooLarge,
                "A header's name is too long; expected 1 to \(Limits.headerNameBytesMax) bytes.")
        case .tooMuch:
            WeirError(
                .tooLarge,
                "The headers of a record have more than \(Limits.headersBytesMax) bytes; put "
                    + "what is large into the value.")
        }
    }

    private mutating func store(_ byte: UInt8) {
        if position < limit {
            unsafe base.storeBytes(of: byte, toByteOffset: position, as: UInt8.self)
        }
        position += 1
    }

    private mutating func storeBig<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        if position + MemoryLayout<T>.size <= limit { unsafe base.storeBig(value, position) }
        position += MemoryLayout<T>.size
    }

    private mutating func store(_ type: UInt8, bits: UInt64) {
        store(type)
        storeBig(bits)
    }

    private mutating func store(_ number: Int64) {
        if let small = Int8(exactly: number) {
            store(AmqpType.smallLong)
            storeBig(small)
        } else {
            store(AmqpType.long, bits: UInt64(bitPattern: number))
        }
    }

    private mutating func store(_ number: UInt64) {
        if let small = UInt8(exactly: number) {
            store(AmqpType.smallUnsignedLong)
            store(small)
        } else {
            store(AmqpType.unsignedLong, bits: number)
        }
    }

    private mutating func store(_ text: String, _ short: UInt8, _ long: UInt8) {
        // Native strings have their UTF-8 in one piece; others are copied once.
        let stored: Void? = unsafe text.utf8.withContiguousStorageIfAvailable {
            unsafe store(UnsafeRawBufferPointer($0), short, long)
        }
        if stored == nil {
            unsafe Array(text.utf8).withUnsafeBytes { unsafe store($0, short, long) }
        }
    }

    private mutating func store(
        _ bytes: UnsafeRawBufferPointer, _ short: UInt8, _ long: UInt8
    ) {
        if bytes.count < 256 {
            store(short)
            store(UInt8(bytes.count))
        } else {
            store(long)
            storeBig(UInt32(clamping: bytes.count))
        }
        if let source = bytes.baseAddress, position + bytes.count <= limit {
            unsafe (base + position).copyMemory(from: source, byteCount: bytes.count)
        }
        position += bytes.count
    }
}
