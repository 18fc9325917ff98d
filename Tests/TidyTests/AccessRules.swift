import Foundation

extension SwiftRule {
    static let publicModules = ["Weir", "WeirBase", "WeirSQL", "WeirServer", "WeirRemote", "WeirC"]

    static let access = SwiftRule(name: "only what users see is public") { source in
        guard let module = source.module, !publicModules.contains(module) else { return [] }
        return source.tokens.places(of: "public").filter { index in
            // Inlinable code needs `public import`, which shows users nothing.
            source.tokens.text(index - 1) != "." && source.tokens.text(index + 1) != "import"
        }.map { index in
            source.finding(
                line: source.tokens[index].line,
                "`public` in \(module), which users do not import: write `package`")
        }
    }

    /// Where raw memory is touched. Whoever adds a row says why it is safe there.
    static let unsafePlaces: [Permission] = [
        .init("Sources/WeirBase/Lock.swift", because: "a pthread mutex has an address of its own"),
        .init("Sources/WeirFiles/", because: "maps and buffers of system calls are raw memory"),
        .init("Sources/WeirFormat/", because: "LZ4 and ISA-L are C and take pointers"),
        .init("Sources/WeirLog/", because: "it lends mapped bytes, and says how long they live"),
        .init("Sources/Weir/Facade/", because: "its views hand on how long lent bytes live"),
        .init("Sources/Weir/Engine/TailFile.swift", because: "it reads slots through a map"),
        .init("Sources/WeirCLI/Text/", because: "terminals and pipes are reached by system calls"),
        .init("Sources/WeirIndex/SQLStatement.swift", because: "SQLite takes and gives pointers"),
        .init("Sources/WeirCompaction/", because: "it compares and copies lent bytes"),
        .init("Sources/WeirRecovery/ScannedSegment.swift", because: "it looks at mapped bytes"),
        .init("Sources/WeirTesting/", because: "its file systems stand in for the seam"),
        .init("Sources/WeirSQL/", because: "SQLite's virtual tables are C, and take pointers"),
        .init("Sources/WeirC/", because: "it is the boundary to C"),
    ]

    static let rawMemory = SwiftRule(name: "raw memory is touched in few places") { source in
        guard source.module != nil, !unsafePlaces.cover(source.path) else { return [] }
        return source.tokens.places(of: "unsafe").filter { index in
            // `@unsafe`, a member and an argument's label are other words.
            ![".", "@"].contains(source.tokens.text(index - 1))
                && ![":", ")", ","].contains(source.tokens.text(index + 1))
        }.map { index in
            source.finding(
                line: source.tokens[index].line,
                "`unsafe` outside the places listed in `AccessRules.swift`: take a `RawSpan`, or "
                    + "move the access to WeirFiles or WeirFormat, with a line why it is safe")
        }
    }

    static let unchecked = SwiftRule(name: "an unchecked promise gives its reason") { source in
        guard source.module != nil else { return [] }
        let tokens = source.tokens
        return tokens.places(of: "@", "unchecked", "Sendable").filter { index in
            let line = tokens[index].line
            let near = source.comments[(line - 1)..<min(line + 1, source.comments.count)]
            // Shorter than this is no reason.
            return !near.contains { $0.filter(\.isLetter).count >= 12 }
        }.map { index in
            source.finding(
                line: tokens[index].line,
                "`@unchecked Sendable` without its reason: say on the next line who may touch "
                    + "the state and why that is safe")
        }
    }

    static let sleepers: [Permission] = [
        .init("Tests/FlowSoak/", because: "it is no test but a load, that keeps to a schedule"),
        .init("Tests/IndexBench/", because: "it is no test but a benchmark, and waits as users do"),
    ]

    static let sleeps = SwiftRule(name: "tests do not sleep") { source in
        guard source.path.hasPrefix("Tests/"), !sleepers.cover(source.path) else { return [] }
        return ["sleep", "usleep", "nanosleep"].flatMap { name in
            source.tokens.places(of: name, "(").filter { index in
                source.tokens.text(index - 1) != "func"
            }.map { index in
                source.finding(
                    line: source.tokens[index].line,
                    "`\(name)` in a test: wait for the event itself, or hand a clock in")
            }
        }
    }
}
