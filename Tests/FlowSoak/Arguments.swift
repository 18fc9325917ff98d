/// What the program was asked wrongly, or what kept it from its work.
struct Usage: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A command and its options, `--name value`.
struct Arguments: Sendable {
    let command: String
    private var values: [String: String] = [:]
    private(set) var isUntimed = false
    private static let names = ["bytes", "consumers", "dir", "rate", "rounds", "seconds"]

    init(_ words: ArraySlice<String>) throws {
        guard let command = words.first else { throw Usage(FlowSoak.usage) }
        self.command = command
        var rest = words.dropFirst()
        while let word = rest.popFirst() {
            if word == "--untimed" {
                isUntimed = true
                continue
            }
            guard word.hasPrefix("--"), Self.names.contains(String(word.dropFirst(2))) else {
                throw Usage("There is no option \(word).\n" + FlowSoak.usage)
            }
            guard let value = rest.popFirst() else {
                throw Usage("The option \(word) has no value; give one behind it.")
            }
            values[String(word.dropFirst(2))] = value
        }
    }

    var folder: String? { values["dir"] }

    /// A whole number, at least `minimum`.
    func number(_ name: String, default fallback: Int, minimum: Int = 1) throws -> Int {
        guard let text = values[name] else { return fallback }
        guard let number = Int(text), number >= minimum else {
            throw Usage("--\(name) is \(text); expected a whole number from \(minimum) on.")
        }
        return number
    }

    /// A size such as `4GiB`, `512MiB` or a number of bytes.
    func bytes(default fallback: Int) throws -> Int {
        guard let text = values["bytes"] else { return fallback }
        let units = ["GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10]
        let unit = units.first { text.hasSuffix($0.key) }
        let digits = unit.map { String(text.dropLast($0.key.count)) } ?? text
        guard let number = Int(digits), (1...(1 << 20)).contains(number) || unit == nil,
            number >= 1
        else {
            throw Usage("--bytes is \(text); expected a size such as 4GiB, 512MiB or 1000000.")
        }
        return number * (unit?.value ?? 1)
    }
}
