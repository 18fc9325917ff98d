import Foundation

/// Links of the documents to files of the repository lead somewhere.
enum LinkRule {
    static func covers(_ path: String) -> Bool {
        let isDocument = path.hasPrefix("Docs/") || !path.contains("/")
        return isDocument && path.hasSuffix(".md")
    }

    static func findings(path: String, text: String, exists: (String) -> Bool) -> [Finding] {
        var findings: [Finding] = []
        var isFenced = false
        for (index, line) in text.components(separatedBy: "\n").enumerated() {
            if line.trimmingCharacters(in: .whitespaces).hasPrefix("```") { isFenced.toggle() }
            if isFenced { continue }
            for target in targets(in: line) {
                let file = resolve(target, from: path)
                if let file, file.isEmpty || exists(file) { continue }
                findings.append(
                    Finding(
                        path: path, line: index + 1,
                        message: "the link to `\(target)` leads nowhere: mend the path, which "
                            + "counts from this file"))
            }
        }
        return findings
    }

    /// What stands between `](` and `)`, and after `[name]:`, if it is a file.
    private static func targets(in line: String) -> [String] {
        // A link inside a code span is an example.
        let parts = line.components(separatedBy: "`")
        let prose = parts.indices.filter { $0 % 2 == 0 }.map { parts[$0] }.joined(separator: "`")
        var targets = prose.components(separatedBy: "](").dropFirst().map { rest in
            rest.components(separatedBy: ")")[0]
        }
        if prose.hasPrefix("["), let range = prose.range(of: "]: ") {
            targets.append(String(prose[range.upperBound...]))
        }
        return targets.map { $0.components(separatedBy: " ")[0] }.filter { target in
            !target.contains("://") && !target.hasPrefix("mailto:") && !target.isEmpty
        }
    }

    /// The path from the root of the repository, empty for the root and for a place in the same
    /// file; nil if it leads outside.
    private static func resolve(_ target: String, from path: String) -> String? {
        let file = target.components(separatedBy: "#")[0]
        if file.isEmpty { return "" }
        var parts = path.split(separator: "/").dropLast().map(String.init)
        for part in file.split(separator: "/").map(String.init) where part != "." {
            if part != ".." {
                parts.append(part.removingPercentEncoding ?? part)
            } else if parts.popLast() == nil {
                return nil
            }
        }
        return parts.joined(separator: "/")
    }
}
