import Foundation
import Weir

/// A line is a record's value.
struct LinesParser: RecordParser {
    private var lines: LineReader
    var line: Int { lines.number }

    init(_ source: InputSource) { lines = LineReader(source) }

    mutating func next() throws -> TextRecord? {
        try lines.next().map { TextRecord(value: $0) }
    }
}

/// A line is a JSON object, exactly as `read --format json` prints it; what is appended gets
/// another offset, and goes to another stream than where several were merged.
struct NDJSONParser: RecordParser {
    private var lines: LineReader
    var line: Int { lines.number }
    private let decoder = JSONDecoder()

    init(_ source: InputSource) {
        // JSON may take six bytes to say one.
        lines = LineReader(source, limit: Limits.recordBytesMax * 6)
    }

    mutating func next() throws -> TextRecord? {
        while let line = try lines.next() {
            if line.allSatisfy({ $0 == 32 || $0 == 9 || $0 == 13 }) { continue }
            return try parse(line, number: lines.number)
        }
        return nil
    }

    func parse(_ line: [UInt8], number: Int) throws(WeirError) -> TextRecord {
        let object: [String: JSONInput]
        do {
            guard case .object(let members) = try decoder.decode(JSONInput.self, from: Data(line))
            else { throw malformed(number, "a JSON object is expected.") }
            object = members
        } catch let error as WeirError {
            throw error
        } catch {
            throw malformed(number, "this is no JSON object.")
        }
        var record = TextRecord()
        var hasValue = false
        for (name, value) in object {
            switch (name, value) {
            case ("offset", .int(let offset)): record.offset = UInt64(exactly: offset)
            case ("stream", .string): break
            case ("time", .string(let text)):
                guard let time = parseTime(text) else {
                    throw malformed(number, "the time \"\(text)\" cannot be parsed.")
                }
                record.time = time
            case ("key", .string(let text)): record.key = Array(text.utf8)
            case ("keyBase64", .string(let text)):
                record.key = try base64(text, "keyBase64", number)
            case ("value", .null): hasValue = true
            case ("value", .string(let text)):
                record.value = Array(text.utf8)
                hasValue = true
            case ("valueBase64", .string(let text)):
                record.value = try base64(text, "valueBase64", number)
                hasValue = true
            case ("headers", .object): break
            default: throw misfit(name, value, number)
            }
        }
        guard hasValue else { throw malformed(number, "the member \"value\" is missing.") }
        if case .object(let headers)? = object["headers"] {
            // In the line's own order, so that a record that was read comes back as it was.
            for name in JSONKeys.names(in: "headers", of: line) {
                guard let value = headers[name] else { continue }
                record.headers.append(name, try header(value, name, number))
            }
        }
        return record
    }

    private static let members = [
        "offset": "a whole number", "stream": "a string", "time": "a string, ISO 8601",
        "key": "a string", "keyBase64": "a string", "value": "a string, or null for a tombstone",
        "valueBase64": "a string", "headers": "an object",
    ]

    private func misfit(_ name: String, _ value: JSONInput, _ number: Int) -> WeirError {
        guard let expected = Self.members[name] else {
            return malformed(
                number,
                "the member \"\(name)\" is unknown; expected are "
                    + Self.members.keys.sorted().joined(separator: ", ")
                    + ". To keep objects of your own as they are, append them with --format lines.")
        }
        return malformed(number, "\"\(name)\" is \(value.kind); expected \(expected).")
    }

    private func base64(
        _ text: String, _ member: String, _ number: Int
    ) throws(WeirError) -> [UInt8] {
        guard let data = Data(base64Encoded: text) else {
            throw malformed(number, "the member \"\(member)\" is no base64.")
        }
        return Array(data)
    }

    private func header(
        _ value: JSONInput, _ name: String, _ number: Int
    ) throws(WeirError) -> HeaderValue {
        switch value {
        case .null: return .null
        case .bool(let flag): return .bool(flag)
        case .int(let number): return .int(number)
        case .unsigned(let number): return .unsigned(number)
        case .double(let number): return .double(number)
        case .string(let text): return .string(text)
        case .object(let members):
            if members.count == 1, let (type, inner) = members.first,
                let typed = typedHeader(type, inner)
            {
                return typed
            }
        case .array: break
        }
        throw malformed(number, "the header \"\(name)\" has a type that no header has.")
    }

    private func typedHeader(_ type: String, _ inner: JSONInput) -> HeaderValue? {
        switch (type, inner) {
        case ("timestamp", .string(let text)):
            return Timestamp(iso8601: text).map {
                .timestamp(milliseconds: $0.microseconds / 1000)
            }
        case ("base64", .string(let text)):
            return Data(base64Encoded: text).map { .bytes(Array($0)) }
        case ("unsigned", .string(let text)): return UInt64(text).map { .unsigned($0) }
        case ("symbol", .string(let text)): return .symbol(text)
        case ("uuid", .string(let text)): return uuid(text)
        case ("double", .string("nan")): return .double(.nan)
        case ("double", .string("inf")): return .double(.infinity)
        case ("double", .string("-inf")): return .double(-.infinity)
        case ("double", .int(let number)): return .double(Double(number))
        case ("double", .double(let number)): return .double(number)
        default: return nil
        }
    }

    private func uuid(_ text: String) -> HeaderValue? {
        let digits = text.filter { $0 != "-" }
        guard digits.count == 32, digits.allSatisfy(\.isHexDigit),
            let high = UInt64(digits.prefix(16), radix: 16),
            let low = UInt64(digits.suffix(16), radix: 16)
        else { return nil }
        return .uuid(high: high, low: low)
    }
}

/// Any JSON value; whole numbers keep all their 64 bits.
enum JSONInput: Decodable {
    case null
    case bool(Bool)
    case int(Int64)
    /// Only where `int` cannot hold it.
    case unsigned(UInt64)
    case double(Double)
    case string(String)
    case array([JSONInput])
    case object([String: JSONInput])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = JSONInput.attempt({ try container.decode(Bool.self) }) {
            self = .bool(value)
        } else if let value = JSONInput.attempt({ try container.decode(Int64.self) }) {
            // A negative zero is a number with a point, wherever it stands.
            let number = value == 0 ? JSONInput.attempt { try container.decode(Double.self) } : nil
            self = number?.sign == .minus ? .double(-0.0) : .int(value)
        } else if let value = JSONInput.attempt({ try container.decode(UInt64.self) }) {
            self = .unsigned(value)
        } else if let value = JSONInput.attempt({ try container.decode(Double.self) }) {
            self = .double(value)
        } else if let value = JSONInput.attempt({ try container.decode(String.self) }) {
            self = .string(value)
        } else if let value = JSONInput.attempt({ try container.decode([JSONInput].self) }) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONInput].self))
        }
    }

    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .int, .unsigned, .double: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// A decoder says by an error that the value is of another type.
    private static func attempt<Value>(_ body: () throws -> Value) -> Value? {
        do { return try body() } catch { return nil }
    }
}
