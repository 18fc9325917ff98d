import ArgumentParser

/// Options as other programs call them, and what they are called here: the parser only finds a
/// name that is spelt alike.
enum UnknownOption {
    private static let names = [
        "--limit": "--count", "--max": "--count", "--number": "--count", "-n": "--count",
        "--lines": "--count", "--head": "--count", "--tail": "--last", "--offset": "--from",
        "--start": "--from", "--since": "--from", "--after": "--from", "--end": "--to",
        "--until": "--to", "--before": "--to", "--json": "--format", "--format": "--json",
        "--csv": "--format", "--filter": "--where", "--out": "--output", "--file": "--output",
        "--force": "--yes", "-f": "--follow", "--path": "--store", "--dir": "--store",
        "--db": "--store",
    ]

    /// What the parser says, with the option that is probably meant.
    static func hinted(_ text: String, of arguments: [String]) -> String {
        let lead = "Unknown option '"
        guard let found = text.firstRange(of: lead),
            let end = text[found.upperBound...].firstIndex(of: "'"),
            let option = names[String(text[found.upperBound..<end])],
            let command = command(of: arguments)
        else { return text }
        let help = WeirCommand.helpMessage(for: command, columns: 200)
        guard help.contains(" \(option) ") else { return text }
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        lines[0] = text[...end] + ". For that there is '\(option)'."
        return lines.joined(separator: "\n")
    }

    private static func command(of arguments: [String]) -> (any ParsableCommand.Type)? {
        var command: any ParsableCommand.Type = WeirCommand.self
        for word in arguments {
            let inner = command.configuration.subcommands.first {
                $0.configuration.commandName == word
            }
            guard let inner else { break }
            command = inner
        }
        return command == WeirCommand.self ? nil : command
    }
}
