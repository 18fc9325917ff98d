import Foundation

/// A Swift file taken apart into what the compiler reads and what people read.
///
///     text      let a = "x!"  // why
///     code      let a = "  "
///     comments                // why
///
/// `code` and `comments` have the lines and columns of the text; what is not theirs is blank. So a
/// rule that looks for `try!` in the code finds none in a string or in a comment.
struct SwiftSource: Sendable {
    let path: String
    let text: String
    let lines: [String]
    let code: [String]
    let comments: [String]
    let tokens: [Token]

    init(path: String, text: String) {
        let bytes = Array(text.utf8)
        var scanner = SwiftScanner(bytes: bytes)
        scanner.scan()
        let code = Self.view(bytes, of: .code, in: scanner.kinds)
        self.path = path
        self.text = text
        self.lines = Self.split(bytes)
        self.code = Self.split(code)
        self.comments = Self.split(Self.view(bytes, of: .comment, in: scanner.kinds))
        self.tokens = Token.all(in: code)
    }

    /// The module that the file belongs to: `Sources/WeirLog/Writer.swift` is of `WeirLog`.
    var module: String? {
        let parts = path.split(separator: "/")
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
    }

    func finding(line: Int, _ message: String) -> Finding {
        Finding(path: path, line: line, message: message)
    }

    private static func split(_ bytes: [UInt8]) -> [String] {
        bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
    }

    private static func view(
        _ bytes: [UInt8], of kind: SwiftScanner.Kind, in kinds: [SwiftScanner.Kind]
    ) -> [UInt8] {
        var view = bytes
        for index in view.indices where kinds[index] != kind && view[index] != UInt8(ascii: "\n") {
            view[index] = UInt8(ascii: " ")
        }
        return view
    }
}

/// A word or one punctuation mark of the code.
struct Token: Sendable {
    let text: String
    /// Counted from 1.
    let line: Int
    /// Nothing, not even a space, stands between the token before and this one.
    let touchesPrevious: Bool
    var isWord: Bool { text.utf8.first.map(Self.isWordByte) ?? false }

    static func all(in code: [UInt8]) -> [Token] {
        var tokens: [Token] = []
        var line = 1
        var index = 0
        var end = -1
        while index < code.count {
            let start = index
            index += 1
            switch code[start] {
            case UInt8(ascii: "\n"): line += 1
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): break
            default:
                if isWordByte(code[start]) {
                    while index < code.count, isWordByte(code[index]) { index += 1 }
                }
                let text = String(decoding: code[start..<index], as: UTF8.self)
                tokens.append(Token(text: text, line: line, touchesPrevious: start == end))
                end = index
            }
        }
        return tokens
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...0xff: true
        default: false
        }
    }
}

extension [Token] {
    /// The token's text, and nothing outside the bounds.
    func text(_ index: Int) -> String { indices.contains(index) ? self[index].text : "" }

    /// The indices at which these texts stand one after the other.
    func places(of texts: String...) -> [Int] {
        indices.filter { start in
            self[start].text == texts[0]
                && texts.indices.allSatisfy { text(start + $0) == texts[$0] }
        }
    }
}
