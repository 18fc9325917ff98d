import Weir
import WeirBase

/// A table whose rows SQLite asks for one by one. `TableModule` makes it one of SQLite's.
protocol VirtualTable: AnyObject {
    /// `CREATE TABLE`, as SQLite wants it from a module; the table's name in it is of no account.
    var declaration: String { get }
    /// Which conditions the table answers itself. SQLite looks at each row again, so it may answer
    /// them too widely, and never too narrowly.
    func plan(_ question: PlanQuestion) -> PlanAnswer
    func makeWalk() -> any TableWalk
}

/// A statement's walk over a table. It begins anew as often as SQLite likes.
protocol TableWalk: AnyObject {
    /// Goes to the first row. `number` is the plan's, and so are the values, in its order.
    func begin(_ number: Int32, _ values: [SQLValue]) throws
    func advance() throws
    var isAtEnd: Bool { get }
    var rowID: Int64 { get }
    func value(inColumn column: Int) -> SQLValue
}

/// What a statement wants of a table.
struct PlanQuestion {
    struct Condition {
        /// -1 is the row's id.
        let column: Int
        let comparison: Comparison
        /// Its texts are compared as times, and not byte by byte.
        let isOfTimes: Bool
        /// It is one of several values, and the walk begins anew for each of them.
        let isList: Bool
        /// Where SQLite keeps it.
        let place: Int
    }
    enum Comparison {
        case equal
        case from
        case to
    }

    /// Those that a table may answer: their value is known, and they compare byte by byte or as
    /// times.
    var conditions: [Condition] = []
    /// A bit for each column that is looked at.
    var columns = UInt64.max
    /// By which column alone, if by one and rising; -1 is the row's id.
    var order: Int?
}

struct PlanAnswer {
    /// Places of the conditions whose values the walk gets, in this order.
    var places: [Int] = []
    /// What the walk is to know beside them.
    var number: Int32 = 0
    /// For the planner: no more than a guess.
    var cost: Double
    var rowCount: Double
    var isUnique = false
    /// The rows come as the question wants them.
    var isOrdered = false
}

/// A value as SQLite has it.
enum SQLValue: Hashable {
    case null
    case integer(Int64)
    case real(Double)
    /// UTF-8, if a statement does not force it to be something else.
    case text([UInt8])
    case bytes([UInt8])

    static func string(_ text: String) -> SQLValue { .text(Array(text.utf8)) }

    static func string(_ text: String?) -> SQLValue { text.map { .string($0) } ?? .null }

    /// Text where it is valid UTF-8, else bytes.
    static func textOrBytes(_ bytes: [UInt8]?) -> SQLValue {
        guard let bytes else { return .null }
        return JSONText.isText(bytes) ? .text(bytes) : .bytes(bytes)
    }

    static func integer(_ number: Int) -> SQLValue { .integer(Int64(number)) }
    static func integer(_ number: Int?) -> SQLValue { number.map { .integer($0) } ?? .null }
    /// Beyond what SQLite can count, the highest that it can.
    static func integer(_ number: UInt64?) -> SQLValue {
        number.map { .integer(Int64(clamping: $0)) } ?? .null
    }
    static func flag(_ flag: Bool) -> SQLValue { .integer(flag ? 1 : 0) }
    /// As text of one width, and as a number of microseconds.
    static func times(_ time: Timestamp?) -> [SQLValue] {
        guard let time else { return [.null, .null] }
        return [.string(TimeText.text(of: time)), .integer(time.microseconds)]
    }
}
