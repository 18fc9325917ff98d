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
        case .headers: " TEXT"
        case .time, .appendTime: " TEXT COLLATE \(TimeText.collation)"
        // Text or bytes, whatever they are.
        case .key, .value: ""
        }
    }

    var isTime: Bool { self == .time || self == .appendTime }

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
