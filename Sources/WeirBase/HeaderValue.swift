/// The value of a record's header: what the application properties of an AMQP message can hold.
public enum HeaderValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case int(Int64)
    /// Only where `int` cannot hold it, or where another client wrote an unsigned type.
    case unsigned(UInt64)
    case double(Double)
    /// Milliseconds since 1970: the resolution of AMQP's own timestamp.
    case timestamp(milliseconds: Int64)
    case uuid(high: UInt64, low: UInt64)
    case bytes([UInt8])
    case string(String)
    case symbol(String)
}

extension HeaderValue: CustomStringConvertible {
    /// A whole number of any type; `unsigned` only where `int` cannot hold it. Saturates beyond 64
    /// bits.
    public init(_ number: some BinaryInteger) {
        if let value = Int64(exactly: number) {
            self = .int(value)
        } else if number > 0 {
            self = .unsigned(UInt64(clamping: number))
        } else {
            self = .int(.min)
        }
    }

    /// The value as people write it, without its type.
    public var description: String {
        switch self {
        case .null: "null"
        case .bool(let flag): "\(flag)"
        case .int(let number): "\(number)"
        case .unsigned(let number): "\(number)"
        case .double(let number): "\(number)"
        case .timestamp(let milliseconds): "\(Timestamp(milliseconds: milliseconds))"
        case .uuid(let high, let low): hexadecimal(high) + hexadecimal(low)
        case .bytes(let bytes): "\(bytes.count) bytes"
        case .string(let text), .symbol(let text): text
        }
    }
}

extension HeaderValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByFloatLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
}
