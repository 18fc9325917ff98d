import Foundation
import Weir

/// Which columns of a CSV file make what of a record.
struct CSVColumns {
    var key: String?
    var time: String?
    var headers: [String] = []
    var value: String?
}

/// Rows of a CSV file (RFC 4180) as a stream: quoted fields may hold commas, quotes and line feeds.
struct CSVReader {
    private let source: InputSource
    /// The line on which the last row began.
    private(set) var line = 0
    private var nextLine = 1
    /// Of the last row, which fields were quoted.
    private(set) var quoted: [Bool] = []

    init(_ source: InputSource) { self.source = source }

    /// The next row's fields; `nil` at the end. An empty line is stepped over.
    mutating func next() throws -> [[UInt8]]? {
        while true {
            line = nextLine
            guard try source.peek() != nil else { return nil }
            let row = try row()
            if row.count > 1 || !(row.first?.isEmpty ?? true) { return row }
        }
    }

    private mutating func row() throws -> [[UInt8]] {
        var fields: [[UInt8]] = []
        quoted.removeAll(keepingCapacity: true)
        while true {
            var field: [UInt8] = []
            let isQuoted = try source.peek() == UInt8(ascii: "\"")
            quoted.append(isQuoted)
            if isQuoted {
                source.skip()
                try takeQuoted(&field)
            }
            let end = try plain(&field, isQuoted: isQuoted)
            fields.append(field)
            if end != UInt8(ascii: ",") {
                nextLine += 1
                return fields
            }
        }
    }

    /// Up to the closing quote; a doubled quote is one.
    private mutating func takeQuoted(_ field: inout [UInt8]) throws {
        while true {
            let quote = UInt8(ascii: "\"")
            let before = field.count
            guard try source.take(until: quote, into: &field, limit: Limits.recordBytesMax) else {
                throw malformed(line, "a quoted field is not closed.")
            }
            source.skip()
            nextLine += field[before...].count { $0 == 10 }
            guard try source.peek() == quote else { return }
            source.skip()
            field.append(quote)
        }
    }

    /// Up to a comma, a line's end or the input's; which of them it was.
    private func plain(_ field: inout [UInt8], isQuoted: Bool) throws -> UInt8? {
        var rest: [UInt8] = []
        var end: UInt8?
        while let byte = try source.peek() {
            source.skip()
            if byte == UInt8(ascii: ",") || byte == 10 {
                end = byte
                break
            }
            rest.append(byte)
            if rest.count > Limits.recordBytesMax {
                throw malformed(line, "a field has more than \(Limits.recordBytesMax) bytes.")
            }
        }
        if end != UInt8(ascii: ","), rest.last == 13 { rest.removeLast() }
        if isQuoted, !rest.isEmpty { throw malformed(line, "text follows a closed quote.") }
        field += rest
        return end
    }
}

/// Records from the rows of a CSV file whose first row names its columns.
struct CSVParser: RecordParser {
    private var rows: CSVReader
    var line: Int { rows.line }
    private let names: [String]
    private let keyIndex: Int?
    private let timeIndex: Int?
    private let headerIndexes: [Int]
    private let valueIndexes: [Int]

    /// Reads the first row. Throws `invalidArgument` for a column that is not there.
    init(_ source: InputSource, columns: CSVColumns) throws {
        var rows = CSVReader(source)
        guard var first = try rows.next() else {
            throw malformed(1, "the input is empty; a row of column names is expected.")
        }
        if first[0].starts(with: [0xEF, 0xBB, 0xBF]) { first[0].removeFirst(3) }
        let names = first.map { String(decoding: $0, as: UTF8.self) }
        if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
            throw WeirError(
                .invalidArgument,
                "Two columns are named \"\(twice)\"; give each column a name of its own.")
        }
        func index(_ name: String?) throws -> Int? {
            guard let name else { return nil }
            guard let index = names.firstIndex(of: name) else {
                throw WeirError(
                    .invalidArgument,
                    "There is no column \"\(name)\"; the columns are "
                        + names.joined(separator: ", ") + ".")
            }
            return index
        }
        self.rows = rows
        self.names = names
        keyIndex = try index(columns.key)
        timeIndex = try index(columns.time)
        headerIndexes = try columns.headers.compactMap { try index($0) }
        if let value = try index(columns.value) {
            valueIndexes = [value]
        } else {
            let taken = Set([keyIndex, timeIndex].compactMap { $0 } + headerIndexes)
            valueIndexes = names.indices.filter { !taken.contains($0) }
        }
    }

    mutating func next() throws -> TextRecord? {
        guard let row = try rows.next() else { return nil }
        guard row.count == names.count else {
            throw malformed(
                rows.line,
                "it has \(Numbers.counted(row.count, "field")) where "
                    + "\(Numbers.counted(names.count, "column")) are named.")
        }
        var record = TextRecord()
        if let keyIndex, !row[keyIndex].isEmpty { record.key = row[keyIndex] }
        if let timeIndex, !row[timeIndex].isEmpty {
            let text = String(decoding: row[timeIndex], as: UTF8.self)
            guard let time = parseTime(text) else {
                throw malformed(
                    rows.line,
                    "the time \"\(text)\" in column \(names[timeIndex]) cannot be parsed; expected "
                        + "\(timeHelp).")
            }
            record.time = time
        }
        for index in headerIndexes where !row[index].isEmpty {
            record.headers.append(
                names[index], .string(String(decoding: row[index], as: UTF8.self)))
        }
        record.value = value(row)
        return record
    }

    private func value(_ row: [[UInt8]]) -> [UInt8] {
        if valueIndexes.count == 1 { return row[valueIndexes[0]] }
        var out: [UInt8] = [UInt8(ascii: "{")]
        for (place, index) in valueIndexes.enumerated() {
            if place > 0 { out.append(UInt8(ascii: ",")) }
            JSONText.append(names[index], to: &out)
            out.append(UInt8(ascii: ":"))
            let field = row[index]
            let text =
                JSONText.isText(field)
                ? field : Array(String(decoding: field, as: UTF8.self).utf8)
            JSONText.append(string: text, to: &out)
        }
        out.append(UInt8(ascii: "}"))
        return out
    }
}
