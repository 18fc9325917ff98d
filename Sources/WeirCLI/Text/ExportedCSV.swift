import Foundation
import Weir

/// Rows as `read --format csv` prints them: offset, time, key, value and headers.
///
/// A key or value that is missing is an empty field, and one that is there and empty is `""`.
struct ExportedCSVParser: RecordParser {
    private var rows: CSVReader
    private let json: NDJSONParser
    /// Before the offset stands the stream, where several were merged.
    private let first: Int
    var line: Int { rows.line }

    /// Reads the first row. Throws `malformedInput` for other columns.
    init(_ source: InputSource) throws {
        rows = CSVReader(source)
        json = NDJSONParser(source)
        var names = try rows.next()?.map { String(decoding: $0, as: UTF8.self) } ?? []
        let found =
            names.isEmpty
            ? "there are no columns" : "the columns are " + names.joined(separator: ",")
        first = names.first == "stream" ? 1 : 0
        names.removeFirst(first)
        guard names.joined(separator: ",") == RecordFormatter.columns else {
            throw WeirError(
                .malformedInput,
                "Line 1: \(found), and an export has \(RecordFormatter.columns). Any other CSV "
                    + "file is for `weir append STREAM FILE --format csv`.")
        }
    }

    mutating func next() throws -> TextRecord? {
        guard let row = try rows.next() else { return nil }
        guard row.count == first + 5 else {
            throw malformed(
                rows.line,
                "it has \(Numbers.counted(row.count, "field")) where "
                    + "\(first + 5) columns are named.")
        }
        var record = TextRecord()
        record.offset = UInt64(String(decoding: row[first], as: UTF8.self))
        let time = String(decoding: row[first + 1], as: UTF8.self)
        record.time = Timestamp(iso8601: time)
        guard record.offset != nil, record.time != nil else {
            throw malformed(
                rows.line, "an offset and a time (ISO 8601) are expected in front of the key.")
        }
        record.key = field(row, first + 2)
        record.value = field(row, first + 3)
        // A tombstone has a key: some other program left the quotes out.
        if record.key == nil, record.value == nil { record.value = [] }
        if !row[first + 4].isEmpty {
            let object = Array("{\"value\":null,\"headers\":".utf8) + row[first + 4]
            record.headers = try json.parse(object + [UInt8(ascii: "}")], number: rows.line).headers
        }
        return record
    }

    private func field(_ row: [[UInt8]], _ place: Int) -> [UInt8]? {
        row[place].isEmpty && !rows.quoted[place] ? nil : row[place]
    }
}
