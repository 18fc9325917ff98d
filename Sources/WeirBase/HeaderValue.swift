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

extension HeaderValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByFloatLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
}
