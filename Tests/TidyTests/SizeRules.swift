import Foundation

extension SwiftRule {
    static let size = [lineLength, functionLength, fileLength]

    static let lineLength = SwiftRule(name: "a line has at most 100 columns") { source in
        source.lines.indices.compactMap { index in
            let line = source.lines[index]
            // Counting characters is slow; a line of few bytes has few characters.
            guard line.utf8.count > 100, line.count > 100 else { return nil }
            // An address in a comment cannot be broken.
            if source.comments[index].contains("://") { return nil }
            return source.finding(
                line: index + 1, "\(line.count) columns; at most 100: break the line")
        }
    }

    static let functionLength = SwiftRule(name: "a function has at most 70 lines") { source in
        source.functions.filter { $0.lineCount > 70 }.map { function in
            source.finding(
                line: function.line,
                "a function of \(function.lineCount) lines; at most 70, better 40: "
                    + "keep the control flow here and give each step a function of its own")
        }
    }

    static let fileLength = SwiftRule(name: "a file has at most 400 lines") { source in
        let limit = source.path.hasPrefix("Tests/") ? 500 : 400
        let count = source.text.hasSuffix("\n") ? source.lines.count - 1 : source.lines.count
        guard count > limit else { return [] }
        return [
            source.finding(
                line: count,
                "\(count) lines; at most \(limit), better 250: "
                    + "move one concern to a file `Type+Concern.swift`")
        ]
    }
}

extension SwiftSource {
    /// Every function, initializer and subscript with a body.
    var functions: [(line: Int, lineCount: Int)] {
        tokens.indices.compactMap { index in
            guard startsFunction(index), let open = body(after: index),
                let close = closingBrace(of: open)
            else { return nil }
            return (tokens[index].line, tokens[close].line - tokens[index].line + 1)
        }
    }

    private func startsFunction(_ index: Int) -> Bool {
        switch tokens[index].text {
        case "func", "deinit": tokens.text(index - 1) != "."
        case "init", "subscript":
            tokens.text(index - 1) != "." && ["(", "<", "?"].contains(tokens.text(index + 1))
        default: false
        }
    }

    /// The brace that opens the body; nil for a requirement of a protocol, which has none.
    private func body(after start: Int) -> Int? {
        var depth = 0
        for index in (start + 1)..<max(tokens.count, start + 1) {
            let token = tokens[index]
            if depth == 0 {
                if token.text == "{" { return index }
                if token.text == "}" || token.text == ";" { return nil }
                if token.line > tokens[index - 1].line && !continuesDeclaration(index) {
                    return nil
                }
            }
            if ["(", "["].contains(token.text) { depth += 1 }
            if [")", "]"].contains(token.text) { depth -= 1 }
        }
        return nil
    }

    /// Whether a token at the start of a line goes on with the declaration of the line before.
    private func continuesDeclaration(_ index: Int) -> Bool {
        let begin = ["-", "where", "throws", "rethrows", "async", "(", ")", ">", "&"]
        let end = [",", "<", ":", "=", "&", "where"]
        let isAfterArrow = tokens.text(index - 1) == ">" && tokens.text(index - 2) == "-"
        return begin.contains(tokens.text(index)) || end.contains(tokens.text(index - 1))
            || isAfterArrow
    }

    private func closingBrace(of open: Int) -> Int? {
        var depth = 0
        for index in open..<tokens.count {
            if tokens[index].text == "{" { depth += 1 }
            if tokens[index].text == "}" { depth -= 1 }
            if depth == 0 { return index }
        }
        return nil
    }
}
