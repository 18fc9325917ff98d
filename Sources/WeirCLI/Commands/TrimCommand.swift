import ArgumentParser
import Weir

struct TrimCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trim", abstract: "Let go of a stream's oldest records, for ever.",
        discussion: """
            Everything before --before goes; the stream begins at exactly that offset, and files \
            go that hold nothing behind it. A time that has not come is refused where no record \
            is of then or later, since it would take all of them. Without --before, what the \
            stream's retention no longer keeps goes now. A consumer that stands before the \
            beginning is told of a gap. --dry-run counts what would go, to the byte, the segment \
            included that is written to where it would be left for another first. Where a process \
            has the store open for writing, it is asked; where none has, the store is opened.

            EXAMPLES
              weir trim orders --before offset:1000000
              weir trim orders --before time:-30d --dry-run
              weir trim orders
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "The stream's name.", completion: streamNames) var stream: String
    @Option(
        help: "offset:N: the first record that stays; time:T: the first from T on (\(timeHelp)).")
    var before: EndArgument?
    @Flag(help: "Say what would go, and do nothing.") var dryRun = false
    @Flag(help: "Print a JSON report.") var json = false

    func run() throws {
        let report = try Store.trim(
            storeAt: options.path, stream: stream, before: before?.start, isDryRun: dryRun)
        if json { return try StandardOutput.print(report.json.description + "\n") }
        let verb = dryRun ? "would begin" : "begins"
        Words.say(
            "\(stream) \(verb) at offset \(report.firstOffset): "
                + Numbers.records(Int(clamping: report.firstOffset - report.firstOffsetBefore))
                + " and \(Numbers.bytes(Int(clamping: report.bytesRemoved))) in "
                + "\(report.segmentsRemoved) segments \(dryRun ? "would be gone" : "are gone").")
        guard let cursor = report.heldBy else { return }
        let held = report.heldBytes.map { ", " + Numbers.bytes(Int(clamping: $0)) } ?? ""
        let text = report.isForced ? "did not commit all that went" : "holds back what could go"
        Words.say("weir: the cursor \(cursor) \(text)\(report.isForced ? "" : held)")
    }
}

extension EndArgument {
    fileprivate var start: StartPosition {
        switch self {
        case .offset(let offset): .offset(offset)
        case .time(let time): .time(time)
        }
    }
}

extension TrimReport {
    fileprivate var json: JSONReport {
        .object([
            ("stream", .text(stream)), ("dryRun", .flag(isDryRun)),
            ("firstOffsetBefore", .number(Int(clamping: firstOffsetBefore))),
            ("firstOffset", .number(Int(clamping: firstOffset))),
            ("segmentsRemoved", .number(segmentsRemoved)),
            ("bytesRemoved", .number(Int(clamping: bytesRemoved))),
            ("heldBy", heldBy.map { .text($0) } ?? .null), ("forced", .flag(isForced)),
            ("heldBytes", heldBytes.map { .number(Int(clamping: $0)) } ?? .null),
        ])
    }
}
