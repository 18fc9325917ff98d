import ArgumentParser
import Foundation
import Weir

struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Back the whole store up, beside whoever writes, and only what is new.",
        discussion: """
            Each stream is backed up to where it is durable. Segments are written once, and share \
            their blocks with the store where the file system can; the first backup to a directory \
            is a full one. A directory takes the backups of one store. `weir restore` makes a \
            store of one; a snapshot is what one backup found.

            EXAMPLES
              weir backup /mnt/backups/orders
              weir backup /mnt/backups/orders --keep 7
              weir backup /mnt/backups/orders --list
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "The backups' directory; made if it is missing.", completion: .directory)
    var destination: String
    @Flag(
        help: """
            Hard links in place of copies for sealed segments, where the file system can: they \
            cost nothing, and damage to the store's file is damage to the backup.
            """)
    var link = false
    @Option(
        help:
            "Keep so many snapshots, the new one among them, and remove what only older ones need.")
    var keep: Int?
    @Flag(help: "List the snapshots, and make none.") var list = false
    @Flag(help: "Print a JSON report.") var json = false

    func validate() throws {
        if let keep, keep < 1 { throw ValidationError("--keep is \(keep); expected 1 or more.") }
        if list, keep != nil || link {
            throw ValidationError("--list makes no backup; leave --keep and --link out.")
        }
    }

    func run() throws {
        if list { return try printList() }
        var opened = try options.open(.read)
        let bar = CopyBar("backup")
        let standing =
            "no snapshot was made, and earlier ones are whole; the same command again goes on "
            + "with what was copied"
        let report = try bar.ending(early: standing) {
            try opened.store.backupBlocking(
                to: destination, options: BackupOptions(link: link, keep: keep),
                progress: bar.progress)
        }
        for damage in report.damage where !opened.store.reports.contains(damage) {
            opened.say(damage)
        }
        try StandardOutput.print(json ? report.json.description + "\n" : report.text)
        try opened.finish()
    }

    private func printList() throws {
        let snapshots = try Store.backups(at: destination)
        if json {
            let report = JSONReport.list(snapshots.map(\.json))
            try StandardOutput.print(report.description + "\n")
        } else {
            var table = Table(["snapshot", "streams", "segments", "bytes"])
            for snapshot in snapshots where snapshot.trouble == nil {
                table.add([
                    snapshot.name, Numbers.grouped(snapshot.userStreamCount),
                    Numbers.grouped(snapshot.segmentCount), Numbers.bytes(snapshot.bytes),
                ])
            }
            try StandardOutput.print(table.text)
        }
        let troubles = snapshots.compactMap(\.trouble)
        for trouble in troubles { Words.say("weir: damage: \(trouble)") }
        if !troubles.isEmpty { throw ExitRequest(status: ExitStatus.damage) }
    }
}

/// A progress bar of work that copies, and that ends when somebody asks.
final class CopyBar: @unchecked Sendable {
    // @unchecked: a blocking call tells its progress on the thread that called it.
    private let label: String
    private var bar: ProgressBar?

    init(_ label: String) { self.label = label }

    var progress: Store.BackupProgress {
        { done, total in
            // How much there is, is known with the first word only.
            let bar = self.bar ?? ProgressBar(self.label, total: total, unit: "bytes")
            self.bar = bar
            bar.update(done: done, records: done)
            return !Interrupt.isRequested
        }
    }

    /// Takes the bar away behind the work. An interruption is no failure: what it leaves is said.
    func ending<Result>(early standing: String, _ work: () throws -> Result) throws -> Result {
        defer { bar?.end() }
        do {
            return try work()
        } catch let error as WeirError where error.code == .closed && Interrupt.isRequested {
            bar?.end()
            Words.say("weir: stopped early: \(standing)")
            throw ExitRequest(status: ExitStatus.interrupted)
        }
    }
}

extension BackupReport {
    var text: String {
        var text = "snapshot  \(snapshot.name)\n"
        text +=
            "holds     \(Numbers.counted(snapshot.userStreamCount, "stream")), "
            + "\(Numbers.counted(snapshot.segmentCount, "segment")), "
            + "\(Numbers.bytes(snapshot.bytes))\n"
        text +=
            "written   \(Numbers.bytes(bytesWritten)), shared with the store "
            + "\(Numbers.bytes(bytesShared)), there before \(Numbers.bytes(bytesKept))\n"
        if !segmentsRenewed.isEmpty {
            text +=
                "renewed   \(Numbers.counted(segmentsRenewed.count, "segment")) that had been "
                + "mended since; earlier snapshots call them altered, and have their records\n"
        }
        if snapshotsRemoved + segmentsRemoved > 0 {
            text +=
                "removed   \(Numbers.counted(snapshotsRemoved, "snapshot")), "
                + "\(Numbers.counted(segmentsRemoved, "file"))\n"
        }
        return text
    }

    var json: JSONReport {
        .object([
            ("snapshot", snapshot.json), ("bytesWritten", .number(bytesWritten)),
            ("bytesShared", .number(bytesShared)), ("bytesKept", .number(bytesKept)),
            ("snapshotsRemoved", .number(snapshotsRemoved)),
            ("segmentsRemoved", .number(segmentsRemoved)),
            ("segmentsRenewed", .list(segmentsRenewed.map { .text($0) })),
            ("damage", .list(damage.map { .text($0.description) })),
        ])
    }
}

extension BackupSnapshot {
    /// Weir's own come along and are not talked of.
    var userStreamCount: Int { streams.count { !$0.isSystem } }

    var json: JSONReport {
        .object([
            ("name", .text(name)), ("time", time.map { .text($0.description) } ?? .null),
            ("streams", .list(streams.map { .text($0.description) })),
            ("segments", .number(segmentCount)), ("bytes", .number(bytes)),
            ("trouble", trouble.map { .text($0.description) } ?? .null),
        ])
    }
}
