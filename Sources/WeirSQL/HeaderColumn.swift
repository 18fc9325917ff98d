import Weir
import WeirBase

/// A hidden column behind the others: a header of which there is an index, with the value that the
/// expression has after which it is named.
struct HeaderColumn {
    let header: String

    var name: String { Self.prefix + "'\(header)'" }

    static let prefix = "headers ->> "

    /// Of a stream's indexed headers those that the operator takes for plain labels. SQLite tells
    /// no capital letters from small ones: the first of two that differ in them only has a column.
    static func all(_ headers: [String]) -> [HeaderColumn] {
        var taken: Set<String> = []
        return headers.filter { isLabel($0) && taken.insert($0.lowercased()).inserted }
            .map { HeaderColumn(header: $0) }
    }

    private static func isLabel(_ header: String) -> Bool {
        let isWord = header.utf8.allSatisfy {
            (65...90).contains($0) || (97...122).contains($0) || (48...57).contains($0) || $0 == 95
        }
        return isWord && !(48...57).contains(header.utf8.first ?? 48)
    }

    /// What `->>` makes of the header in the column `headers`.
    func value(in headers: Headers) -> SQLValue {
        guard let found = headers.first(where: { $0.name == header })?.value else { return .null }
        switch found {
        case .null: return .null
        case .bool(let flag): return .flag(flag)
        case .int(let number): return .integer(number)
        case .unsigned(let number) where number <= UInt64(Int64.max):
            return .integer(Int64(number))
        case .double(let number) where number.isFinite && number != number.rounded():
            return .real(number)
        case .string(let text): return .string(text)
        // An object of one member, as text.
        case .unsigned, .double, .timestamp, .uuid, .bytes, .symbol:
            var out: [UInt8] = []
            JSONText.append(found, to: &out)
            return .text(out)
        }
    }
}
