/// A word of SQL, as SQLite takes a text apart.
///
/// Enough to tell names from strings and comments; whether a statement is right, SQLite says.
struct SQLToken: Equatable {
    enum Kind {
        /// A keyword, or a name without quotes.
        case word
        /// A name in quotes of whatever kind, without them.
        case name
        /// A string or bytes, with its quotes.
        case string
        case number
        /// One character of any other kind.
        case symbol
        case comment
        /// Quotes that nothing closes.
        case unclosed
    }

    let kind: Kind
    let text: String
    /// Where it stands, counted in bytes of UTF-8.
    let range: Range<Int>

    /// A keyword, or a name that SQLite takes for the same.
    func isWord(_ word: String) -> Bool { kind == .word && text.uppercased() == word }

    /// What a column or a table may be called by it.
    var identifier: String? { kind == .word || kind == .name ? text.lowercased() : nil }

    static func all(in sql: String) -> [SQLToken] {
        let bytes = Array(sql.utf8)
        var tokens: [SQLToken] = []
        var start = 0
        while start < bytes.count {
            guard !isSpace(bytes[start]) else {
                start += 1
                continue
            }
            let (kind, end) = next(in: bytes, from: start)
            let inner = kind == .name ? start + 1..<end - 1 : start..<end
            tokens.append(
                SQLToken(
                    kind: kind, text: String(decoding: bytes[inner], as: UTF8.self),
                    range: start..<end))
            start = end
        }
        return tokens
    }

    private static func next(in bytes: [UInt8], from start: Int) -> (Kind, end: Int) {
        let following: UInt8? = start + 1 < bytes.count ? bytes[start + 1] : nil
        switch (bytes[start], following) {
        case (UInt8(ascii: "-"), UInt8(ascii: "-")):
            return (.comment, bytes[start...].firstIndex(of: 10) ?? bytes.count)
        case (UInt8(ascii: "/"), UInt8(ascii: "*")):
            return (.comment, endOfComment(in: bytes, from: start + 2))
        case (UInt8(ascii: "'"), _): return quoted(.string, by: bytes[start], bytes, from: start)
        case (UInt8(ascii: "x"), UInt8(ascii: "'")), (UInt8(ascii: "X"), UInt8(ascii: "'")):
            return quoted(.string, by: UInt8(ascii: "'"), bytes, from: start + 1)
        case (UInt8(ascii: "\""), _), (UInt8(ascii: "`"), _):
            return quoted(.name, by: bytes[start], bytes, from: start)
        case (UInt8(ascii: "["), _):
            return quoted(.name, by: UInt8(ascii: "]"), bytes, from: start)
        case (let byte, _):
            guard isPartOfWord(byte) else { return (.symbol, start + 1) }
            let end = bytes[start...].firstIndex { !isPartOfWord($0) } ?? bytes.count
            return (isDigit(byte) ? .number : .word, end)
        }
    }

    private static func endOfComment(in bytes: [UInt8], from start: Int) -> Int {
        var place = start
        while place + 1 < bytes.count {
            if bytes[place] == UInt8(ascii: "*"), bytes[place + 1] == UInt8(ascii: "/") {
                return place + 2
            }
            place += 1
        }
        return bytes.count
    }

    /// A quote that stands twice is one of the text's own; a bracket cannot.
    private static func quoted(
        _ kind: Kind, by quote: UInt8, _ bytes: [UInt8], from start: Int
    ) -> (Kind, end: Int) {
        var place = start + 1
        while let end = bytes[place...].firstIndex(of: quote) {
            let isDoubled = end + 1 < bytes.count && bytes[end + 1] == quote
            guard isDoubled, quote != UInt8(ascii: "]") else { return (kind, end + 1) }
            place = end + 2
        }
        return (.unclosed, bytes.count)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { [9, 10, 12, 13, 32].contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

    /// Letters, digits, `_`, `$`, and everything outside ASCII.
    private static func isPartOfWord(_ byte: UInt8) -> Bool {
        isDigit(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$") || byte >= 0x80
    }
}

extension SQLToken {
    /// A condition in which `headers ->> 'NAME'` is called by the hidden column of that name, where
    /// there is one, so that the table sees what it is compared with.
    ///
    /// Only where nothing beside it could belong to the operator, and never beside another
    /// statement, whose `headers` may be another table's.
    static func naming(_ hidden: Set<String>, in condition: String) -> String {
        let tokens = all(in: condition)
        guard !hidden.isEmpty, !tokens.contains(where: { $0.isWord("SELECT") }) else {
            return condition
        }
        var bytes: [UInt8] = []
        let old = Array(condition.utf8)
        var copied = 0
        for start in tokens.indices.dropLast(4) where tokens[start].identifier == "headers" {
            let label = tokens[start + 4]
            let column = HeaderColumn.prefix + label.text
            guard tokens[start + 1..<start + 4].map(\.text) == ["-", ">", ">"],
                tokens[start + 1].range.lowerBound + 3 == tokens[start + 3].range.upperBound,
                label.kind == .string, hidden.contains(column),
                start == 0 || tokens[start - 1].endsBefore,
                start + 5 == tokens.count || tokens[start + 5].beginsAfter
            else { continue }
            bytes += old[copied..<tokens[start].range.lowerBound] + Array("\"\(column)\"".utf8)
            copied = label.range.upperBound
        }
        return String(decoding: bytes + old[copied...], as: UTF8.self)
    }

    /// What stands behind it is an operand of its own.
    private var endsBefore: Bool {
        kind == .symbol ? ["(", "="].contains(text) : ["AND", "OR", "NOT"].contains { isWord($0) }
    }

    /// What stands before it is an operand of its own.
    private var beginsAfter: Bool {
        kind == .symbol
            ? [")", "="].contains(text) : ["AND", "OR", "IN", "IS", "LIKE"].contains { isWord($0) }
    }
}

extension [SQLToken] {
    /// What a statement does, by its first word.
    var verb: String? {
        first { $0.kind != .comment && $0.text != "(" }
            .flatMap { $0.kind == .word ? $0.text.uppercased() : nil }
    }

    /// One expression and nothing that ends it: its parentheses and quotes match, and neither a
    /// comment nor another statement follows.
    var isExpression: Bool {
        var depth = 0
        for token in self {
            switch (token.kind, token.text) {
            case (.comment, _), (.unclosed, _), (.symbol, ";"): return false
            case (.symbol, "("): depth += 1
            case (.symbol, ")"):
                depth -= 1
                if depth < 0 { return false }
            default: break
            }
        }
        return depth == 0 && !isEmpty
    }

    /// What stands behind `WHERE` and `ON`, with everything in its parentheses.
    var conditions: [SQLToken] {
        let ends = [
            "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "JOIN",
            "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "NATURAL",
        ]
        var found: [SQLToken] = []
        var depth = 0
        /// Of the outermost condition, if one goes on.
        var begin: Int?
        for token in self {
            if token.text == "(", token.kind == .symbol { depth += 1 }
            if token.text == ")", token.kind == .symbol { depth -= 1 }
            if token.isWord("WHERE") || token.isWord("ON") {
                begin = begin ?? depth
            } else if let start = begin {
                let isOver =
                    depth < start || depth == start && ends.contains { token.isWord($0) }
                if isOver { begin = nil } else { found.append(token) }
            }
        }
        return found
    }
}
