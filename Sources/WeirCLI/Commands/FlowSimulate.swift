import Foundation
import Weir
import WeirFlow

/// Runs the simulated loads, prints what came of them, and draws it.
///
/// The table goes to standard output, the series to `flow.json` in a folder, and pictures beside
/// it, which `tools/flow-plots` makes.
package enum FlowSimulate {
    /// All patterns where none is named. Throws when there are no pictures, the numbers kept.
    package static func run(output: String, patterns names: [String], seed: UInt64) throws {
        try run(output: output, patterns: names, seed: seed, script: FlowPlots.nearestScript)
    }

    static func run(output: String, patterns names: [String], seed: UInt64, script: URL?) throws {
        let patterns = try patterns(named: names)
        let folder = URL(fileURLWithPath: output, isDirectory: true)
        try makeFolder(folder)
        var results: [SimulationResult] = []
        let policies = [.adaptive] + FlowSimulation.controls
        let bar = ProgressBar("simulate", total: patterns.count * policies.count, unit: "runs")
        for pattern in patterns {
            for policy in policies {
                try Interrupt.check()
                results.append(
                    FlowSimulation().run(pattern: pattern, policy: policy, seed: seed))
                bar.update(done: results.count, records: results.count)
            }
        }
        bar.end()
        try StandardOutput.print(table(of: results))
        let data = folder.appendingPathComponent("flow.json")
        try write(results, to: data)
        try FlowPlots.draw(data, into: folder, script: script)
    }

    /// Those of these names; all where none is named.
    static func patterns(named names: [String]) throws(WeirError) -> [LoadPattern] {
        if names.isEmpty { return LoadPattern.allCases }
        var patterns: [LoadPattern] = []
        for name in names {
            guard let pattern = LoadPattern(rawValue: name) else {
                let known = LoadPattern.allCases.map(\.rawValue).joined(separator: ", ")
                throw WeirError(
                    .invalidArgument, "There is no load pattern \(name); there are \(known).")
            }
            patterns.append(pattern)
        }
        return patterns
    }

    static func table(of results: [SimulationResult]) -> String {
        var table = Table([
            "pattern", "policy", "within budget", "records/s", "swings", "final window",
        ])
        for result in results {
            table.add([
                result.pattern.rawValue, result.policy.description,
                String(format: "%.2f %%", result.withinBudget * 100),
                Numbers.grouped(Int(result.recordsPerSecond)),
                String(format: "%.2f", result.swings), Numbers.bytes(result.finalWindowBytes),
            ])
        }
        return table.text
    }

    /// What the system said, below Foundation's own words.
    fileprivate static func reason(_ error: any Error) -> String {
        let inner = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
        return (inner ?? error as NSError).localizedDescription
    }

    private static func makeFolder(_ folder: URL) throws(WeirError) {
        do {
            try FileManager.default.createDirectory(
                at: folder, withIntermediateDirectories: true)
        } catch {
            throw WeirError(
                .system,
                "The folder \(folder.path) for the results could not be made; name another that "
                    + "this user may write to", cause: reason(error))
        }
    }

    private static func write(_ results: [SimulationResult], to file: URL) throws(WeirError) {
        let report = JSONReport.list(results.map(\.report)).description + "\n"
        do {
            try Data(report.utf8).write(to: file, options: .atomic)
        } catch {
            throw WeirError(
                .system,
                "The results could not be written to \(file.path); make room, or name another "
                    + "folder", cause: reason(error))
        }
    }
}

/// Has the pictures drawn by the script in the source tree: Weir has no drawing of its own.
enum FlowPlots {
    static func draw(_ data: URL, into folder: URL, script: URL?) throws(WeirError) {
        guard let script else {
            throw WeirError(
                .notFound,
                "The numbers are in \(data.path), but there is no tools/flow-plots in a folder "
                    + "above this program to draw them; run the program from a source tree, or "
                    + "that script by hand.")
        }
        let root = script.deletingLastPathComponent().deletingLastPathComponent()
        let python = root.appendingPathComponent(".venv/bin/python").path
        let hasOwn = FileManager.default.isExecutableFile(atPath: python)
        let process = Process()
        process.executableURL = hasOwn ? URL(fileURLWithPath: python) : script
        process.arguments = (hasOwn ? [script.path] : []) + [data.path, folder.path]
        // Standard output is for the table.
        process.standardOutput = FileHandle.standardError
        do {
            try process.run()
        } catch {
            throw WeirError(
                .system,
                "The numbers are in \(data.path), but \(script.path) could not be run; make it "
                    + "executable, and run it with \(data.path) and \(folder.path)",
                cause: FlowSimulate.reason(error))
        }
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw WeirError(
                .system,
                "The numbers are in \(data.path), but \(script.path) drew no pictures of them "
                    + "(status \(process.terminationStatus)): mend what it says above, and run it "
                    + "again with \(data.path) and \(folder.path).")
        }
    }

    /// `tools/flow-plots` in the nearest folder above a file.
    static func script(above file: URL) -> URL? {
        var folder = file.standardizedFileURL.deletingLastPathComponent()
        while true {
            let script = folder.appendingPathComponent("tools/flow-plots")
            if FileManager.default.fileExists(atPath: script.path) { return script }
            let parent = folder.deletingLastPathComponent().standardizedFileURL
            if parent.path == folder.path { return nil }
            folder = parent
        }
    }

    /// The one that belongs to this program, links to it followed.
    static var nearestScript: URL? {
        let program = CommandLine.arguments.first ?? ""
        let file = Bundle.main.executableURL ?? URL(fileURLWithPath: program)
        return script(above: file.resolvingSymlinksInPath())
    }
}

extension SimulationResult {
    /// Numbers as text of few digits would be strings in JSON: these are whole, in small units.
    var report: JSONReport {
        func whole(_ value: Double) -> JSONReport { .number(Int(value.rounded())) }
        return .object([
            ("pattern", .text(pattern.rawValue)), ("policy", .text(policy.description)),
            ("seed", .text("\(seed)")), ("consumers", .number(pattern.consumerCount)),
            ("latencyBudgetMicroseconds", whole(latencyBudgetMilliseconds * 1_000)),
            ("withinBudgetPartsPerMillion", whole(withinBudget * 1e6)),
            ("settledRecords", .number(settledRecords)),
            ("recordsPerSecond", whole(recordsPerSecond)),
            ("swingsThousandths", whole(swings * 1_000)),
            ("finalWindowBytes", .number(finalWindowBytes)), ("steps", .number(steps)),
            ("signals", .object(signals.map { ($0.kind.rawValue, .number($0.count)) })),
            ("startMicroseconds", .list(series.map { whole($0.startMilliseconds * 1_000) })),
            ("windowBytes", .list(series.map { whole($0.windowBytes) })),
            ("occupiedBytes", .list(series.map { whole($0.occupiedBytes) })),
            ("p50Microseconds", .list(series.map { whole($0.p50Milliseconds * 1_000) })),
            ("p99Microseconds", .list(series.map { whole($0.p99Milliseconds * 1_000) })),
            ("records", .list(series.map { .number($0.records) })),
            ("starvedMicroseconds", .list(series.map { whole($0.starvedMilliseconds * 1_000) })),
            (
                "occupancyMicroseconds",
                .list(series.map { .list($0.occupancyMilliseconds.map { whole($0 * 1_000) }) })
            ),
        ])
    }
}
