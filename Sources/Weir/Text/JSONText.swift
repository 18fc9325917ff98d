import Foundation
package import WeirBase

/// JSON as bytes, straight from bytes: `read` prints millions of records.
package enum JSONText {
    private static let hex = Array("0123456789abcdef".utf8)

    /// A JSON string of bytes that are valid UTF-8.
    package static func append(string bytes: [UInt8], to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                out.append(UInt8(ascii: "\\"))
                out.append(byte)
            case 8: out += [92, 98]
            case 9: out += [92, 116]
            case 10: out += [92, 110]
            case 12: out += [92, 102]
            case 13: out += [92, 114]
            case 0..<32:
                out += Array("\\u00".utf8)
                out.append(hex[Int(byte >> 4)])
                out.append(hex[Int(byte & 15)])
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }

    package static func append(_ text: String, to out: inout [UInt8]) {
        append(string: Array(text.utf8), to: &out)
    }

    /// `"name":"text"`, or `"nameBase64":"…"` where the bytes are no text.
    package static func append(member name: String, _ bytes: [UInt8], to out: inout [UInt8]) {
        if isText(bytes) {
            out += Array("\"\(name)\":".utf8)
            append(string: bytes, to: &out)
        } else {
            out += Array("\"\(name)Base64\":\"\(Data(bytes).base64EncodedString())\"".utf8)
        }
    }

    package static func isText(_ bytes: [UInt8]) -> Bool {
        if bytes.allSatisfy({ $0 < 0x80 }) { return true }
        return String(validating: bytes, as: UTF8.self) != nil
    }

    /// A header's value; types that JSON lacks are objects with one member.
    package static func append(_ value: HeaderValue, to out: inout [UInt8]) {
        switch value {
        case .null: out += Array("null".utf8)
        case .bool(let flag): out += Array((flag ? "true" : "false").utf8)
        case .int(let number): out += Array("\(number)".utf8)
        case .unsigned(let number):
            if number <= UInt64(Int64.max) {
                out += Array("\(number)".utf8)
            } else {
                append(object: "unsigned", "\(number)", to: &out)
            }
        case .double(let number): append(number, to: &out)
        case .timestamp(let milliseconds):
            append(
                object: "timestamp", Timestamp(milliseconds: milliseconds).description, to: &out)
        case .uuid(let high, let low):
            append(object: "uuid", uuidText(high, low), to: &out)
        case .bytes(let bytes):
            append(object: "base64", Data(bytes).base64EncodedString(), to: &out)
        case .string(let text): append(text, to: &out)
        case .symbol(let text): append(object: "symbol", text, to: &out)
        }
    }

    /// All headers, as one object.
    package static func append(_ headers: Headers, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "{"))
        for (index, header) in headers.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            append(header.name, to: &out)
            out.append(UInt8(ascii: ":"))
            append(header.value, to: &out)
        }
        out.append(UInt8(ascii: "}"))
    }

    /// JSON does not tell 1.0 from 1, and has no word for infinity.
    private static func append(_ number: Double, to out: inout [UInt8]) {
        if number.isNaN {
            append(object: "double", "nan", to: &out)
        } else if number.isInfinite {
            append(object: "double", number > 0 ? "inf" : "-inf", to: &out)
        } else if number == number.rounded() {
            out += Array("{\"double\":\(number)}".utf8)
        } else {
            out += Array("\(number)".utf8)
        }
    }

    private static func append(object name: String, _ text: String, to out: inout [UInt8]) {
        out += Array("{\"\(name)\":".utf8)
        append(text, to: &out)
        out.append(UInt8(ascii: "}"))
    }

    package static func uuidText(_ high: UInt64, _ low: UInt64) -> String {
        func digits(_ value: UInt64) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        let all = Array(digits(high) + digits(low))
        let cuts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32]
        return cuts.map { String(all[$0]) }.joined(separator: "-")
    }
}
