import ArgumentParser
import Foundation
import Weir

struct ReadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "read", abstract: "Print records of a stream, or of several.",
        discussion: """
            --from time:T begins at the first record, in the order of the log, whose \
            time is not before T; times may go back, so earlier ones may follow. With \
            --to time:T every record is looked at, and those from T on are left out; \
            with both, the records between the two times are printed, wherever they stand.

            A partitioned stream is read as one, and so are several with --merge: in the order \
            of the records' times, of equal times in the order in which the streams are named. \
            Within a stream the order of the log is kept. json, csv and hex tell the stream of \
            each.

            --last N prints the last N of the records that the other options choose.

            --speed 1x prints each record so long after the first as their times are apart, \
            60x a minute a second. A time that goes back is printed at once.

            value is the value and a line feed; json is what `append --format ndjson` \
            reads back; csv is offset, time, key, value and headers, as they are; hex is \
            for eyes.

            --key K prints the records whose key is K, found by the store's index; of a \
            partitioned stream, those in the key's partition. What the index does not cover is \
            read from the log, so the answer is always complete; if that is much, stderr says so.

            --header NAME=VALUE prints the records with a header of that name whose value, \
            written as text, is VALUE: hour=5 fits the number and the text, late=true the \
            truth value and the text, and a header of bytes fits nothing. The index finds \
            them if the stream was created with --index-header NAME; otherwise the log is \
            read, and stderr says so.

            --where prints the records that fulfil an SQL condition over the columns that a \
            stream has in `weir sql`; of several streams, or partitions, each is asked.

            EXAMPLES
              weir read orders
              weir read orders --from time:2013-07-04 --to time:2013-07-05 --format json
              weir read orders --from offset:1000 --count 10 --format csv
              weir read orders --from cursor:billing --count 100
              weir read orders --last 20
              weir read orders payments --merge --from time:-1h --format json
              weir read flights --from time:2013-01-01 --speed 3600x
              weir read orders --max-queue 1MiB --latency-budget 50ms
              weir read orders --where "key = 'N14228' and headers ->> 'carrier' = 'UA'"
              weir read flights --key N14228 --format json
              weir read flights --header carrier=UA --count 10
            """)

    @OptionGroup var options: StoreOptions
    @OptionGroup(title: "Reading ahead") var flow: FlowOptions
    @Argument(help: "The stream's name; with --merge, several.", completion: streamNames)
    var streams: [String]
    @Flag(help: "Read several streams as one, in the order of their records' times.")
    var merge = false
    @Option(help: "Only records with this key.") var key: String?
    @Option(
        help: ArgumentHelp(
            "Only records with a header of this name and text.", valueName: "name=value"))
    var header: HeaderArgument?
    @Option(
        help: ArgumentHelp(StartArgument.help + " (default: first)"),
        completion: .list(StartArgument.kinds))
    var from: StartArgument?
    @Option(parsing: .unconditional, help: "The last so many records.") var last: Int?
    @Option(help: "offset:N: the first record that is not read; time:T: records before T only.")
    var to: EndArgument?
    @Option(parsing: .unconditional, help: "At most so many records.") var count: Int?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "max, or so many times the pace of the records' times: 1x, 60x, 0.5x.",
            valueName: "speed"))
    var speed: SpeedArgument?
    @Option(help: "value, json, csv or hex.") var format: OutputFormat = .value
    @Option(
        name: .customLong("where"),
        help: ArgumentHelp(
            "Only records that fulfil an SQL condition over a stream's columns in `weir sql`.",
            valueName: "condition"))
    var condition: String?

    /// Where reading begins, unless it is at the last so many records.
    var start: StartPosition { from?.position ?? .first }
    /// The times between which records are wanted wherever they stand, if both ends are times.
    var window: Range<Timestamp>? {
        guard case .time(let end)? = to else { return nil }
        switch from?.position {
        case nil: return .distantPast..<end
        case .time(let start)?: return min(start, end)..<end
        default: return nil
        }
    }
    /// Whether records are left out, so that the last ones are known at the end only.
    private var isSelective: Bool {
        to != nil || key != nil || header != nil || condition != nil
    }

    func validate() throws {
        if condition != nil, flow.isGiven || key != nil || header != nil {
            throw ValidationError(
                "--where reads by itself; leave out --key, --header and the knobs of reading ahead."
            )
        }
        guard key == nil || header == nil else {
            throw ValidationError("--key and --header are both given; expected one of them.")
        }
        if case .time(let start)? = from?.position, case .time(let end)? = to, end < start {
            throw ValidationError(
                "--to time:\(end) lies before --from time:\(start); expected it behind.")
        }
        if case .offset(let start)? = from?.position, case .offset(let end)? = to, end < start {
            throw ValidationError(
                "--to offset:\(end) lies before --from offset:\(start); expected it behind.")
        }
        guard count ?? 0 >= 0 else { throw ValidationError("--count is negative; expected 0 on.") }
        guard key == nil && header == nil || !flow.isGiven else {
            throw ValidationError(
                "--key and --header read the batches that they name and nothing ahead; leave "
                    + "those options out.")
        }
        try speed?.validate()
        try validateLast()
    }

    private func validateLast() throws {
        guard let last else { return }
        guard last >= 0 else { throw ValidationError("--last is negative; expected 0 on.") }
        guard from == nil else {
            throw ValidationError("--last and --from both say where to begin; give one of them.")
        }
        guard !isSelective || last <= ReadSources.lastMax else {
            throw ValidationError(ReadSources.tooMany(last))
        }
    }

    func run() throws {
        // Not before it is known that there is no option by the name of one that was given: its
        // value would be taken for a stream.
        guard streams.count == 1 || merge else {
            Words.say(
                "weir: \(streams.count) streams are named; add --merge to read them as one.")
            throw ExitRequest(status: ExitStatus.usage)
        }
        var opened = try options.open(.read)
        let sources = try ReadSources(streams, in: opened.store, merging: merge, key: key)
        try expectSensible(sources)
        try sources.note(unknownCursorOf: start, in: opened.store)
        var printer = RecordPrinter(
            RecordFormatter(format: format, namesStream: sources.namesStream), from: start, to: to,
            count: count, last: isSelective || sources.isMerged ? last : nil,
            pace: try speed.map { try Pace($0.speed) })
        if let condition {
            try readConditional(sources, where: condition, &opened, &printer)
        } else if sources.isMerged {
            try readMerged(sources, &opened, &printer)
        } else {
            try read(sources.streams[0], &opened, &printer)
        }
        try printer.finish()
        try opened.finish()
    }

    private func readConditional(
        _ sources: ReadSources, where condition: String, _ opened: inout OpenedStore,
        _ printer: inout RecordPrinter
    ) throws {
        let reader = try ConditionalReader(opened.store, sources, from: start, where: condition)
        if printer.isDone { return }
        try reader.read { try printer.print($0, of: $1) }
        for (gap, stream) in reader.missing { opened.say(gap, of: stream) }
    }

    private func read(
        _ source: LogStream, _ opened: inout OpenedStore, _ printer: inout RecordPrinter
    ) throws {
        var position = start
        if let last, !isSelective { position = .offset(try source.offset(ofLast: last)) }
        let start = try source.offset(of: position)
        sayNothingYet(source, at: start)
        if printer.isDone { return }
        if let key {
            let found = try source.records(key: key, from: .offset(start))
            try read(found, of: source.name, &opened, &printer)
        } else if let header {
            let found = try source.records(
                header: header.name, printedAs: header.text, from: .offset(start))
            try read(found, of: source.name, &opened, &printer)
        } else if let window, !flow.isGiven {
            let found = try source.records(time: window)
            try read(found, of: source.name, &opened, &printer)
        } else if flow.isGiven {
            try readAhead(source, from: position, start, &opened, &printer)
        } else {
            try opened.print(
                source, from: position, &printer, progressBar(source, from: start), start)
        }
    }

    /// Says why nothing is printed where reading would begin behind all there is.
    private func sayNothingYet(_ source: LogStream, at start: Offset) {
        let end = source.endOffset
        guard start >= end, end > source.firstOffset else { return }
        switch self.start {
        case .time(let time), .appended(let time):
            Words.say("weir: note: \(source.name) has no record from \(time) on")
        default:
            guard start > end else { return }
            Words.say(
                "weir: note: \(source.name) ends at offset \(end), before \(start); there is "
                    + "nothing to read yet")
        }
    }

    /// The records of one key, with one header, or of a window of time.
    private func read(
        _ found: consuming KeyedRecords, of stream: StreamName, _ opened: inout OpenedStore,
        _ printer: inout RecordPrinter
    ) throws {
        var records = found
        var isTold = false
        reading: while !printer.isDone {
            try Interrupt.check()
            let step = try records.next()
            if let reason = records.scanReason, !isTold {
                sayScan(reason)
                isTold = true
            }
            switch step {
            case .record(let record): _ = try printer.print(record, of: stream)
            case .gap(let gap): opened.say(gap)
            case .end: break reading
            }
        }
    }

    /// Through a subscription, up to what the stream had when it began.
    private func readAhead(
        _ source: LogStream, from position: StartPosition, _ start: Offset,
        _ opened: inout OpenedStore, _ printer: inout RecordPrinter
    ) throws {
        let bar = progressBar(source, from: start)
        let end = source.endOffset
        let subscription = try flow.subscribe(to: source, from: position)
        var next = start
        while next < end, !printer.isDone {
            try Interrupt.check()
            switch try subscription.nextEventBlocking() {
            case .batch(let batch)?:
                next = batch.endOffset
                for record in batch where record.offset < end {
                    let goesOn = try printer.print(record, of: source.name)
                    if !goesOn { break }
                }
            case .gap(let gap)?:
                next = gap.next
                opened.say(gap)
            case nil: next = end
            }
            if isatty(1) == 0 { bar.update(done: next - start, records: printer.seen) }
        }
        bar.end()
    }

    /// Silent where the records themselves go to the terminal.
    private func progressBar(_ source: LogStream, from start: Offset) -> ProgressBar {
        ProgressBar("read", total: isatty(1) == 1 ? nil : source.endOffset - start)
    }
}

extension OpenedStore {
    /// Prints the records from a position to the end, as far as the printer wants them.
    ///
    /// Begins at the position itself: a cursor that power loss moved back tells so first.
    mutating func print(
        _ source: LogStream, from position: StartPosition, _ printer: inout RecordPrinter,
        _ bar: ProgressBar, _ start: Offset
    ) throws {
        var cursor = try source.cursor(from: position)
        reading: while !printer.isDone {
            try Interrupt.check()
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                while let record = records.next() {
                    let goesOn = try printer.print(record.copy(), of: source.name)
                    if !goesOn { break }
                }
            case .gap(let gap): say(gap)
            case .end: break reading
            }
            if isatty(1) == 0 { bar.update(done: cursor.nextOffset - start, records: printer.seen) }
        }
        bar.end()
        try printer.output.flush()
        for report in cursor.reports { say(report) }
    }
}
