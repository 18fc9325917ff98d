import Weir
import WeirBase

/// What of a query's conditions the log answers by where it begins and ends. SQLite looks at every
/// row again, so a bound may be too wide, and must never be too narrow.
enum RecordBound: Int, CaseIterable {
    case offsetEqual
    case offsetFrom
    case offsetTo
    case timeFrom
    case timeMicrosecondsFrom
    case appendTimeFrom
    case appendTimeMicrosecondsFrom
    case appendTimeMicrosecondsTo
    case keyEqual
    case headerEqual

    /// `nil` where the log cannot help: record times may go back, so no time is the last of its
    /// kind.
    init?(_ column: RecordColumn, _ comparison: PlanQuestion.Comparison) {
        switch (column, comparison) {
        case (.offset, .equal): self = .offsetEqual
        case (.offset, .from): self = .offsetFrom
        case (.offset, .to): self = .offsetTo
        case (.time, .from), (.time, .equal): self = .timeFrom
        case (.timeMicroseconds, .from), (.timeMicroseconds, .equal): self = .timeMicrosecondsFrom
        case (.appendTime, .from), (.appendTime, .equal): self = .appendTimeFrom
        case (.appendTimeMicroseconds, .from), (.appendTimeMicroseconds, .equal):
            self = .appendTimeMicrosecondsFrom
        case (.appendTimeMicroseconds, .to): self = .appendTimeMicrosecondsTo
        case (.key, .equal): self = .keyEqual
        default: return nil
        }
    }

    /// The index says where such records are, if there is one.
    var isByIndex: Bool { self == .keyEqual || self == .headerEqual }

    /// The part of a stream that is left, for the planner: no more than a guess.
    var selectivity: Double {
        switch self {
        case .offsetEqual: 1e-6
        case .offsetFrom, .offsetTo, .appendTimeMicrosecondsTo: 0.25
        case .timeFrom, .timeMicrosecondsFrom, .appendTimeFrom, .appendTimeMicrosecondsFrom: 0.3
        case .keyEqual: 1e-4
        case .headerEqual: 1e-2
        }
    }
}

/// Where a scan begins, and where it may end.
struct RecordPlan: Equatable {
    var offsets: ClosedRange<UInt64> = 0...UInt64.max
    var timeFrom: Timestamp?
    var appendedFrom: Timestamp?
    var appendedTo: Timestamp?
    /// Only records with this key.
    var key: [UInt8]?
    /// Only records whose indexed header is this text.
    var header: String?
    /// A bit for each column that is looked at.
    var columns = UInt64.max
    /// Nothing can fulfil the conditions.
    var isEmpty = false

    mutating func add(_ bound: RecordBound, _ value: SQLValue) {
        switch (bound, value) {
        // No comparison with NULL holds.
        case (_, .null): isEmpty = true
        case (.keyEqual, .text(let bytes)): take(key: bytes, isText: true)
        case (.keyEqual, .bytes(let bytes)): take(key: bytes, isText: false)
        case (.headerEqual, .text(let bytes)): take(header: bytes)
        // Headers of bytes are text there, too.
        case (.headerEqual, .bytes): isEmpty = true
        case (.offsetEqual, .integer(let number)):
            narrow(from: number)
            narrow(to: number)
        case (.offsetFrom, .integer(let number)): narrow(from: number)
        case (.offsetTo, .integer(let number)): narrow(to: number)
        case (.timeFrom, .text(let text)): timeFrom = latest(timeFrom, TimeText.lowerBound(text))
        case (.timeMicrosecondsFrom, .integer(let number)):
            timeFrom = latest(timeFrom, Timestamp(microseconds: number))
        case (.appendTimeFrom, .text(let text)):
            appendedFrom = latest(appendedFrom, TimeText.lowerBound(text))
        case (.appendTimeMicrosecondsFrom, .integer(let number)):
            appendedFrom = latest(appendedFrom, Timestamp(microseconds: number))
        case (.appendTimeMicrosecondsTo, .integer(let number)):
            appendedTo = Timestamp(microseconds: number)
        default: break
        }
    }

    /// Nothing says where in a stream that has records from an offset on to begin or to end.
    func isUnbounded(from first: Offset) -> Bool {
        isBoundedByTimeAtMost(from: first) && timeFrom == nil && appendedFrom == nil
    }

    /// Nothing but maybe a time says where to begin, and nothing where to end.
    func isBoundedByTimeAtMost(from first: Offset) -> Bool {
        !isEmpty && offsets.lowerBound <= first.value && offsets.upperBound == .max
            && appendedTo == nil
    }

    /// A key is text in the table if it can be, and SQLite takes no text for equal to bytes. What a
    /// number is equal to depends on what it comes from: it says nothing here.
    private mutating func take(key bytes: [UInt8], isText: Bool) {
        if JSONText.isText(bytes) == isText { key = bytes } else { isEmpty = true }
    }

    /// A text is that of a header of text, or an object for one of another kind.
    private mutating func take(header bytes: [UInt8]) {
        guard bytes.first != UInt8(ascii: "{") else { return }
        header = String(validating: bytes, as: UTF8.self)
        if header == nil { isEmpty = true }
    }

    private mutating func narrow(from number: Int64) {
        let lower = UInt64(max(number, 0))
        guard lower <= offsets.upperBound else {
            isEmpty = true
            return
        }
        offsets = max(lower, offsets.lowerBound)...offsets.upperBound
    }

    private mutating func narrow(to number: Int64) {
        guard number >= 0, UInt64(number) >= offsets.lowerBound else {
            isEmpty = true
            return
        }
        offsets = offsets.lowerBound...min(UInt64(number), offsets.upperBound)
    }

    private func latest(_ a: Timestamp?, _ b: Timestamp?) -> Timestamp? {
        guard let a, let b else { return a ?? b }
        return max(a, b)
    }
}
