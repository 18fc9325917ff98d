/// The name of a stream: 1–128 bytes of `[A-Za-z0-9._-]`, the first a letter or a digit.
///
/// Names beginning with `weir.` are the system's own. The name never becomes a path: the directory
/// of a stream is named by its id.
public struct StreamName: Sendable, Hashable, CustomStringConvertible {
    public let description: String

    /// Throws `invalidArgument` for a name outside the allowed set.
    public init(_ text: String) throws(WeirError) { try self.init(text, what: "stream") }

    /// The same rule for the names of other things, such as consumers.
    package init(_ text: String, what: String) throws(WeirError) {
        let bytes = Array(text.utf8)
        guard let first = bytes.first else {
            throw WeirError(
                .invalidArgument,
                "The \(what) name is empty; expected 1 to 128 characters of A-Z a-z 0-9 . _ -.")
        }
        guard bytes.count <= Limits.streamNameBytesMax else {
            throw WeirError(
                .invalidArgument,
                "The \(what) name has \(bytes.count) bytes; expected at most "
                    + "\(Limits.streamNameBytesMax).")
        }
        guard StreamName.isAlphanumeric(first),
            bytes.allSatisfy({ StreamName.isAlphanumeric($0) || [45, 46, 95].contains($0) })
        else {
            throw WeirError(
                .invalidArgument,
                "The \(what) name \"\(StreamName.escaped(text))\" is not allowed; expected 1 "
                    + "to 128 characters of A-Z a-z 0-9 . _ -, the first a letter or a digit.")
        }
        self.description = text
    }

    /// One of Weir's own streams, under a name that is written in the code.
    package init(own name: StaticString) {
        description = "weir.\(name)"
    }

    /// Whether the name is one of Weir's own streams.
    public var isSystem: Bool { description.hasPrefix("weir.") }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }

    /// Control characters would otherwise reach a terminal through an error message.
    private static func escaped(_ text: String) -> String {
        text.unicodeScalars.map {
            $0.isASCII && $0.value >= 32 ? String($0) : $0.escaped(asASCII: true)
        }
        .joined()
    }
}
