import Foundation
import Testing

/// The house rules, held against the tree.
///
/// To change a rule, change its file here and `Docs/STYLE.md` in the same commit.
@Suite("The tree")
struct TidyTests {
    @Test(arguments: SwiftRule.all)
    func `keeps the rule that`(_ rule: SwiftRule) throws {
        expectNone(try Tree.sources().flatMap(rule.check))
    }

    @Test func `imports only what the layer table allows`() throws {
        let manifest = try #require(try Tree.text("Package.swift"))
        let rule = SwiftRule.layering(LayerTable(manifest: manifest))
        expectNone(try Tree.sources().flatMap(rule.check))
    }

    @Test func `has a layer table in which a row uses only rows above it`() throws {
        let table = LayerTable(manifest: try #require(try Tree.text("Package.swift")))
        #expect(!table.rows.isEmpty, "Package.swift has no table `layers`")
        let modules = Set(try Tree.sources().compactMap(\.module))
        expectNone(table.findings(modules: modules))
    }

    @Test func `holds no word of somebody's machine or desk`() throws {
        for path in try Tree.paths() {
            guard let text = try Tree.text(path) else { continue }
            expectNone(TextRule.words(path: path, text: text))
        }
    }

    @Test func `has a history without such words`() throws {
        let log = try Tree.git("log", "--format=%B", "HEAD")
        expectNone(TextRule.words(path: "git log", text: log ?? ""))
    }

    @Test func `has no build cache committed`() throws {
        let files = try Tree.git("ls-files") ?? ""
        expectNone(TextRule.caches(paths: files.components(separatedBy: "\n")))
    }

    @Test func `has documents whose links lead somewhere`() throws {
        for path in try Tree.paths() where LinkRule.covers(path) {
            let text = try #require(try Tree.text(path))
            expectNone(LinkRule.findings(path: path, text: text, exists: Tree.exists))
        }
    }

    @Test func `is found and read, so that no rule passes for want of files`() throws {
        let paths = try Tree.sources().map(\.path)
        #expect(paths.contains("Package.swift"))
        #expect(paths.contains("Tests/TidyTests/TidyTests.swift"))
        #expect(paths.contains { $0.hasPrefix("Sources/WeirBase/") })
    }

    private func expectNone(_ findings: [Finding]) {
        for finding in findings { Issue.record("\(finding)") }
    }
}
