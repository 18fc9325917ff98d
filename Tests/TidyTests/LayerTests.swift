import Testing

@Suite("The layer table")
struct LayerTests {
    private let manifest = """
        // Not yet: "Nothing": ["Nowhere"]
        let layers: [String: [String]] = [
            "WeirBase": [],  // units, "words"
            // "WeirIndex": ["WeirBase"],
            "WeirLog": ["WeirBase"],
            "Weir": ["WeirBase", "WeirLog"],  // the facade
        ]
        let other = ["Weir": ["Other"]]
        """

    @Test func `is read row by row, without comments and neighbours`() {
        let table = LayerTable(manifest: manifest)
        #expect(table.rows.map(\.module) == ["WeirBase", "WeirLog", "Weir"])
        #expect(table.rows.map(\.line) == [3, 5, 6])
        #expect(table.dependencies(of: "WeirBase") == [])
        #expect(table.dependencies(of: "Weir") == ["WeirBase", "WeirLog"])
        #expect(table.dependencies(of: "Nothing") == nil)
    }

    @Test func `may have rows of several lines`() {
        let table = LayerTable(
            manifest: "let layers = [\n\"A\": [],\n\"B\": [\n\"A\",  // two\n],\n\"C\": [],\n]")
        #expect(table.rows.map(\.module) == ["A", "B", "C"])
        #expect(table.rows.map(\.line) == [2, 3, 6])
        #expect(table.dependencies(of: "B") == ["A"])
    }

    @Test(arguments: [
        "import WeirRecovery", "package import struct Weir.Store", "import CWeirSystem",
        "@testable import WeirFormat",
    ])
    func `forbids an import that its row does not name`(_ text: String) {
        let rule = SwiftRule.layering(LayerTable(manifest: manifest))
        let findings = rule.findings(path: "Sources/WeirLog/Writer.swift", text: text)
        #expect(findings.count == 1)
        #expect(findings.first?.message.contains("Package.swift does not allow it") == true)
    }

    @Test(arguments: ["import WeirBase", "import Synchronization", "// import Weir"])
    func `allows an import that its row names, and those of others`(_ text: String) {
        let rule = SwiftRule.layering(LayerTable(manifest: manifest))
        #expect(rule.findings(path: "Sources/WeirLog/Writer.swift", text: text) == [])
    }

    @Test func `leaves tests alone`() {
        let rule = SwiftRule.layering(LayerTable(manifest: manifest))
        #expect(rule.findings(path: "Tests/WeirLogTests/A.swift", text: "import Weir") == [])
    }

    @Test func `refuses a row that uses one below it`() {
        let table = LayerTable(manifest: "let layers = [\n\"A\": [\"B\"],\n\"B\": [],\n]")
        #expect(table.findings(modules: []).map(\.line) == [2])
    }

    @Test func `refuses a module without a row`() {
        let findings = LayerTable(manifest: manifest).findings(modules: ["WeirWire", "Weir"])
        #expect(findings.count == 1)
        #expect(findings.first?.message.hasPrefix("WeirWire has no row") == true)
    }
}
