import ArgumentParser
import Foundation
import Weir

struct CursorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cursor", abstract: "List, set and remove the cursors of consumers.",
        discussion: """
            A cursor is the named position of a consumer in a stream, and survives power loss: \
            everything before it is processed. Where a process has the store open for writing, \
            it is asked; where none has, the store is opened. Each partition of a partitioned \
            stream has cursors of its own; ls and rm take its name for all of them.

            EXAMPLES
              weir cursor ls
              weir cursor set orders billing 1000
              weir read orders --from cursor:billing
              weir cursor rm orders billing
            """,
        subcommands: [
            CursorListCommand.self, CursorSetCommand.self, CursorRemoveCommand.self,
        ])
}

struct CursorListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List cursors, where they stand, and how far behind.",
        discussion: """
            Behind are records, about how many bytes these occupy (up to 64 KiB and a batch too \
            much), and how long ago the first of them was appended.

            Exit status 3: records of cursors are damaged, so some may be missing or stand too \
            far back, or what a cursor's record says cannot be read. In JSON this is the problem \
            of that cursor; an entry whose cursor is null tells of those that may be missing.

            EXAMPLES
              weir cursor ls
              weir cursor ls orders
              weir cursor ls orders --json
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "A stream; all of them without it.", completion: streamNames)
    var stream: String?
    @Flag(help: "Print a JSON report.") var json = false

    func run() throws {
        let list = try Store.cursorList(ofStoreAt: options.path, stream: stream)
        try StandardOutput.print(
            json
                ? JSONReport.list(list.cursors.map(\.report) + list.damage.map(CursorInfo.lost))
                    .description + "\n"
                : table(list.cursors))
        guard !list.isWhole else { return }
        for damage in list.damage { Words.say("weir: damage: \(damage)") }
        if !list.damage.isEmpty {
            Words.say(
                "weir: cursors may be missing here, or stand too far back: look at each against "
                    + "what its consumer has done, and set it anew with `weir cursor set`, or "
                    + "restore the store from a backup")
        } else {
            Words.say(
                "weir: where a cursor stands that cannot be read, nobody knows: set it anew with "
                    + "`weir cursor set --force`, or remove it")
        }
        throw ExitRequest(status: ExitStatus.damage)
    }

    private func table(_ cursors: [CursorInfo]) -> String {
        var table = Table(["stream", "cursor", "offset", "records", "bytes", "behind"])
        for cursor in cursors {
            if let problem = cursor.problem {
                Words.say("weir: cursor \(cursor.name) of \(cursor.stream): \(problem)")
            }
            table.add([
                cursor.stream, cursor.name, cursor.offset.map { "\($0)" } ?? "-",
                cursor.lagRecords.map(Numbers.grouped) ?? "-",
                cursor.lagBytes.map(Numbers.bytes) ?? "-", behind(cursor),
            ])
        }
        return table.text
    }

    private func behind(_ cursor: CursorInfo) -> String { Numbers.age(cursor.lagMicroseconds) }
}

extension Numbers {
    /// How long ago, to two digits or so; `-` for nothing.
    static func age(_ microseconds: Int64?) -> String {
        guard let microseconds else { return "-" }
        if microseconds < 1_000_000 { return "\(microseconds / 1000) ms" }
        let seconds = microseconds / 1_000_000
        if seconds < 120 { return "\(seconds) s" }
        return seconds < 7200 ? "\(seconds / 60) min" : "\(seconds / 3600) h"
    }
}

extension CursorList {
    /// Whether each cursor says where it stands, and none is missing.
    var isWhole: Bool { damage.isEmpty && cursors.allSatisfy { $0.problem == nil } }
}

extension CursorInfo {
    /// What damage may have taken, among the cursors that are there.
    fileprivate static func lost(_ damage: String) -> JSONReport {
        let unknown = [
            "cursor", "epoch", "offset", "committed", "lagRecords", "lagBytes", "lagMicroseconds",
            "lost",
        ]
        return .object(
            [("stream", .text("weir.cursors"))] + unknown.map { ($0, .null) }
                + [("problem", .text(damage))])
    }

    fileprivate var report: JSONReport {
        func number(_ value: (some BinaryInteger)?) -> JSONReport {
            value.map { .number(Int(clamping: $0)) } ?? .null
        }
        let committed = committedMicroseconds.map {
            JSONReport.text(Timestamp(microseconds: $0).description)
        }
        return .object([
            ("stream", .text(stream)), ("cursor", .text(name)), ("epoch", number(epoch)),
            ("offset", number(offset)), ("committed", committed ?? .null),
            ("lagRecords", number(lagRecords)), ("lagBytes", number(lagBytes)),
            ("lagMicroseconds", number(lagMicroseconds)), ("lost", number(lostOffset)),
            ("problem", problem.map { .text($0) } ?? .null),
        ])
    }
}

struct CursorSetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Move a cursor, or make one.",
        discussion: """
            Moves forward only, unless --force is given: a consumer that goes on from an earlier \
            place processes records again. Prints nothing; when it ends, the position survives \
            power loss.

            EXAMPLES
              weir cursor set orders billing 1000
              weir cursor set orders billing end
              weir cursor set orders billing first --force
              weir cursor set orders billing time:2013-07-04 --force
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "The stream's name.", completion: streamNames) var stream: String
    @Argument(help: "The cursor's name.") var cursor: String
    @Argument(
        help: ArgumentHelp(
            "The offset of the next record wanted; or first, end, time:T, appended:T.",
            valueName: "offset"))
    var goal: CursorGoalArgument
    @Flag(help: "Move it back, if need be.") var force = false

    func run() throws {
        try Store.setCursor(
            cursor, of: stream, to: goal.position, force: force, ofStoreAt: options.path)
    }
}

/// `1000`, `first`, `end`, or any start of reading.
struct CursorGoalArgument: ExpressibleByArgument {
    let position: StartPosition

    init?(argument: String) {
        if let offset = UInt64(argument) {
            position = .offset(Offset(offset))
        } else if argument == "end" {
            position = .next
        } else if let start = StartArgument(argument: argument) {
            position = start.position
        } else {
            return nil
        }
    }
}

struct CursorRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove a cursor.",
        discussion: """
            The consumer of that name begins at the first record the next time. Records stay.

            EXAMPLES
              weir cursor rm orders billing
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "The stream's name.", completion: streamNames) var stream: String
    @Argument(help: "The cursor's name.") var cursor: String

    func run() throws {
        try Store.removeCursor(cursor, of: stream, ofStoreAt: options.path)
    }
}
