import ArgumentParser
import Foundation
import Weir

struct IndexCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "index", abstract: "Check the index of keys, or make it anew.",
        discussion: """
            The index is derived from the log: nothing is lost with it, and look-ups without it \
            read the log.

            EXAMPLES
              weir index check
              weir index check --all
              weir index rebuild
            """,
        subcommands: [IndexCheckCommand.self, IndexRebuildCommand.self])
}

struct IndexCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Hold the index's answers against the log.",
        discussion: """
            Looks up a thousand records of each stream, spread over the log; with --all every \
            key of every record, and every entry of the index. Works beside a writer.

            Exit status 0: it is as it should be, or there is none; 3: it is damaged, or a \
            stream cannot be opened, of which nothing was compared.

            EXAMPLES
              weir index check
              weir index check --all --json
            """)

    @OptionGroup var options: StoreOptions
    @Flag(help: "Compare every key, not a sample.") var all = false
    @Flag(help: "Print a JSON report.") var json = false

    func run() throws {
        let bar = ProgressBar("index check", total: nil, unit: "keys")
        let report = try Store.checkIndex(ofStoreAt: options.path, everyKey: all) { count in
            bar.update(done: count, records: count)
            return !Interrupt.isRequested
        }
        bar.end()
        try Interrupt.check()
        try StandardOutput.print(json ? report.report.description + "\n" : report.text)
        if report.findings.contains(where: \.isDamage) {
            throw ExitRequest(status: ExitStatus.damage)
        }
    }
}

struct IndexRebuildCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild", abstract: "Throw the index away and make it anew.",
        discussion: """
            Where a process has the store open for writing, it is asked to, and this command \
            waits; where none has, the store is opened. Ends when the index covers what was \
            there when it began. A command that is killed loses nothing: the next writer goes on.

            EXAMPLES
              weir index rebuild
              weir index rebuild --json
            """)

    @OptionGroup var options: StoreOptions
    @Flag(help: "Print a JSON report.") var json = false

    func run() throws {
        let start = Date()
        var bar: ProgressBar?
        let report = try Store.rebuildIndex(ofStoreAt: options.path) { now in
            let shown = bar ?? ProgressBar("index", total: now.total)
            bar = shown
            shown.update(done: now.covered, records: now.covered)
            return !Interrupt.isRequested
        }
        bar?.end()
        try Interrupt.check()
        let seconds = Date().timeIntervalSince(start)
        guard !json else {
            let object = JSONReport.object([
                ("generation", report.generation.map { .number(Int(clamping: $0)) } ?? .null),
                ("records", .number(report.covered)),
                ("milliseconds", .number(Int(seconds * 1000))),
            ])
            return try StandardOutput.print(object.description + "\n")
        }
        try StandardOutput.print(
            "generation \(report.generation ?? 0) covers \(Numbers.records(report.covered)) of "
                + "\(report.streams.count) streams, made in "
                + String(format: "%.1f s", seconds) + "\n")
    }
}

extension IndexCheckReport {
    var text: String {
        var lines = findings.flatMap(\.lines)
        lines.append("index     \(index.text)")
        lines.append(
            trouble.map { "not looked at: \($0)" }
                ?? "compared  \(Numbers.grouped(keyCount)) keys, \(findings.count) findings")
        return lines.joined(separator: "\n") + "\n"
    }

    var report: JSONReport {
        .object([
            ("index", index.report), ("trouble", trouble.map { .text($0) } ?? .null),
            ("keys", .number(keyCount)), ("findings", .list(findings.map(\.report))),
        ])
    }
}
