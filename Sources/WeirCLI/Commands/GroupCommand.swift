import ArgumentParser
import Foundation
import Weir

struct GroupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "group", abstract: "Look at the groups that share a stream's partitions.",
        discussion: """
            Members of a group are tasks of the process that writes, which is asked. Where a \
            group stands is kept as cursors of its name, one in each partition: `weir cursor ls` \
            tells them without a writer, too.

            EXAMPLES
              weir group ls
              weir group ls orders --json
            """,
        subcommands: [GroupListCommand.self])
}

struct GroupListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List who works on which partition, and how far behind.",
        discussion: """
            A row a partition: who has it, how long the lease lasts if nothing is heard (`-` \
            while its member asks), where the cursor stands, what lies before it in records, \
            bytes and time, and the records a second that were delivered over the last ten \
            seconds. The row that stands out is the hot spot. Members without a partition wait \
            to take over, and are named on standard error.

            EXAMPLES
              weir group ls
              weir group ls orders
              weir group ls orders --json
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "A partitioned stream; all of them without it.") var stream: String?
    @Flag(help: "Print a JSON report.") var json = false

    func run() throws {
        let groups = try Store.groups(ofStoreAt: options.path, stream: stream)
        if json {
            let report = JSONReport.list(groups.map(\.report))
            return try StandardOutput.print(report.description + "\n")
        }
        for group in groups { tellSpare(group) }
        try StandardOutput.print(GroupListCommand.table(groups))
    }

    private func tellSpare(_ group: GroupReport) {
        let spare = group.members.filter(\.partitions.isEmpty).map(\.name)
        guard !spare.isEmpty else { return }
        Words.say(
            "weir: group \(group.group) of \(group.stream): "
                + "without a partition \(spare.joined(separator: ", "))")
    }

    static func table(_ groups: [GroupReport]) -> String {
        var table = Table([
            "partition", "group", "member", "state", "lease", "committed", "records", "bytes",
            "behind", "records/s", "variant",
        ])
        for group in groups {
            for row in group.partitions {
                table.add([
                    row.stream, group.group, row.member ?? "-", row.state,
                    row.leaseMilliseconds.map { "\($0 / 1000) s" } ?? "-",
                    row.committedOffset.map { "\($0)" } ?? "-",
                    row.lagRecords.map(Numbers.grouped) ?? "-",
                    row.lagBytes.map(Numbers.bytes) ?? "-", Numbers.age(row.lagMicroseconds),
                    Numbers.grouped(Int(row.recordsPerSecond.rounded())), group.variant,
                ])
            }
        }
        return table.text
    }
}

extension GroupReport.Partition {
    /// One word, the one that an operator has to know first.
    fileprivate var state: String {
        if problem != nil { return "unreadable" }
        if hasLapsed { return "lapsed" }
        if member == nil { return "free" }
        if next != nil { return "moving" }
        return isAtWork ? "working" : "idle"
    }
}

extension GroupReport {
    fileprivate var report: JSONReport {
        .object([
            ("stream", .text(stream)), ("group", .text(group)),
            ("variant", .text(variant)), ("leaseMilliseconds", .number(leaseMilliseconds)),
            (
                "members",
                .list(
                    members.map { member in
                        .object([
                            ("name", .text(member.name)),
                            ("partitions", .list(member.partitions.map { .number($0) })),
                            ("waiting", .flag(member.isWaiting)), ("away", .flag(member.isAway)),
                        ])
                    })
            ),
            ("partitions", .list(partitions.map(\.report))),
        ])
    }
}

extension GroupReport.Partition {
    fileprivate var report: JSONReport {
        func number(_ value: (some BinaryInteger)?) -> JSONReport {
            value.map { .number(Int(clamping: $0)) } ?? .null
        }
        func name(_ value: String?) -> JSONReport { value.map { .text($0) } ?? .null }
        return .object([
            ("partition", .number(partition)), ("stream", .text(stream)),
            ("member", name(member)), ("next", name(next)), ("state", .text(state)),
            ("leaseMilliseconds", number(leaseMilliseconds)),
            ("committed", number(committedOffset)), ("end", number(endOffset)),
            ("lagRecords", number(lagRecords)), ("lagBytes", number(lagBytes)),
            ("lagMicroseconds", number(lagMicroseconds)),
            ("deliveredRecords", .number(deliveredRecords)),
            ("deliveredBytes", .number(deliveredBytes)),
            ("recordsPerSecond", .number(Int(recordsPerSecond.rounded()))),
            ("problem", name(problem)),
        ])
    }
}
