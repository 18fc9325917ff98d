import Testing

/// One breach of a house rule: where it is, and what to write instead.
struct Finding: Equatable, Sendable, CustomStringConvertible {
    let path: String
    let line: Int
    let message: String

    var description: String { "\(path):\(line): \(message)" }
}

/// A house rule over Swift files.
struct SwiftRule: Sendable, CustomTestStringConvertible {
    let name: String
    let check: @Sendable (SwiftSource) -> [Finding]

    var testDescription: String { name }

    func findings(path: String, text: String) -> [Finding] {
        check(SwiftSource(path: path, text: text))
    }

    static let all: [SwiftRule] = size + calls + layers + [access, rawMemory, unchecked, sleeps]
}

/// A part of the tree where something is allowed that is forbidden elsewhere, and why.
struct Permission: Sendable {
    let path: String
    let reason: String

    init(_ path: String, because reason: String) {
        self.path = path
        self.reason = reason
    }

    /// A path that ends in `/` allows everything below it.
    func covers(_ other: String) -> Bool {
        path.hasSuffix("/") ? other.hasPrefix(path) : other == path
    }
}

extension [Permission] {
    func cover(_ path: String) -> Bool { contains { $0.covers(path) } }
}
