import ArgumentParser
import Foundation
import Weir

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Look for damage, and say what to do about it.",
        discussion: """
            Changes nothing and takes no lock: works beside a writer, after a crash, and on a \
            store that cannot be opened. Looks at the store's own files, each manifest and \
            directory, each segment's header and footer, the cursors and the index; with --deep \
            at every byte: all checksums, compressed bodies, each record against its batch's \
            header, and each key against the index.

            Exit status 0: healthy; 3: damage was found; 1: it could not be looked at.

            EXAMPLES
              weir verify
              weir verify --deep --json > health.json
              weir verify --deep && weir append orders < more.txt
            """)

    @OptionGroup var options: StoreOptions
    @Flag(help: "Read and prove every byte.") var deep = false
    @Option(help: "Threads that read, 1 to 64.") var threads = 2
    @Flag(help: "Print a JSON report.") var json = false

    func validate() throws {
        guard (1...64).contains(threads) else {
            throw ValidationError("--threads is \(threads); expected 1 to 64.")
        }
    }

    func run() throws {
        let bar = SharedProgressBar("verify")
        let start = Date()
        let report = try Store.verify(at: options.path, deep: deep, threads: threads) { figures in
            bar.update(figures.bytes, of: figures.totalBytes, records: figures.records)
            return !Interrupt.isRequested
        }
        bar.end()
        try Interrupt.check()
        let seconds = Date().timeIntervalSince(start)
        try StandardOutput.print(
            json ? report.report(seconds).description + "\n" : report.text(seconds))
        if !report.isHealthy { throw ExitRequest(status: ExitStatus.damage) }
    }
}

/// A progress bar for work of several threads.
final class SharedProgressBar: Sendable {
    private let label: String
    private let bar = Lock<ProgressBar?>(nil)

    init(_ label: String) { self.label = label }

    /// What a thread tells late changes nothing but the picture.
    func update(_ done: Int, of total: Int, records: Int) {
        bar.withLock { bar in
            let shown = bar ?? ProgressBar(label, total: total)
            bar = shown
            shown.update(done: done, records: records)
        }
    }

    func end() { bar.withLock { $0?.end() } }
}

extension VerifyReport {
    func text(_ seconds: Double) -> String {
        let lines = findings.flatMap(\.lines)
        let damage = findings.count(where: \.isDamage)
        let notes = findings.count - damage
        var summary = damage == 0 ? "healthy" : "\(damage) damaged"
        if notes > 0 { summary += ", \(notes) to know of" }
        summary += ": \(Self.count(streamCount, "stream")), \(Self.count(segmentCount, "segment"))"
        if isDeep {
            summary +=
                ", \(Numbers.records(recordCount)), \(Numbers.bytes(byteCount)) read in "
                + String(format: "%.1f s", seconds)
        }
        if hasLiveWriter { summary += ", beside a writer" }
        if let indexTrouble { summary += "\nthe index was not looked at: \(indexTrouble)" }
        return (lines + [summary]).joined(separator: "\n") + "\n"
    }

    private static func count(_ number: Int, _ noun: String) -> String {
        Numbers.grouped(number) + " " + noun + (number == 1 ? "" : "s")
    }

    func report(_ seconds: Double) -> JSONReport {
        .object([
            ("healthy", .flag(isHealthy)), ("deep", .flag(isDeep)),
            ("writer", .flag(hasLiveWriter)), ("streams", .number(streamCount)),
            ("segments", .number(segmentCount)), ("records", .number(recordCount)),
            ("bytes", .number(byteCount)),
            ("indexTrouble", indexTrouble.map { .text($0) } ?? .null),
            ("milliseconds", .number(Int(seconds * 1000))),
            ("findings", .list(findings.map(\.report))),
        ])
    }
}

extension DamageReport {
    /// What was found, and what to do.
    var lines: [String] {
        ["\(isDamage ? "DAMAGE" : "note  ")  \(kind.rawValue)  \(self)", "        \(advice)"]
    }

    var report: JSONReport {
        func range(_ range: Range<UInt64>?) -> JSONReport {
            guard let range else { return .null }
            return .list([
                .number(Int(clamping: range.lowerBound)), .number(Int(clamping: range.upperBound)),
            ])
        }
        return .object([
            ("kind", .text(kind.rawValue)), ("damage", .flag(isDamage)),
            ("stream", stream.isEmpty ? .null : .text(stream)), ("path", .text(path)),
            ("bytes", range(bytes)), ("offsets", range(offsets)), ("detail", .text(detail)),
            ("advice", .text(advice)),
        ])
    }
}
