import Testing

/// What a Swift rule finds in bad samples and leaves alone in good ones.
struct Sample: Sendable, CustomTestStringConvertible {
    let rule: SwiftRule
    let path: String
    let bad: [String]
    let good: [String]

    var testDescription: String { rule.name }

    init(_ rule: SwiftRule, at path: String, bad: [String], good: [String]) {
        self.rule = rule
        self.path = path
        self.bad = bad
        self.good = good
    }
}

@Suite("A house rule")
struct RuleTests {
    @Test(arguments: Sample.all)
    func `finds each bad sample once and leaves the good ones alone`(_ sample: Sample) {
        for text in sample.bad {
            let findings = sample.rule.findings(path: sample.path, text: text)
            #expect(findings.count == 1, "\(text)")
        }
        for text in sample.good {
            #expect(sample.rule.findings(path: sample.path, text: text) == [], "\(text)")
        }
    }

    @Test func `has samples, whichever it is`() {
        let sampled = Set(Sample.all.map(\.rule.name))
        #expect(Set(SwiftRule.all.map(\.name)).subtracting(sampled) == [])
    }

    @Test func `names the place and the remedy`() {
        let text = "let a = 1\nlet b = c!\n"
        let findings = SwiftRule.unwrapping.findings(path: "Sources/Weir/A.swift", text: text)
        #expect(findings.map(\.line) == [2])
        #expect("\(findings[0])".hasPrefix("Sources/Weir/A.swift:2: `!` traps on nil: use"))
    }

    @Test(arguments: [SwiftRule.swallowing, .trapping, .unwrapping, .printing, .tasks])
    func `on calls leaves tests alone`(_ rule: SwiftRule) {
        let text = "let a = try! f(b!); print(try? a); Task { fatalError(\"\") }"
        #expect(rule.findings(path: "Tests/WeirTests/A.swift", text: text) == [])
    }
}

extension Sample {
    private static let log = "Sources/WeirLog/Writer.swift"
    static let all = sizes + calls + places

    private static let sizes: [Sample] = [
        Sample(
            .lineLength, at: log,
            bad: [String(repeating: "x", count: 101)],
            good: [
                String(repeating: "ü", count: 100),
                "// https://example.org/" + String(repeating: "x", count: 100),
            ]),
        Sample(
            .functionLength, at: log,
            bad: [
                body("func f() {", lines: 69), body("init?(a: Int = g { 1 }) {", lines: 69),
                body("deinit {", lines: 69), "func f(\n  a: Int\n)\n" + body("-> Int {", lines: 66),
            ],
            good: [
                body("func f() {", lines: 68), body("struct S {", lines: 200),
                "protocol P {\n  func f() -> [Int]\n}\n" + body("struct S {", lines: 99),
                body("let a = S.init(1); struct S {", lines: 99),
            ]),
        Sample(
            .fileLength, at: log,
            bad: [String(repeating: "\n", count: 401)],
            good: [String(repeating: "\n", count: 400), String(repeating: "\n", count: 399) + "a"]),
        Sample(
            .fileLength, at: "Tests/WeirTests/A.swift",
            bad: [String(repeating: "\n", count: 501)], good: [String(repeating: "\n", count: 500)]
        ),
    ]

    private static func body(_ head: String, lines: Int) -> String {
        head + "\n" + String(repeating: "let a = \"}\"\n", count: lines) + "}\n"
    }

    private static let calls: [Sample] = [
        Sample(
            .swallowing, at: log,
            bad: [
                "let a = try? f()", "do { f() } catch {}", "do { f() } catch {\n // so what\n}",
                "do { f() } catch let error as Failure { }",
            ],
            good: ["try f()", "catch { throw error }", "// try? f()", "\"try? catch {}\"", "{}"]),
        Sample(
            .trapping, at: log,
            bad: ["try! f()", "fatalError(\"no\")"],
            good: [
                "precondition(a)", "try !f()", "#\"fatalError()\"#",
                "/* try! /* deep */ fatalError() */",
            ]),
        Sample(
            .unwrapping, at: log,
            bad: [
                "a!", "a()!.b", "a[1]!", "a as! B", "var a: Int!", "a?.b!", "\"\\(a!)\"", "a!.b",
                "`in`!",
            ],
            good: [
                "a != b", "a!=b", "!a", "f(!a)", "a && !b", "a ? !b : c", "\"a!\"", "// a!",
                "\"\"\"\n a!\n \"\"\"", "#\"a!\"#", "if a { !b }", "func `works!`() {}", "#/a!/#",
            ]),
        Sample(
            .printing, at: log,
            bad: ["print(a)", "debugPrint(a)", "dump(a)"],
            good: ["self.print(a)", "func print(_ a: Int)", "printed(a)", "// print(a)"]),
        Sample(
            .tasks, at: log,
            bad: ["Task { await f() }", "Task(priority: .low) { }", "Task.detached { }"],
            good: ["let a: Task<Void, Never>", "Task.isCancelled", "try await Task.sleep(for: a)"]),
        Sample(
            .unfinished, at: log,
            bad: [
                "// TO" + "DO: more", "let a = \"not" + " implemented\"", "// good for" + " now",
            ],
            good: ["for" + " now in times { }", "\"weir-" + "XX" + "XXXX\"", "// for nowhere"]),
    ]

    private static let places: [Sample] = [
        Sample(
            .foundation, at: log,
            bad: ["import Foundation", "package import struct FoundationEssentials.Data"],
            good: ["import WeirBase", "// import Foundation"]),
        Sample(
            .foundation, at: "Sources/Weir/Store.swift", bad: [], good: ["import Foundation"]),
        Sample(.systemLibraries, at: log, bad: ["import Glibc", "import Darwin"], good: []),
        Sample(
            .systemLibraries, at: "Sources/WeirBase/Lock.swift", bad: [], good: ["import Glibc"]),
        Sample(.network, at: log, bad: ["import NIOCore"], good: ["import WeirBase"]),
        Sample(
            .access, at: log,
            bad: ["public struct A {}"],
            good: ["package struct A {}", "let a = B.public", "// public", "public import A"]),
        Sample(
            .rawMemory, at: "Sources/WeirBase/Limits.swift",
            bad: ["let a = unsafe f()", "return unsafe b.c"],
            good: ["@unsafe struct A {}", "f(unsafe: 1)", "// unsafe f()"]),
        Sample(
            .rawMemory, at: "Sources/WeirFiles/Map.swift", bad: [], good: ["let a = unsafe f()"]),
        Sample(
            .unchecked, at: log,
            bad: ["class A: @unchecked Sendable {\n", "class A: @unchecked Sendable {}  // ok"],
            good: ["class A: @unchecked Sendable {\n    // State is touched under the lock only."]),
        Sample(
            .sleeps, at: "Tests/WeirTests/A.swift",
            bad: ["try await Task.sleep(for: .seconds(1))", "usleep(5)", "Thread.sleep(1)"],
            good: ["// sleep(1)", "let sleep = 1", "func sleep() {}"]),
    ]
}
