import ArgumentParser
import Foundation
import Weir

enum InputFormat: String, ExpressibleByArgument, CaseIterable {
    case lines, ndjson, csv

    /// `json` as well: so `read` calls what is read back here.
    init?(argument: String) { self.init(rawValue: argument == "json" ? "ndjson" : argument) }
}

struct AppendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "append", abstract: "Append records from a file or standard input.",
        discussion: """
            A stream that does not exist is made, and stderr says so; --no-create refuses.

            lines: a line is a value.

            ndjson, or json: an object a line, as `read --format json` prints it, with the members \
            value (or valueBase64), and if you like key (or keyBase64), time, headers.

            csv: the first row names the columns; the value is --value-column, else the \
            one column that is left, else the columns left as a JSON object; an empty key \
            is no key.

            In a partitioned stream a record goes to the partition of its key, and one without \
            a key to each in turn. To choose, name a partition as the stream: orders-3.

            At a quota whose policy is wait it says so and waits. Ctrl-C ends it at any time, and \
            what was appended by then is kept, and said.

            A batch that is not full goes when the input pauses for 10 ms. What was \
            appended before a malformed line is kept, and said.

            --producer: the number of a record in the input, from 1, malformed ones counted, \
            is its publishing id. The same input can be sent again after a crash, and what is \
            in the stream already is not appended twice. One name belongs to one input; it is \
            forgotten when 4096 other producers have appended since. In a partitioned stream a \
            record without a key goes by its number then, and not in turn.

            EXAMPLES
              weir append orders orders.ndjson --format ndjson --producer orders-2026-11
              seq 1000 | weir append numbers
              weir append flights flights.csv --format csv --key-column tailnum \\
                --time-column time_hour --header-columns carrier,origin,dest
              weir read a --format json | weir append b --format json --acks
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "The stream's name; made if there is none.", completion: streamNames)
    var stream: String
    @Argument(help: "The file, or - for standard input.", completion: .file()) var file: String?
    @Option(help: "lines, ndjson (or json) or csv.") var format: InputFormat = .lines
    @Option(help: "csv: the column that is the key.") var keyColumn: String?
    @Option(help: "csv: the column that is the record's time.") var timeColumn: String?
    @Option(help: "csv: columns that become headers, with commas between.")
    var headerColumns: String?
    @Option(help: "csv: the column that is the value.") var valueColumn: String?
    @Option(help: "Records a batch: 1 to 65535.") var batch = 1000
    @Option(help: "Append each record once, however often the input is sent under this name.")
    var producer: String?
    @Flag(help: "Print an acknowledgement a batch to standard output.") var acks = false
    @Flag(help: "Do not make the stream.") var noCreate = false
    @Flag(help: "Count malformed lines, and go on.") var skipBad = false
    @OptionGroup var settings: StreamSettings

    func validate() throws {
        guard (1...Limits.batchEntriesMax).contains(batch) else {
            throw ValidationError(
                "--batch is \(batch); expected 1 to \(Limits.batchEntriesMax) records a batch.")
        }
        let isCSV = format == .csv
        let columns = [keyColumn, timeColumn, headerColumns, valueColumn]
        guard isCSV || columns.allSatisfy({ $0 == nil }) else {
            throw ValidationError("Columns are for --format csv; this is \(format.rawValue).")
        }
    }

    func run() throws {
        let source = try InputSource(path: file)
        let parser = try makeParser(source)
        let opened = try noCreate ? options.open(.write) : options.open(making: stream)
        let appender = try Appender(
            stream, in: opened.store, creating: noCreate ? nil : try settings.configuration(),
            producer: producer, batchRecords: batch, level: settings.durability?.level,
            printsAcks: acks)
        try warnOfSettings(appender.configuration)
        try opened.append(
            parser, of: source, to: appender, ProgressBar("append", total: source.totalBytes),
            skippingBad: skipBad, tell: appender.tellRepeats)
    }

    /// Settings count when a stream is made; for one that exists they would be lost silently.
    private func warnOfSettings(_ found: StreamConfiguration) throws {
        let asked = try settings.configuration()
        let isInterval =
            if case .interval? = settings.durability?.durability { true } else { false }
        let differs =
            settings.areGiven && asked.withDurability(of: found) != found.placed(in: nil)
            || isInterval && asked.durability != found.durability
        guard differs else { return }
        Words.say(
            "weir: note: the stream \(stream) exists and keeps the settings that it was made with; "
                + "see `weir config \(stream)`")
    }

    private func makeParser(_ source: InputSource) throws -> any RecordParser {
        switch format {
        case .lines: return LinesParser(source)
        case .ndjson: return NDJSONParser(source)
        case .csv:
            return try CSVParser(
                source,
                columns: CSVColumns(
                    key: keyColumn, time: timeColumn,
                    headers: headerColumns?.split(separator: ",").map(String.init) ?? [],
                    value: valueColumn))
        }
    }
}

extension OpenedStore {
    /// Appends what an input has, and closes the store in good order, whatever happens. `tell` says
    /// what became of it.
    func append(
        _ parser: any RecordParser, of source: InputSource, to appender: Appender,
        _ bar: ProgressBar, skippingBad: Bool = false, tell: () -> Void
    ) throws {
        var parser = parser
        source.onPause = { try appender.flush() }
        var bad: (count: Int, first: WeirError?) = (0, nil)
        do {
            while true {
                do {
                    appender.beginRecord()
                    guard let record = try parser.next() else { break }
                    try appender.append(record, line: parser.line)
                } catch let error as WeirError where error.code == .malformedInput && skippingBad {
                    bad = (bad.count + 1, bad.first ?? error)
                }
                bar.update(done: source.bytesRead, records: appender.count)
            }
            try appender.flush()
        } catch {
            // What came before the bad line, or before Ctrl-C, is kept.
            bar.end()
            defer { Words.say("weir: stopped early: \(appender.standing)") }
            throw closed(after: error, appender.flush)
        }
        bar.end()
        tell()
        if let first = bad.first {
            Words.say(
                "weir: skipped \(Numbers.grouped(bad.count)) malformed "
                    + "\(bad.count == 1 ? "line" : "lines"), the first of them: "
                    + first.message.replacing(malformedAdvice, with: ""))
        }
        try finish()
    }
}
