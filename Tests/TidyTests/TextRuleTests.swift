import Testing

@Suite("A rule over texts")
struct TextRuleTests {
    @Test(arguments: TextRule.strangeWords.map(\.word))
    func `finds a word of somebody's machine or desk`(_ word: String) {
        let text = "first line\nsee \(word.uppercased())x here\n"
        let findings = TextRule.words(path: "README.md", text: text)
        #expect(findings.map(\.line) == [2])
    }

    @Test(arguments: ["issue ", "Fixes ", "closes "])
    func `finds a number in a list that readers lack`(_ verb: String) {
        #expect(TextRule.words(path: "git log", text: verb + "#" + "12").count == 1)
        #expect(TextRule.words(path: "git log", text: "A change (" + "#" + "7)").count == 1)
    }

    @Test(arguments: [
        "Sources/network/x", "issue #", "an issue with #if", "C#", "row #12", "the session ends",
        "PyPI's package lz4", "https://github.com/apple/swift-log",
    ])
    func `leaves other words alone`(_ text: String) {
        #expect(TextRule.words(path: "README.md", text: text) == [])
    }

    @Test(arguments: [
        ".build/debug.yaml", ".build-fuzz/a", "Benchmarks/.build/b", "Package.resolved",
        "Benchmarks/Package.resolved", ".venv/bin/python", ".demo/flights.csv",
        "tools/__pycache__/a.pyc",
    ])
    func `finds a build cache`(_ path: String) {
        #expect(TextRule.caches(paths: ["Package.swift", path]).map(\.path) == [path])
    }

    @Test func `takes other hidden files for no build cache`() {
        let paths = [".gitignore", ".swift-format", ".ci/run", "Docs/build.md"]
        #expect(TextRule.caches(paths: paths) == [])
    }
}

@Suite("A link in a document")
struct LinkRuleTests {
    private let files = [
        "README.md", "Docs", "Docs/FLOW.md", "Docs/a b.png", "Docs/decisions/1.md",
    ]

    private func findings(_ text: String) -> [Int] {
        LinkRule.findings(path: "Docs/INDEX.md", text: text, exists: files.contains).map(\.line)
    }

    @Test(arguments: [
        "[a](FLOW.md)", "[a](./FLOW.md#credit)", "[a](../README.md \"title\")", "![a](a%20b.png)",
        "[a](decisions/1.md), [b](https://example.org)", "[a](#below)", "`[a](none.md)`",
        "```\n[a](none.md)\n```", "[a](mailto:a@example.org)", "[a]: FLOW.md", "f(x)[y]", "[a](..)",
    ])
    func `that leads somewhere is left alone`(_ text: String) {
        #expect(findings(text) == [])
    }

    @Test(arguments: [
        "[a](FLOWS.md)", "[a](README.md)", "see [b](FLOW.md) and [a](gone/x.md#y)",
        "[a](../../outside.md)", "[a]: none.md", "```\n```\n[a](none.md)",
    ])
    func `that leads nowhere is found`(_ text: String) {
        #expect(findings(text).count == 1)
    }

    @Test(arguments: ["README.md", "CHANGELOG.md", "Docs/FLOW.md", "Docs/decisions/1.md"])
    func `is checked in every document`(_ path: String) {
        #expect(LinkRule.covers(path))
        #expect(!LinkRule.covers("Sources/\(path)"))
    }
}
