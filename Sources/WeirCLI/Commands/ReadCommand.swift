import ArgumentParser
import Foundation
import Weir

struct ReadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "read", abstract: "Print records of a stream.",
        discussion: """
            --from time:T begins at the first record, in the order of the log, whose \
            time is not before T; times may go back, so earlier ones may follow. With \
            --to time:T every record is looked at, and those from T on are left out; \
            with both, the records between the two times are printed, wherever they stand.

            value is the value and a line feed; json is what `append --format ndjson` \
            reads back; csv is offset, time, key, value and headers, as they are; hex is \
            for eyes.

            --key K prints the records whose key is K, found by the store's index. What the \
            index does not cover is read from the log, so the answer is always complete; if \
            that is much, stderr says so.

            EXAMPLES
              weir read orders
              weir read orders --from time:2013-07-04 --to time:2013-07-05 --format json
              weir read orders --from offset:1000 --count 10 --format csv
              weir read orders --from cursor:billing --count 100
              weir read orders --max-queue 1MiB --latency-budget 50ms
              weir read orders --where "key = 'N14228' and headers ->> 'carrier' = 'UA'"
              weir read flights --key N14228 --format json
            """)

    @OptionGroup var options: StoreOptions
    @OptionGroup(title: "Reading ahead") var flow: FlowOptions
    @Argument(help: "The stream's name.", completion: streamNames) var stream: String
    @Option(help: "Only records with this key.") var key: String?
    @Option(help: ArgumentHelp(StartArgument.help), completion: .list(StartArgument.kinds))
    var from = StartArgument(.first)
    @Option(help: "offset:N: the first record that is not read; time:T: records before T only.")
    var to: EndArgument?
    @Option(parsing: .unconditional, help: "At most so many records.") var count: Int?
    @Option(help: "value, json, csv or hex.") var format: OutputFormat = .value
    @Option(
        name: .customLong("where"),
        help: ArgumentHelp(
            "Only records that fulfil an SQL condition over the columns of `weir sql`.",
            valueName: "condition"))
    var condition: String?

    func validate() throws {
        if condition != nil, flow.isGiven || key != nil {
            throw ValidationError(
                "--where reads by itself; leave out --key and the knobs of reading ahead.")
        }
        guard count ?? 0 >= 0 else { throw ValidationError("--count is negative; expected 0 on.") }
        guard key == nil || !flow.isGiven else {
            throw ValidationError(
                "--key reads the key's batches and nothing ahead; leave those options out.")
        }
    }

    func run() throws {
        var opened = try options.open(.read)
        let source = try opened.store.streamBlocking(stream)
        var printer = RecordPrinter(format: format, from: from.position, to: to, count: count)
        let start = try source.offset(of: from.position)
        if let condition {
            let reader = try ConditionalReader(opened.store, source, where: condition)
            if !printer.isDone { try reader.read(from: start) { try printer.print($0) } }
            for gap in reader.missing { opened.say(gap) }
            try printer.output.flush()
            return try opened.finish()
        }
        if let key {
            try read(source, key: key, from: start, &opened, &printer)
            return try opened.finish()
        }
        let bar = ProgressBar(
            "read", total: isatty(1) == 1 ? nil : source.endOffset - start)
        if flow.isGiven {
            try read(source, from: start, &opened, &printer, bar)
            return try opened.finish()
        }
        var cursor = try source.cursor(from: .offset(start))
        reading: while !printer.isDone {
            try Interrupt.check()
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                while let record = records.next() {
                    let goesOn = try printer.print(record.copy())
                    if !goesOn { break }
                }
            case .gap(let gap): opened.say(gap)
            case .end: break reading
            }
            if isatty(1) == 0 { bar.update(done: cursor.nextOffset - start, records: printer.seen) }
        }
        bar.end()
        try printer.output.flush()
        for report in cursor.reports { opened.say(report) }
        try opened.finish()
    }

    /// The records of one key.
    private func read(
        _ source: LogStream, key: String, from start: Offset, _ opened: inout OpenedStore,
        _ printer: inout RecordPrinter
    ) throws {
        var records = try source.records(key: key, from: .offset(start))
        var isTold = false
        reading: while !printer.isDone {
            try Interrupt.check()
            let step = try records.next()
            if let reason = records.scanReason, !isTold {
                Words.say("weir: note: the log is read instead of the index: \(reason)")
                isTold = true
            }
            switch step {
            case .record(let record): _ = try printer.print(record)
            case .gap(let gap): opened.say(gap)
            case .end: break reading
            }
        }
        try printer.output.flush()
    }

    /// The same through a subscription, up to what the stream had when it began.
    private func read(
        _ source: LogStream, from start: Offset, _ opened: inout OpenedStore,
        _ printer: inout RecordPrinter, _ bar: ProgressBar
    ) throws {
        let end = source.endOffset
        let subscription = try flow.subscribe(to: source, from: .offset(start))
        var next = start
        while next < end, !printer.isDone {
            try Interrupt.check()
            switch try subscription.nextEventBlocking() {
            case .batch(let batch)?:
                next = batch.endOffset
                for record in batch where record.offset < end {
                    let goesOn = try printer.print(record)
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
        try printer.output.flush()
    }
}

/// Prints the records that a command was asked for, and knows when it has them all.
struct RecordPrinter {
    let output = StandardOutput()
    private let formatter: RecordFormatter
    private let notBefore: Timestamp?
    private let to: EndArgument?
    private let count: Int?
    private(set) var printed = 0
    private(set) var seen = 0
    private(set) var isDone = false
    private var hasHead = false

    init(format: OutputFormat, from: StartPosition, to: EndArgument?, count: Int?) {
        formatter = RecordFormatter(format: format)
        // Record times may go back: with an end in time, each record is looked at.
        if case .time(let time) = from, case .time? = to {
            notBefore = time
        } else {
            notBefore = nil
        }
        self.to = to
        self.count = count
        isDone = count == 0
    }

    /// `false` when nothing more is wanted.
    mutating func print(_ record: Record) throws -> Bool {
        seen += 1
        switch to {
        case .offset(let end) where record.offset >= end:
            isDone = true
            return false
        case .time(let end) where record.time >= end: return true
        default: break
        }
        if let notBefore, record.time < notBefore { return true }
        try output.write { out in
            if !hasHead { formatter.appendHead(to: &out) }
            formatter.append(record, to: &out)
        }
        hasHead = true
        printed += 1
        if printed == count { isDone = true }
        return !isDone
    }
}

struct TailCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Print the last records, and follow with -f.",
        discussion: """
            EXAMPLES
              weir tail orders
              weir tail -f orders --format json
              weir tail -f orders --max-queue 64KiB --latency-budget 10ms
            """)

    @OptionGroup var options: StoreOptions
    @OptionGroup(title: "Reading ahead") var flow: FlowOptions
    @Argument(help: "The stream's name.", completion: streamNames) var stream: String
    @Flag(name: .shortAndLong, help: "Go on with what is appended, until Ctrl-C.")
    var follow = false
    @Option(
        name: [.customShort("n"), .long], parsing: .unconditional,
        help: "How many of the last records.")
    var count = 10
    @Option(help: "value, json, csv or hex.") var format: OutputFormat = .value

    func validate() throws {
        guard count >= 0 else { throw ValidationError("--count is negative; expected 0 on.") }
    }

    /// A waiting tail makes one system call in so many milliseconds.
    private static let waitMilliseconds = 2000

    func run() throws {
        var opened = try options.open(.read)
        let source = try opened.store.streamBlocking(stream)
        let end = try source.offset(of: .next)
        let start = max(end.value, UInt64(count)) - UInt64(count)
        var printer = RecordPrinter(format: format, from: .first, to: nil, count: nil)
        if flow.isGiven {
            try tail(source, from: Offset(start), to: end, &opened, &printer)
            return try opened.finish()
        }
        var cursor = try source.cursor(from: .offset(Offset(start)))
        while true {
            try Interrupt.check()
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                while let record = records.next() { _ = try printer.print(record.copy()) }
            case .gap(let gap): opened.say(gap)
            case .end:
                try printer.output.flush()
                guard follow else { return try opened.finish() }
                try cursor.wait(milliseconds: Self.waitMilliseconds)
            }
        }
    }

    /// The same through a subscription.
    private func tail(
        _ source: LogStream, from start: Offset, to end: Offset, _ opened: inout OpenedStore,
        _ printer: inout RecordPrinter
    ) throws {
        let subscription = try flow.subscribe(to: source, from: .offset(start))
        var next = start
        while follow || next < end {
            try Interrupt.check()
            // What is printed is flushed when nothing more comes at once.
            var found = try event(of: subscription, within: .milliseconds(1))
            if found == nil {
                try printer.output.flush()
                let patience = Duration.milliseconds(Self.waitMilliseconds)
                found = try event(of: subscription, within: patience)
            }
            switch found {
            case .batch(let batch)?:
                next = batch.endOffset
                for record in batch { _ = try printer.print(record) }
            case .gap(let gap)?:
                next = gap.next
                opened.say(gap)
            case nil: continue
            }
        }
        try printer.output.flush()
    }

    /// `nil` if there is none in time.
    private func event(
        of subscription: Subscription, within time: Duration
    ) throws -> SubscriptionEvent? {
        do throws(WeirError) {
            return try subscription.nextEventBlocking(timeout: time)
        } catch {
            if error.code == .timedOut { return nil }
            throw error
        }
    }
}
