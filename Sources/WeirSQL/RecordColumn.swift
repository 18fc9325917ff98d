import Weir
import WeirBase

/// The columns of a stream's table, in their order. `Docs/SQL.md` promises them.
enum RecordColumn: Int32, CaseIterable {
    case offset = 0
    case time
    case timeMicroseconds
    case appendTime
    case appendTimeMicroseconds
    case key
    case headers
    case value
    case tombstone

    var name: String {
        switch self {
        case .offset: "offset"
        case .time: "time"
        case .timeMicroseconds: "time_us"
        case .appendTime: "append_time"
        case .appendTimeMicroseconds: "append_time_us"
        case .key: "key"
        case .headers: "headers"
        case .value: "value"
        case .tombstone: "tombstone"
        }
    }

    private var type: String {
        switch self {
        case .offset, .timeMicroseconds, .appendTimeMicroseconds, .tombstone: " INTEGER"
        case .time, .appendTime, .headers: " TEXT"
        // Text or bytes, whatever they are.
        case .key, .value: ""
        }
    }

    /// Whether a set of columns, a bit each as SQLite has them, contains it.
    func isIn(_ columns: UInt64) -> Bool { columns & (1 << UInt64(rawValue)) != 0 }

    static var names: String { allCases.map(\.name).joined(separator: ", ") }

    /// `CREATE TABLE`, as SQLite asks a module for it, with a hidden column for each header.
    static func declaration(_ headers: [HeaderColumn]) -> String {
        let columns =
            allCases.map { "\"\($0.name)\"\($0.type)" }
            // Without a type it would count as a number's: a text would be equal to a number.
            + headers.map { "\"\($0.name)\" BLOB HIDDEN" }
        return "CREATE TABLE records(\(columns.joined(separator: ", ")))"
    }
}

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
