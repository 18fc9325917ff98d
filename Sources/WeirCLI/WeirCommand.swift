import ArgumentParser
import Foundation
import Weir

/// The command line's root.
struct WeirCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weir",
        abstract: "A persistent, log-structured stream store.",
        discussion: """
            The store is --store PATH, else the environment's WEIR_STORE, else ./weir-data.
            Data goes to standard output, words to standard error.

            EXAMPLES
              weir create orders --compression auto
              seq 1000 | weir append orders
              weir read orders --from offset:990 --format json
              weir tail -f orders

            EXIT STATUS
              0 done · 1 failed · 2 wrong usage · 3 done, but damage was found and reported
              130 interrupted; what was acknowledged is kept
            """,
        version: WeirVersion.text,
        subcommands: [
            CreateCommand.self, DeleteCommand.self, AppendCommand.self, ReadCommand.self,
            TailCommand.self, ListCommand.self, InfoCommand.self, DumpCommand.self,
            FlowCommand.self, SqlCommand.self, CursorCommand.self, GroupCommand.self,
            CompactCommand.self, BackupCommand.self, RestoreCommand.self, VerifyCommand.self,
            RepairCommand.self, IndexCommand.self, TrimCommand.self, ConfigCommand.self,
            ExportCommand.self, ImportCommand.self, CopyCommand.self,
        ]
    )
}

enum WeirVersion {
    static let text = "0.1.0"
}

/// How a command ends.
enum ExitStatus {
    static let done: Int32 = 0
    static let failed: Int32 = 1
    static let usage: Int32 = 2
    static let damage: Int32 = 3
    static let interrupted: Int32 = 130
}

/// Ends the process with a status, when everything has been said.
struct ExitRequest: Error {
    let status: Int32
}

@main
enum Main {
    static func main() {
        Interrupt.install()
        StandardOutput.openWhatIsClosed()
        exit(status(of: Array(CommandLine.arguments.dropFirst())))
    }

    /// Parses and runs; says errors in one sentence.
    static func status(of arguments: [String]) -> Int32 {
        let arguments = storeBehindCommand(arguments)
        if let text = unknownCommand(in: arguments) {
            Words.say("weir: " + text)
            return ExitStatus.usage
        }
        return told(arguments) { () throws in
            var command = try WeirCommand.parseAsRoot(arguments)
            try command.run()
        }
    }

    /// The status of some work, whose error is said.
    private static func told(_ arguments: [String], _ work: () throws -> Void) -> Int32 {
        do {
            try work()
            return ExitStatus.done
        } catch let request as ExitRequest {
            return request.status
        } catch let error as WeirError {
            Words.say("weir: \(error)")
            return ExitStatus.failed
        } catch {
            return sayUsage(error, of: arguments)
        }
    }

    /// `weir --store PATH read …` as well as `weir read … --store PATH`.
    private static func storeBehindCommand(_ arguments: [String]) -> [String] {
        guard arguments.count > 2, arguments[0] == "--store" else { return arguments }
        return Array(arguments[2...]) + arguments[..<2]
    }

    /// A word in a command's place that is none: the parser would only call it unexpected.
    private static func unknownCommand(in arguments: [String]) -> String? {
        let words = arguments.first == "help" ? arguments.dropFirst() : arguments[...]
        guard let word = words.first, !word.hasPrefix("-") else { return nil }
        let names = WeirCommand.configuration.subcommands.compactMap {
            $0.configuration.commandName
        }
        if names.contains(word) || word == "help" { return nil }
        let nearest = names.map { ($0, distance(word, $0)) }.min { $0.1 < $1.1 }
        let hint = nearest.map { $0.1 <= 2 ? "; did you mean \($0.0)?" : "." } ?? "."
        return "There is no command \(word)\(hint) There are \(names.joined(separator: ", ")); "
            + "`weir help` tells what they do."
    }

    /// Letters to change, add or take away from one word to the other (Levenshtein).
    private static func distance(_ a: String, _ b: String) -> Int {
        let target = Array(b)
        var row = Array(0...target.count)
        for (i, letter) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in target.enumerated() {
                let change = diagonal + (letter == other ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(change, diagonal + 1, row[j] + 1)
            }
        }
        return row[target.count]
    }

    /// Help and version go to standard output; a wrong argument is one sentence and status 2.
    private static func sayUsage(_ error: any Error, of arguments: [String]) -> Int32 {
        let text = WeirCommand.fullMessage(for: error)
        guard WeirCommand.exitCode(for: error) != .success else {
            return told(arguments) { () throws in try StandardOutput.print(text + "\n") }
        }
        Words.say(UnknownOption.hinted(text, of: arguments))
        return WeirCommand.exitCode(for: error) == .validationFailure
            ? ExitStatus.usage : ExitStatus.failed
    }
}
