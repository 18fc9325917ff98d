import ArgumentParser
import Foundation
import GRDB
import Weir
import WeirSQL

struct SqlCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sql", abstract: "Ask SQL over the store's records and streams.",
        discussion: """
            Each stream is a table with the columns offset, time, time_us, append_time, \
            append_time_us, key, headers (JSON), value and tombstone. time is ISO 8601 in \
            UTC, always with six digits behind the second. A condition on offset, or a \
            lower one on a time, says where reading begins, and key = is looked up in the \
            index; the rest is a scan.

            A partitioned stream is a table, too, with the partition's number in a column \
            partition before the others.

            weir_streams, weir_segments, weir_blocks, weir_cursors, weir_producers and \
            weir_index tell what the store knows of its streams.

            Nothing can be changed. Without a statement they are read from standard input, \
            at a prompt if that is a terminal; each ends with a semicolon.

            EXAMPLES
              weir sql "select count(*), min(time), max(time) from orders"
              weir sql "select key, value from orders where offset > 9" --format json
              weir sql "select headers ->> 'carrier' c, count(*) from flights group by c"
              weir sql "select name, lag_records from weir_cursors where stream = 'orders'"
              weir sql < report.sql
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "One statement; else they are read from standard input.") var sql: String?
    @Option(help: "table, csv or json (an object a line); table on a terminal, else csv.")
    var format: RowFormat?

    func run() throws {
        var opened = try options.open(.read)
        let gaps = Lock<[Gap]>([])
        var events = RecordsDatabase.Events()
        events.onGap = { gap in gaps.withLock { $0.append(gap) } }
        events.onScan = { Words.say("weir: note: \($0)") }
        events.isCancelled = { Interrupt.isRequested }
        let database = try RecordsDatabase(opened.store, events: events)
        let format = format ?? (isatty(1) == 1 ? .table : .csv)
        if let sql {
            var rest = sql
            while let statement = Self.statement(&rest) { try ask(database, statement, format) }
            if rest.contains(where: { !$0.isWhitespace }) || sql.isEmpty {
                try ask(database, rest, format)
            }
        } else {
            try askAll(database, format)
        }
        for gap in gaps.withLock({ $0 }) { opened.say(gap) }
        try opened.finish()
    }

    private func ask(_ database: RecordsDatabase, _ sql: String, _ format: RowFormat) throws {
        let output = StandardOutput()
        var printer = RowPrinter(format: format, output: output)
        do {
            try database.query(
                sql, columns: { printer.columns = $0 },
                { row in
                    try printer.print(row)
                    return true
                })
        } catch is CancellationError {
            throw ExitRequest(status: ExitStatus.interrupted)
        }
        try printer.end()
        try output.flush()
    }

    /// Statements from standard input. At a prompt an error is said, and it goes on.
    private func askAll(_ database: RecordsDatabase, _ format: RowFormat) throws {
        let isPrompt = isatty(0) == 1
        var text = ""
        if isPrompt {
            Words.say("weir: .tables, .columns TABLE, .quit; statements end with a semicolon.")
        }
        while true {
            try Interrupt.check()
            if isPrompt { Words.show(text.isEmpty ? "weir> " : "  ... ") }
            guard let line = try Interrupt.line() else { break }
            if text.isEmpty, let word = Self.word(line) {
                if word == ".quit" { return }
                try answer(word, database)
                continue
            }
            text += line
            while let statement = Self.statement(&text) {
                do {
                    try ask(database, statement, format)
                } catch let error as WeirError where isPrompt {
                    Words.say("weir: \(error)")
                }
            }
            if text.allSatisfy(\.isWhitespace) { text = "" }
        }
        if text.contains(where: { !$0.isWhitespace }) { try ask(database, text, format) }
    }

    /// Takes the first whole statement, up to its semicolon, off a text.
    private static func statement(_ text: inout String) -> String? {
        for index in text.indices where text[index] == ";" {
            let first = String(text[...index])
            guard RecordsDatabase.isComplete(first) else { continue }
            text.removeSubrange(...index)
            return first
        }
        return nil
    }

    private static func word(_ line: String) -> String? {
        let word = line.trimmingCharacters(in: .whitespacesAndNewlines)
        return word.hasPrefix(".") ? word : nil
    }

    private func answer(_ line: String, _ database: RecordsDatabase) throws {
        let words = line.split(separator: " ").map(String.init)
        switch (words[0], words.count) {
        case (".tables", 1):
            try StandardOutput.print(database.tableNames().map { $0 + "\n" }.joined())
        case (".columns", 2):
            let names = try database.columnNames(of: words[1])
            if names.isEmpty {
                Words.say("weir: There is no table \(words[1]); .tables tells them.")
            } else {
                try StandardOutput.print(names.joined(separator: ", ") + "\n")
            }
        default:
            Words.say("weir: There is no \(line); there are .tables, .columns TABLE and .quit.")
        }
    }
}

/// How rows are printed.
enum RowFormat: String, ExpressibleByArgument, CaseIterable {
    case table
    case csv
    case json
}

/// Prints rows as they come; a table's widths are those of its first rows.
struct RowPrinter {
    let format: RowFormat
    let output: StandardOutput
    var columns: [String] = []
    private var waiting: [[String]] = []
    private var widths: [Int]?
    private var hasHead = false
    private static let rowsForWidths = 200
    private static let widthMax = 60

    init(format: RowFormat, output: StandardOutput) {
        self.format = format
        self.output = output
    }

    mutating func print(_ row: Row) throws {
        let values = (0..<columns.count).map { row[$0] as DatabaseValue }
        switch format {
        case .json: try printObject(values)
        case .csv:
            if !hasHead { try line(columns.map(Self.field).joined(separator: ",")) }
            hasHead = true
            try line(values.map { Self.field(Self.text($0)) }.joined(separator: ","))
        case .table:
            waiting.append(values.map(Self.shown))
            if widths != nil || waiting.count >= Self.rowsForWidths { try printWaiting() }
        }
    }

    mutating func end() throws {
        if format == .table { try printWaiting() }
        if format == .csv, !hasHead { try line(columns.map(Self.field).joined(separator: ",")) }
    }

    private mutating func printWaiting() throws {
        if widths == nil {
            let found = columns.indices.map { column in
                waiting.reduce(columns[column].count) { max($0, $1[column].count) }
            }
            widths = found.map { min($0, Self.widthMax) }
            try row(columns)
            try line(
                (widths ?? []).map { String(repeating: "-", count: $0) }.joined(separator: "  "))
        }
        for cells in waiting { try row(cells) }
        waiting = []
    }

    private func row(_ cells: [String]) throws {
        let padded = zip(cells, widths ?? []).map { cell, width in
            cell + String(repeating: " ", count: max(0, width - cell.count))
        }
        var text = padded.joined(separator: "  ")
        while text.last == " " { text.removeLast() }
        try line(text)
    }

    private func line(_ text: String) throws {
        try output.write { out in
            out += Array(text.utf8)
            out.append(10)
        }
    }

    private func printObject(_ values: [DatabaseValue]) throws {
        try output.write { out in
            out.append(UInt8(ascii: "{"))
            for (index, value) in values.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                JSONText.append(columns[index], to: &out)
                out.append(UInt8(ascii: ":"))
                Self.append(value, to: &out)
            }
            out += [UInt8(ascii: "}"), 10]
        }
    }

    private static func append(_ value: DatabaseValue, to out: inout [UInt8]) {
        switch value.storage {
        case .null: JSONText.append(HeaderValue.null, to: &out)
        case .int64(let number): JSONText.append(HeaderValue.int(number), to: &out)
        case .double(let number): out += Array("\(number)".utf8)
        case .string(let text): JSONText.append(text, to: &out)
        case .blob(let data): JSONText.append(HeaderValue.bytes(Array(data)), to: &out)
        }
    }

    /// NULL is empty, bytes are SQLite's own literal.
    private static func text(_ value: DatabaseValue) -> String {
        switch value.storage {
        case .null: ""
        case .int64(let number): "\(number)"
        case .double(let number): "\(number)"
        case .string(let text): text
        case .blob(let data): "x'" + data.map { String(format: "%02x", $0) }.joined() + "'"
        }
    }

    /// In one line of a table, cut where it is too long; what would move the cursor is left out.
    private static func shown(_ value: DatabaseValue) -> String {
        let text = String(text(value).map { $0.isNewline || $0.asciiValue ?? 32 < 32 ? " " : $0 })
        return text.count > widthMax ? String(text.prefix(widthMax - 1)) + "…" : text
    }

    /// Quoted where it has to be (RFC 4180).
    private static func field(_ text: String) -> String {
        guard text.contains(where: { ",\"\n\r".contains($0) || $0 == "\r\n" }) else { return text }
        let inner = text.split(separator: "\"", omittingEmptySubsequences: false)
        return "\"" + inner.joined(separator: "\"\"") + "\""
    }
}
