import Foundation
import GRDB
import Weir
import WeirTesting

@testable import WeirSQL

/// A condition over the columns of a stream's table, and what it says of a record by SQL's own
/// rules: that it is so, that it is not, or `nil` for what nobody knows, as something is NULL.
indirect enum ProbedCondition {
    enum Column: String, CaseIterable {
        case offset, time
        case timeMicroseconds = "time_us"
        case appendTime = "append_time"
        case appendTimeMicroseconds = "append_time_us"
        case key
        case header = "headers ->> 'mark'"
    }
    enum Value {
        case null
        case integer(Int64)
        case text([UInt8])
        case bytes([UInt8])
    }
    enum Relation: String, CaseIterable {
        case less = "<"
        case lessOrEqual = "<="
        case equal = "="
        case different = "<>"
        case greaterOrEqual = ">="
        case greater = ">"
    }

    case comparison(Column, Relation, Value)
    case between(Column, Value, Value)
    case among(Column, [Value])
    case isNull(Column)
    case not(ProbedCondition)
    case and(ProbedCondition, ProbedCondition)
    case or(ProbedCondition, ProbedCondition)

    /// Whether the index is the only way to answer it without looking at every record.
    var isOfKeyAlone: Bool {
        if case .comparison(.key, .equal, .text) = self { return true }
        if case .comparison(.key, .equal, .bytes) = self { return true }
        return false
    }

    // MARK: as SQL

    /// With a `?` for each of `arguments`.
    var sql: String {
        switch self {
        case .comparison(let column, let relation, _):
            "\(column.rawValue) \(relation.rawValue) ?"
        case .between(let column, _, _): "\(column.rawValue) BETWEEN ? AND ?"
        case .among(let column, let values):
            "\(column.rawValue) IN (\(values.map { _ in "?" }.joined(separator: ", ")))"
        case .isNull(let column): "\(column.rawValue) IS NULL"
        case .not(let inner): "NOT (\(inner.sql))"
        case .and(let one, let other): "(\(one.sql)) AND (\(other.sql))"
        case .or(let one, let other): "(\(one.sql)) OR (\(other.sql))"
        }
    }

    var arguments: [Value] {
        switch self {
        case .comparison(_, _, let value): [value]
        case .between(_, let least, let most): [least, most]
        case .among(_, let values): values
        case .isNull: []
        case .not(let inner): inner.arguments
        case .and(let one, let other), .or(let one, let other): one.arguments + other.arguments
        }
    }

    func offsets(of stream: StreamName, in database: RecordsDatabase) throws -> [Offset] {
        var found: [Offset] = []
        try database.offsets(
            of: stream.description, where: sql, StatementArguments(arguments.map(\.argument))
        ) { offset in
            found.append(offset)
            return true
        }
        return found
    }

    // MARK: what it says

    func holds(for known: IndexJudge.Known) -> Bool? {
        switch self {
        case .comparison(let column, let relation, let value):
            return Value(of: known, column).order(against: value).map(relation.allows)
        case .between(let column, let least, let most):
            let value = Value(of: known, column)
            return Self.and(
                value.order(against: least).map { $0 >= 0 },
                value.order(against: most).map { $0 <= 0 })
        case .among(let column, let values):
            let value = Value(of: known, column)
            let equal = values.map { value.order(against: $0).map { $0 == 0 } }
            return equal.contains(true) ? true : equal.contains(nil) ? nil : false
        case .isNull(let column):
            if case .null = Value(of: known, column) { return true }
            return false
        case .not(let inner): return inner.holds(for: known).map { !$0 }
        case .and(let one, let other):
            return Self.and(one.holds(for: known), other.holds(for: known))
        case .or(let one, let other):
            let (isOne, isOther) = (one.holds(for: known), other.holds(for: known))
            return Self.and(isOne.map { !$0 }, isOther.map { !$0 }).map { !$0 }
        }
    }

    private static func and(_ one: Bool?, _ other: Bool?) -> Bool? {
        if one == false || other == false { return false }
        return one == nil || other == nil ? nil : true
    }
}

