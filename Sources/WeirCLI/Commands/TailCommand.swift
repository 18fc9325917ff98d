import ArgumentParser
import Weir

struct TailCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Print the last records, and follow with -f.",
        discussion: """
            A partitioned stream is followed as one: of the records that are there, the one \
            with the least time comes first.

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
        name: [.customShort("n", allowingJoined: true), .long], parsing: .unconditional,
        help: "How many of the last records.")
    var count = 10
    @Option(help: "value, json, csv or hex.") var format: OutputFormat = .value

    func validate() throws {
        guard count >= 0 else { throw ValidationError("--count is negative; expected 0 on.") }
    }

    /// A waiting tail makes one system call in so many milliseconds.
    static let waitMilliseconds = 2000

    func run() throws {
        var opened = try options.open(.read)
        let sources = try ReadSources([stream], in: opened.store)
        var printer = RecordPrinter(
            RecordFormatter(format: format, namesStream: sources.namesStream),
            last: sources.isMerged ? count : nil)
        guard !sources.isMerged else {
            try tailMerged(sources, &opened, &printer)
            return try opened.finish()
        }
        let source = sources.streams[0]
        let end = try source.offset(of: .next)
        let start = try source.offset(ofLast: count)
        if flow.isGiven {
            try tail(source, from: start, to: end, &opened, &printer)
            return try opened.finish()
        }
        var cursor = try source.cursor(from: .offset(start))
        while true {
            try Interrupt.check()
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                while let record = records.next() {
                    _ = try printer.print(record.copy(), of: source.name)
                }
            case .gap(let gap): opened.say(gap)
            case .end:
                try printer.output.flush()
                guard follow else { return try opened.finish() }
                try printer.output.expectReader()
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
                try printer.output.expectReader()
                let patience = Duration.milliseconds(Self.waitMilliseconds)
                found = try event(of: subscription, within: patience)
            }
            switch found {
            case .batch(let batch)?:
                next = batch.endOffset
                for record in batch { _ = try printer.print(record, of: source.name) }
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
