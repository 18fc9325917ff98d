import Weir

/// A record between text and store.
struct TextRecord: Equatable {
    var offset: UInt64?
    var key: [UInt8]?
    var headers = Headers()
    var time: Timestamp?
    /// `nil` is a tombstone.
    var value: [UInt8]?
}

/// A text format that records are read from.
protocol RecordParser {
    /// The next record; `nil` when the input gives nothing more.
    ///
    /// Throws `malformedInput` naming the line; the parser can go on behind it.
    mutating func next() throws -> TextRecord?
    /// The line on which the last record began.
    var line: Int { get }
}

func malformed(_ line: Int, _ what: String) -> WeirError {
    WeirError(.malformedInput, "Line \(line): \(what)" + malformedAdvice)
}

let malformedAdvice = " Correct it, or let --skip-bad count such lines and go on."
