import ArgumentParser
import Foundation
import Weir

struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Make a new store of a backup.",
        discussion: """
            The store gets an id of its own; streams keep names, settings, offsets and cursors. \
            Nothing is overwritten: there must be nothing at the store's path. What the backup \
            lacks, or what was altered in it, is reported, and everything else is restored.

            EXAMPLES
              weir restore /mnt/backups/orders ./restored
              weir restore /mnt/backups/orders ./restored --to time:2026-11-27T12:00
              weir restore /mnt/backups/orders ./restored --stream orders --to offset:120000
            """)

    @Argument(help: "The backups' directory.", completion: .directory) var backup: String
    @Argument(help: "The new store's directory.", completion: .directory) var store: String
    @Option(help: "A snapshot of `weir backup DEST --list`; the newest without it.")
    var snapshot: String?
    @Option(
        help: """
            offset:N, of the one --stream, or time:T, when Weir took the records of all streams; \
            what stands there and behind it stays behind (T: \(timeHelp)).
            """)
    var to: EndArgument?
    @Option(
        help: ArgumentHelp(
            "Restore this stream, or partitioned stream, and its cursors only; more than once for "
                + "several.", valueName: "name"))
    var stream: [String] = []
    @Flag(help: "Print a JSON report.") var json = false

    func run() throws {
        let end: RestoreOptions.End? = to.map {
            switch $0 {
            case .offset(let offset): .offset(offset)
            case .time(let time): .appended(time)
            }
        }
        let bar = CopyBar("restore")
        let standing = "no store was made at \(store); the same command again makes it"
        let report = try bar.ending(early: standing) {
            try Store.restoreBlocking(
                from: backup, to: store,
                options: RestoreOptions(snapshot: snapshot, streams: stream, end: end),
                progress: bar.progress)
        }
        for damage in report.damage { Words.say("weir: damage: \(damage)") }
        try StandardOutput.print(json ? report.json.description + "\n" : report.text)
        if !report.damage.isEmpty { throw ExitRequest(status: ExitStatus.damage) }
    }
}

extension RestoreReport {
    var text: String {
        "snapshot  \(snapshot)\n"
            + "restored  \(Numbers.counted(streamCount, "stream")), "
            + "\(Numbers.records(recordCount))\n"
            + "written   \(Numbers.bytes(bytesWritten)), shared with the backup "
            + "\(Numbers.bytes(bytesShared))\n"
    }

    var json: JSONReport {
        .object([
            ("snapshot", .text(snapshot)), ("streams", .number(streamCount)),
            ("records", .number(recordCount)), ("bytesWritten", .number(bytesWritten)),
            ("bytesShared", .number(bytesShared)),
            ("damage", .list(damage.map { .text($0.description) })),
        ])
    }
}
