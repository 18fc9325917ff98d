import Foundation

/// House rules over every text in the tree, and over the messages of the commits.
enum TextRule {
    /// Words that belong to somebody's machine or desk. Each is written in two halves, so that
    /// this file holds none of them.
    static let strangeWords: [(word: String, remedy: String)] =
        [
            "py" + "pi.org", "files.python" + "hosted.org", "deb.debian" + ".org",
            "crates" + ".io", "npm" + "js",
        ].map { ($0, "the host of a package registry: name the package and its version") }
        + ["/wor" + "k/", "/opt/" + "swift", "/tmp/" + "wt-"].map {
            ($0, "a path of one machine: find it from the place of the script or the file")
        }
        + [".." + "/shared"].map { ($0, "a file outside the repository: say it here") }
        + ["closing" + " note", "this" + " session", "helper" + " agent", "sub" + "agent"].map {
            ($0, "words about how the work was done: say what the code does")
        }

    /// `issue #` before a digit: who reads the code has no such list.
    private static let numberedThings =
        ["issue", "issues", "ticket", "closes", "fixes", "resolves"].map { $0 + " " + "#" } + ["(#"]

    static func words(path: String, text: String) -> [Finding] {
        let lowered = text.lowercased()
        // Most texts hold none of the words, and one look at the whole is much faster.
        let suspects = strangeWords.filter { lowered.contains($0.word) }
        guard !suspects.isEmpty || lowered.contains("#") else { return [] }
        return lowered.components(separatedBy: "\n").enumerated().flatMap { index, line in
            suspects.filter { stands($0.word, in: line) }.map {
                Finding(path: path, line: index + 1, message: "`\($0.word)`: \($0.remedy)")
            }
                + numberedThings.filter { isNumbered($0, in: line) }.map {
                    Finding(
                        path: path, line: index + 1,
                        message: "`\($0)…`: a number in a list that readers lack; say the matter")
                }
        }
    }

    /// A path counts where it begins: `network/` + `x` is not a path of the machine.
    private static func stands(_ word: String, in line: String) -> Bool {
        guard let range = line.range(of: word) else { return false }
        guard word.hasPrefix("/"), range.lowerBound > line.startIndex else { return true }
        let before = line[line.index(before: range.lowerBound)]
        return !before.isLetter && !before.isNumber && before != "."
    }

    private static func isNumbered(_ thing: String, in line: String) -> Bool {
        guard let range = line.range(of: thing), range.upperBound < line.endIndex else {
            return false
        }
        return line[range.upperBound].isNumber
    }

    /// What is made anew by every build or script, and spoils a fresh clone once committed.
    static func caches(paths: [String]) -> [Finding] {
        let folders = [".build", ".venv", ".demo", ".swiftpm", "__pycache__"]
        return paths.filter { path in
            let parts = path.split(separator: "/").map(String.init)
            return parts.last == "Package.resolved"
                || parts.dropLast().contains { part in folders.contains { part.hasPrefix($0) } }
        }.map {
            Finding(
                path: $0, line: 1,
                message: "a build cache is committed: `git rm -r --cached` it and list it in "
                    + ".gitignore")
        }
    }
}
