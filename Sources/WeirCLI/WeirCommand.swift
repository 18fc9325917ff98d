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
        exit(status(of: Array(CommandLine.arguments.dropFirst())))
    }

    /// Parses and runs; says errors in one sentence.
    static func status(of arguments: [String]) -> Int32 {
        do {
            var command = try WeirCommand.parseAsRoot(arguments)
            try command.run()
            return ExitStatus.done
        } catch let request as ExitRequest {
            return request.status
        } catch let error as WeirError {
            Words.say("weir: \(error)")
            return ExitStatus.failed
        } catch {
            return sayUsage(error)
        }
    }

    /// Help and version go to standard output; a wrong argument is one sentence and status 2.
    private static func sayUsage(_ error: any Error) -> Int32 {
        let text = WeirCommand.fullMessage(for: error)
        guard WeirCommand.exitCode(for: error) != .success else {
            print(text)
            return ExitStatus.done
        }
        Words.say(text)
        return WeirCommand.exitCode(for: error) == .validationFailure
            ? ExitStatus.usage : ExitStatus.failed
    }
}
