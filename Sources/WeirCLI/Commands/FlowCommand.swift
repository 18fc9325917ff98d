import ArgumentParser
import Foundation
import Weir

struct FlowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flow", abstract: "Show the flow control of a store that is being written.",
        discussion: """
            Asks the process that has the store open for writing, again and again until Ctrl-C: \
            who reads, how far behind and how much at once, which gates hold producers back, how \
            long records take, and which signals came.

            --simulate asks nobody: it runs load patterns against the same controller in \
            simulated time, prints what came of each, and writes the series and pictures of them \
            to a directory.

            On a terminal it is a screen that is drawn over in place; in a pipe, text; with \
            --json an object a line.

            EXAMPLES
              weir flow orders
              weir flow --once
              weir flow orders --json --interval 10 >>flow.ndjson
              weir flow --simulate --output flow-plots --pattern spike --pattern bimodal
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "A stream, or a partitioned one; all without.", completion: streamNames)
    var stream: String?
    @Option(
        name: .customLong("interval"), parsing: .unconditional,
        help: "Seconds from one report to the next, 0.1 to 3600. (default: 1.0)")
    var givenInterval: Double?
    @Flag(help: "One report, as text, and no more.") var once = false
    @Option(parsing: .unconditional, help: "So many reports, and no more.") var count: Int?
    @Flag(help: "Print an object a line, and nothing else.") var json = false
    @Flag(help: "Run simulated loads against the window's controller.") var simulate = false
    @Option(
        help: "With --simulate: where series and pictures go. (default: flow-plots)",
        completion: .directory)
    var output: String?
    @Option(help: "With --simulate: a pattern, again for more; all without.")
    var pattern: [String] = []
    @Option(
        parsing: .unconditional, help: "With --simulate: the seed of all chance. (default: 1)")
    var seed: UInt64?

    private var interval: Double { givenInterval ?? 1 }

    func validate() throws {
        guard interval >= 0.1, interval <= 3600 else {
            throw ValidationError("--interval is \(interval); expected 0.1 to 3600 seconds.")
        }
        guard count ?? 1 >= 1 else {
            throw ValidationError("--count is \(count ?? 1); expected 1 report or more.")
        }
        let shows = stream != nil || json || once || count != nil || givenInterval != nil
        guard !simulate || !shows else {
            throw ValidationError(
                "--simulate shows no stream; give it --output, --pattern, --seed.")
        }
        guard simulate || pattern.isEmpty && output == nil && seed == nil else {
            throw ValidationError(
                "--output, --pattern and --seed are for --simulate; give that too, or none of "
                    + "them.")
        }
        do throws(WeirError) {
            _ = try FlowSimulate.patterns(named: pattern)
        } catch {
            throw ValidationError(error.message)
        }
        guard !once || count == nil else {
            throw ValidationError("--once is --count 1; give one of the two.")
        }
    }

    func run() throws {
        if simulate {
            return try FlowSimulate.run(
                output: output ?? "flow-plots", patterns: pattern, seed: seed ?? 1)
        }
        // Whether there is anything to show is found out before the screen is taken.
        var report = try ask()
        var previous: FlowReport?
        let screen = Screen.isThere && !json && !once ? Screen() : nil
        screen?.enter()
        // Whatever ends it: words are for the page that was there before.
        defer { screen?.leave() }
        var next = ContinuousClock.now
        let step = Duration.milliseconds(Int((interval * 1000).rounded()))
        var shown = 0
        while true {
            try show(report, previous, screen)
            shown += 1
            if shown == (once ? 1 : count) { return }
            // After a pause of the whole process, those that were missed are not made up for.
            next = max(next + step, .now)
            while try Interrupt.sleep(until: next) { try show(report, previous, screen) }
            previous = report
            report = try ask()
        }
    }

    private func ask() throws -> FlowReport {
        try Interrupt.check()
        return try Store.flowReport(ofStoreAt: options.path, stream: stream)
    }

    private func show(
        _ report: FlowReport, _ previous: FlowReport?, _ screen: Screen?
    ) throws {
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let object = String(decoding: try encoder.encode(report), as: UTF8.self)
            return try StandardOutput.print(object + "\n")
        }
        let size = Terminal.size(of: 1)
        let page = FlowPage(
            report: report, previous: previous, stream: stream, store: options.path,
            width: isatty(1) == 1 ? size.width : Self.pipeWidth,
            height: screen == nil ? nil : size.height)
        if let screen {
            try screen.draw(page.lines)
        } else {
            try StandardOutput.print(page.lines.joined(separator: "\n") + "\n\n")
        }
    }

    private static let pipeWidth = 120
}
