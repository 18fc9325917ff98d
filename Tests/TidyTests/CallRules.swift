import Foundation

extension SwiftRule {
    static let calls = [swallowing, trapping, unwrapping, printing, tasks, unfinished]

    static let swallowing = SwiftRule(name: "no error is swallowed") { source in
        guard source.module != nil else { return [] }
        let tokens = source.tokens
        let optional = tokens.places(of: "try", "?").map { index in
            source.finding(
                line: tokens[index].line,
                "`try?` loses the error: use `do`/`catch` and say what happens, or throw on")
        }
        // `catch {}`, `catch is A {}` and `catch let error as A {}`, with or without a comment.
        let empty = tokens.places(of: "catch").filter { start in
            let open = tokens[start...].firstIndex { $0.text == "{" }
            return open.map { tokens.text($0 + 1) == "}" } ?? false
        }
        return optional
            + empty.map { index in
                source.finding(
                    line: tokens[index].line,
                    "an empty `catch`: report the error, or return an outcome that names it")
            }
    }

    static let trapping = SwiftRule(name: "nothing traps but a precondition") { source in
        guard source.module != nil else { return [] }
        // `try !isHeld` negates what `try` gives.
        let forced = source.tokens.places(of: "try", "!").filter {
            source.tokens[$0 + 1].touchesPrevious
        }.map { index in
            source.finding(
                line: source.tokens[index].line,
                "`try!` turns a failure into a crash: throw a `WeirError`")
        }
        let fatal = source.tokens.places(of: "fatalError", "(").map { index in
            source.finding(
                line: source.tokens[index].line,
                "`fatalError`: state the invariant with `precondition`, or throw a `WeirError`")
        }
        return forced + fatal
    }

    static let unwrapping = SwiftRule(name: "nothing is unwrapped by force") { source in
        guard source.module != nil else { return [] }
        let tokens = source.tokens
        return tokens.places(of: "!").filter { index in
            let previous = tokens.text(index - 1)
            let isPostfix =
                tokens[index].touchesPrevious && previous != "try"
                && (tokens[index - 1].isWord || [")", "]", "}", "?", "`", ">"].contains(previous))
            // `a!=b` is the operator.
            let isOperator =
                tokens.text(index + 1) == "=" && tokens[index + 1].touchesPrevious
            return isPostfix && !isOperator
        }.map { index in
            source.finding(
                line: tokens[index].line,
                "`!` traps on nil: use `guard let`, `if let` or `??`, and throw what is missing")
        }
    }

    static let printing = SwiftRule(name: "only the command line prints") { source in
        guard let module = source.module, module != "WeirCLI" else { return [] }
        return ["print", "debugPrint", "dump"].flatMap { name in
            source.tokens.places(of: name, "(").filter { index in
                ![".", "func"].contains(source.tokens.text(index - 1))
            }.map { index in
                source.finding(
                    line: source.tokens[index].line,
                    "`\(name)` in a library: return the text, or log it in Weir")
            }
        }
    }

    static let taskOwners = ["Weir", "WeirCLI", "WeirServer"]

    static let tasks = SwiftRule(name: "tasks have an owner") { source in
        guard let module = source.module, !taskOwners.contains(module) else { return [] }
        let tokens = source.tokens
        return tokens.places(of: "Task").filter { index in
            let next = tokens.text(index + 1)
            let member = tokens.text(index + 2)
            return ["{", "("].contains(next)
                || next == "." && ["detached", "immediate"].contains(member)
        }.map { index in
            source.finding(
                line: tokens[index].line,
                "a task is started here: only \(taskOwners.joined(separator: ", ")) start tasks, "
                    + "and each has an owner that ends it; be `async` and let the caller start it")
        }
    }

    /// The words, in two halves so that this file does not hold them.
    private static let unfinishedMarks = ["TO" + "DO", "FIX" + "ME", "X" + "XX"]
    private static let unfinishedWords = ["for" + " now", "not" + " implemented"]

    static let unfinished = SwiftRule(name: "nothing is left for later") { source in
        source.lines.indices.compactMap { index in
            let line = source.lines[index]
            // A loop over `now` is code: these words count in comments and strings only.
            let isCode = { (word: String) in source.code[index].lowercased().contains(word) }
            let words =
                unfinishedMarks.filter { line.containsWord($0) }
                + unfinishedWords.filter { line.lowercased().containsWord($0) && !isCode($0) }
            guard let word = words.first else { return nil }
            return source.finding(
                line: index + 1,
                "`\(word)`: finish it, or say in `Docs` that it is not there; "
                    + "what stands in the code is done")
        }
    }
}

extension String {
    /// Whether the word stands here with no letter or digit on either side.
    func containsWord(_ word: String) -> Bool {
        var rest = self[...]
        while let range = rest.range(of: word) {
            let before = range.lowerBound > startIndex ? self[index(before: range.lowerBound)] : " "
            let after = range.upperBound < endIndex ? self[range.upperBound] : " "
            let isJoined = { (mark: Character) in mark.isLetter || mark.isNumber || mark == "_" }
            if !isJoined(before) && !isJoined(after) { return true }
            rest = self[range.upperBound...]
        }
        return false
    }
}
