import Foundation

/// The table `layers` of `Package.swift`: who may import whom.
struct LayerTable: Equatable, Sendable {
    struct Row: Equatable, Sendable {
        let module: String
        let dependencies: [String]
        let line: Int
    }

    let rows: [Row]

    func dependencies(of module: String) -> [String]? {
        rows.first { $0.module == module }?.dependencies
    }

    /// Reads the rows `"Module": ["Dependency", …],` between `layers` and the line `]`.
    init(manifest: String) {
        var rows: [Row] = []
        var isInside = false
        // A long row goes over several lines, up to its bracket.
        var row = (code: "", line: 0)
        for (index, line) in manifest.components(separatedBy: "\n").enumerated() {
            if line.hasPrefix("let layers") { isInside = true }
            if isInside && line == "]" { break }
            // A comment may hold quotation marks, so it goes first.
            let code = line.components(separatedBy: "//")[0]
            if row.code.isEmpty { row.line = index + 1 }
            row.code += code
            let words = row.code.components(separatedBy: "\"")
            guard isInside, words.count > 2 else {
                row.code = ""
                continue
            }
            guard row.code.contains("]") else { continue }
            let names = words.indices.filter { $0 % 2 == 1 }.map { words[$0] }
            rows.append(
                Row(module: names[0], dependencies: Array(names.dropFirst()), line: row.line))
            row.code = ""
        }
        self.rows = rows
    }

    /// What is wrong with the table itself: a row may use only what stands above it.
    func findings(modules: Set<String>) -> [Finding] {
        var above: Set<String> = []
        var findings: [Finding] = []
        for row in rows {
            for dependency in row.dependencies where !above.contains(dependency) {
                findings.append(
                    Finding(
                        path: "Package.swift", line: row.line,
                        message: "\(row.module) uses \(dependency), which does not stand above it"))
            }
            above.insert(row.module)
        }
        let missing = modules.filter { $0.hasPrefix("Weir") && !above.contains($0) }.sorted()
        return findings
            + missing.map {
                Finding(
                    path: "Package.swift", line: 1,
                    message: "\($0) has no row in `layers`: add one that names what it may import")
            }
    }
}

extension SwiftSource {
    /// The imported modules: `public import struct WeirBase.Offset` imports `WeirBase`.
    var imports: [(module: String, line: Int)] {
        let kinds = ["struct", "class", "enum", "protocol", "typealias", "func", "var", "let"]
        return tokens.places(of: "import").compactMap { index in
            let name = kinds.contains(tokens.text(index + 1)) ? index + 2 : index + 1
            let isMember = tokens.text(index - 1) == "."
            return isMember || name >= tokens.count
                ? nil : (tokens[name].text, tokens[index].line)
        }
    }
}

extension SwiftRule {
    static let layers = [foundation, systemLibraries, network]

    static func layering(_ table: LayerTable) -> SwiftRule {
        SwiftRule(name: "a module imports what its row allows") { source in
            guard let module = source.module, !module.hasPrefix("C") else { return [] }
            let allowed = (table.dependencies(of: module) ?? []) + [module]
            return source.imports.filter { imported in
                let isOurs =
                    imported.module.hasPrefix("Weir") || imported.module.hasPrefix("CWeir")
                return isOurs && !allowed.contains(imported.module)
            }.map { imported in
                source.finding(
                    line: imported.line,
                    "\(module) must not import \(imported.module): the table `layers` in "
                        + "Package.swift does not allow it; hand the value in from above")
            }
        }
    }

    static let foundationUsers: [Permission] = [
        .init("Sources/Weir/", because: "the facade speaks URL and Date with its users"),
        .init("Sources/WeirCLI/", because: "a command reads files, dates and JSON"),
    ]

    static let foundation = forbidding(
        ["Foundation", "FoundationEssentials", "FoundationNetworking"], but: foundationUsers,
        remedy: "Foundation stays out of every module below Weir; take a value of WeirBase")

    static let systemUsers: [Permission] = [
        .init("Sources/WeirBase/Lock.swift", because: "the one lock is a pthread mutex"),
        .init("Sources/WeirFiles/", because: "it is the seam to the system"),
        .init("Sources/WeirCLI/", because: "a command asks for terminals and signals"),
    ]

    static let systemLibraries = forbidding(
        ["Glibc", "Musl", "Darwin", "CWeirSystem"], but: systemUsers,
        remedy: "the system is called in WeirFiles only; add an operation to its seam")

    static let network = SwiftRule(name: "no NIO") { source in
        source.imports.filter { source.module != nil && $0.module.hasPrefix("NIO") }.map {
            source.finding(
                line: $0.line, "\($0.module): who embeds a store does not want a network library")
        }
    }

    private static func forbidding(
        _ modules: [String], but permissions: [Permission], remedy: String
    ) -> SwiftRule {
        SwiftRule(name: "\(modules[0]) stays where it belongs") { source in
            guard source.module != nil, !permissions.cover(source.path) else { return [] }
            return source.imports.filter { modules.contains($0.module) }.map {
                source.finding(line: $0.line, "\($0.module) is imported: \(remedy)")
            }
        }
    }
}
