import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// What the index is worth: each command plays one scene and prints one line of JSON a figure, with
/// its target where there is one.
///
///     weir-bench-index keys --dir FOLDER --records 10000000 --batch 100
///     weir-bench-index lag --dir FOLDER --records 5000000
///     weir-bench-index growth --dir FOLDER --records 100000000
@main
enum IndexBench {
    static let usage = """
        usage: weir-bench-index SCENE --dir FOLDER [--records N] [--batch N] [--bytes N]
        scenes: keys lag growth offsets rebuild fill-streams streams append sqlite size
            foreground
            compact-fill, compact-check: [--random N | --turns N | --dead PERCENT] [--lag SECONDS]
        """

    static func main() {
        do {
            let arguments = try Arguments(Array(CommandLine.arguments.dropFirst()))
            switch arguments.command {
            case "keys": try KeyScene(arguments).play()
            case "lag": try LagScene(arguments).play()
            case "growth": try GrowthScene(arguments).play()
            case "offsets": try OffsetScene(arguments).play()
            case "rebuild": try RebuildScene(arguments).play()
            case "fill-streams": try StreamScene(arguments).fill()
            case "streams": try StreamScene(arguments).play()
            case "append": try AppendScene(arguments).play()
            case "sqlite": try TableScene(arguments).play()
            case "size": if try !SizeScene(arguments).play() { exit(1) }
            case "compact-fill": try CompactScene(arguments).fill()
            case "compact-check": try CompactScene(arguments).check()
            case "foreground": try ForegroundScene(arguments).play()
            default: throw Usage("There is no scene \(arguments.command).\n" + usage)
            }
        } catch {
            FileHandle.standardError.write(Data("weir-bench-index: \(error)\n".utf8))
            exit(2)
        }
    }
}

struct Usage: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

struct Arguments {
    let command: String
    private(set) var folder = ""
    private(set) var records = 10_000_000
    /// Records of a batch.
    private(set) var batch = 100
    /// Of a record's value.
    private(set) var bytes = 100
    /// Which keys the records of a compaction have, and how young they may be.
    private(set) var pattern: CompactRecords.Pattern?
    private(set) var lagSeconds = 86_400

    init(_ words: [String]) throws {
        guard let first = words.first, words.count % 2 == 1 else { throw Usage(IndexBench.usage) }
        command = first
        for index in stride(from: 1, to: words.count, by: 2) {
            let value = words[index + 1]
            switch words[index] {
            case "--dir": folder = value
            case "--records": records = Int(value) ?? 0
            case "--batch": batch = Int(value) ?? 0
            case "--bytes": bytes = Int(value) ?? 0
            case "--random": pattern = .random(keyCount: try Self.count(value))
            case "--turns": pattern = .turns(keyCount: try Self.count(value))
            case "--dead": pattern = .dead(percent: try Self.count(value))
            case "--lag": lagSeconds = Int(value) ?? 0
            default: throw Usage(IndexBench.usage)
            }
        }
        guard !folder.isEmpty, records >= 1000, batch > 0, bytes > 0 else {
            throw Usage(IndexBench.usage)
        }
    }

    private static func count(_ text: String) throws -> UInt64 {
        guard let count = UInt64(text), count > 0 else { throw Usage(IndexBench.usage) }
        return count
    }
}

/// A line of the report.
struct Figure {
    let scene: String
    let name: String
    let value: Double
    let unit: String
    /// What it should reach, as a person reads it.
    var target = ""

    func print() {
        let rounded = (value * 100).rounded() / 100
        Swift.print(
            "{\"scene\":\"\(scene)\",\"figure\":\"\(name)\",\"value\":\(rounded),"
                + "\"unit\":\"\(unit)\",\"target\":\"\(target)\"}")
    }
}

/// How long calls took, in microseconds: by the clock, and of the processor's time alone, which is
/// what remains where others use the machine meanwhile.
struct Samples {
    private var elapsed: [Double] = []
    private var processor: [Double] = []

    mutating func measure(_ body: () throws -> Void) rethrows {
        let (start, startOwn) = (now(CLOCK_MONOTONIC), now(CLOCK_THREAD_CPUTIME_ID))
        try body()
        processor.append(now(CLOCK_THREAD_CPUTIME_ID) - startOwn)
        elapsed.append(now(CLOCK_MONOTONIC) - start)
    }

    private func now(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
    }

    /// Medians and 99th percentiles under a name; the last, of the processor's time, comes back.
    @discardableResult
    func report(_ scene: String, _ name: String, target: String) -> Double {
        var last = 0.0
        for (samples, what) in [(elapsed, ""), (processor, ", processor")] {
            for (perMille, quantile) in [(500, "median"), (990, "p99")] {
                last = Self.quantile(samples, perMille)
                Figure(
                    scene: scene, name: "\(name), \(quantile)\(what)", value: last, unit: "us",
                    target: perMille == 990 ? target : ""
                ).print()
            }
        }
        return last
    }

    /// Below it are so many of a thousand, by the clock.
    func quantile(perMille: Int) -> Double { Self.quantile(elapsed, perMille) }

    private static func quantile(_ samples: [Double], _ perMille: Int) -> Double {
        let sorted = samples.sorted()
        return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, sorted.count * perMille / 1000)]
    }
}

extension Duration {
    var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