extension ProbedCondition.Relation {
    /// `order` is below, at or above zero, as the left side is less, equal or greater.
    func allows(_ order: Int) -> Bool {
        switch self {
        case .less: order < 0
        case .lessOrEqual: order <= 0
        case .equal: order == 0
        case .different: order != 0
        case .greaterOrEqual: order >= 0
        case .greater: order > 0
        }
    }
}

extension ProbedCondition.Value {
    /// Of a key: a text where it can be one, otherwise bytes.
    init(key: [UInt8]) {
        self = String(validating: key, as: UTF8.self) == nil ? .bytes(key) : .text(key)
    }

    init(of known: IndexJudge.Known, _ column: ProbedCondition.Column) {
        let record = known.record
        switch column {
        case .offset: self = .integer(Int64(record.offset.value))
        case .time: self = .text(Array(TimeText.text(of: record.time).utf8))
        case .timeMicroseconds: self = .integer(record.time.microseconds)
        case .appendTime: self = .text(Array(TimeText.text(of: known.appendTime).utf8))
        case .appendTimeMicroseconds: self = .integer(known.appendTime.microseconds)
        case .key: self = record.key.map(Self.init(key:)) ?? .null
        case .header:
            let mark: HeaderValue? = record.headers[IndexJudge.header]
            if case .some(.int(let number)) = mark {
                self = .integer(number)
            } else {
                self = .null
            }
        }
    }

    var argument: DatabaseValue {
        switch self {
        case .null: .null
        case .integer(let number): number.databaseValue
        case .text(let bytes): String(decoding: bytes, as: UTF8.self).databaseValue
        case .bytes(let bytes): Data(bytes).databaseValue
        }
    }

    /// Numbers come before texts, and these before bytes; `nil` beside NULL.
    func order(against other: Self) -> Int? {
        switch (self, other) {
        case (.null, _), (_, .null): nil
        case (.integer(let one), .integer(let other)): one < other ? -1 : one == other ? 0 : 1
        case (.text(let one), .text(let other)), (.bytes(let one), .bytes(let other)):
            one.lexicographicallyPrecedes(other) ? -1 : one == other ? 0 : 1
        default: rank - other.rank
        }
    }

    private var rank: Int {
        switch self {
        case .null: 0
        case .integer: 1
        case .text: 2
        case .bytes: 3
        }
    }
}

// MARK: what somebody may ask

extension ProbedCondition {
    static func any(
        _ known: [IndexJudge.Known], depth: Int = 2, _ random: inout SeededRandom
    ) -> ProbedCondition {
        switch depth == 0 ? 9 : random.below(10) {
        case 0: return .not(any(known, depth: depth - 1, &random))
        case 1, 2, 3:
            let one = any(known, depth: depth - 1, &random)
            return .and(one, any(known, depth: depth - 1, &random))
        case 4, 5:
            let one = any(known, depth: depth - 1, &random)
            return .or(one, any(known, depth: depth - 1, &random))
        case 6, 7: return .comparison(.key, .equal, value(.key, known, &random))
        default: return test(known, &random)
        }
    }

    private static func test(
        _ known: [IndexJudge.Known], _ random: inout SeededRandom
    ) -> ProbedCondition {
        // Keys and headers are what an index is asked for.
        let all = Column.allCases + [.key, .key, .header]
        let column = all[random.below(all.count)]
        let value = value(column, known, &random)
        switch random.below(6) {
        case 0: return .isNull(column)
        case 1: return .between(column, value, self.value(column, known, &random))
        case 2:
            var values = [value]
            for _ in 0..<random.below(3) { values.append(self.value(column, known, &random)) }
            return .among(column, values)
        default:
            let relation = Relation.allCases[random.below(Relation.allCases.count)]
            return .comparison(column, relation, value)
        }
    }

    /// What some record has there, or none.
    private static func value(
        _ column: Column, _ known: [IndexJudge.Known], _ random: inout SeededRandom
    ) -> Value {
        switch random.below(16) {
        case 0: return .null
        case 1 where column == .key: return Value(key: IndexJudge.key(IndexJudge.keyCount))
        default:
            guard !known.isEmpty else { return .integer(0) }
            let value = Value(of: known[random.below(known.count)], column)
            guard case .integer(let number) = value else { return value }
            return .integer(number + Int64(random.below(3)) - 1)
        }
    }
}
