import ArgumentParser
import Foundation
import Weir

struct CompactCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compact",
        abstract: "Keep of each key the latest record, and drop older ones.",
        discussion: """
            For streams that were made with --compact, or were given `weir config STREAM set \
            compaction=on`: the others keep every record. Records without a key stay, offsets do \
            not change, and readers notice only that what a later record superseded is gone. \
            Tombstones (a key without a value) go when their delay is over.

            Without --now, only sealed segments are looked at, and only those are rewritten of \
            which enough is of no more use. A dry run seals nothing, so it leaves the active \
            segment out. If a process has the store open for writing, it does the work beside its \
            appends; otherwise this command does. It may be interrupted at any moment: what was \
            rewritten by then stays, and the rest is done the next time.

            EXAMPLES
              weir compact orders --dry-run
              weir compact orders --now
              weir compact --all --json
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "The stream's name.", completion: streamNames) var stream: String?
    @Flag(help: "Every stream that is compacted.") var all = false
    @Flag(help: "Seal the active segment first, and rewrite whatever holds a superseded record.")
    var now = false
    @Flag(help: "Say what would be done, and do nothing.") var dryRun = false
    @Option(
        help: """
            Memory for keys: 32MiB to half of the machine's, at most 32GiB (default: 128MiB); more \
            passes with less.
            """)
    var mapBytes: ByteSizeArgument?
    @Flag(help: "Print a JSON report.") var json = false

    func validate() throws {
        guard (stream == nil) == all else {
            throw ValidationError("Name a stream, or give --all, and not both.")
        }
    }

    func run() throws {
        var reports: [CompactionReport] = []
        var failedCount = 0
        for name in try names() {
            do throws(WeirError) {
                reports.append(try compact(name))
            } catch {
                try Interrupt.check()
                // One stream's trouble is none of the others'.
                guard all else { throw error }
                Words.say("weir: \(name): \(error)")
                failedCount += 1
            }
            try Interrupt.check()
        }
        try StandardOutput.print(
            json
                ? JSONReport.list(reports.map(\.report)).description + "\n"
                : CompactCommand.table(reports))
        let damaged = reports.flatMap(\.setAside)
        for segment in damaged {
            Words.say(
                "weir: damage: \(segment.path): \(segment.sentence) The segment is set aside by "
                    + "compaction, and tried again the next time")
        }
        let mended = reports.flatMap(\.mended)
        for segment in mended {
            Words.say(
                "weir: damage: \(segment.path): \(segment.sentence) All its records hold, and the "
                    + "compaction \(dryRun ? "would write" : "wrote") them into a new segment")
        }
        if failedCount > 0 { throw ExitRequest(status: ExitStatus.failed) }
        if !damaged.isEmpty || !mended.isEmpty { throw ExitRequest(status: ExitStatus.damage) }
    }

    private func compact(_ name: String) throws(WeirError) -> CompactionReport {
        let bar = CompactionBar(name)
        defer { bar.end() }
        return try Store.compact(
            storeAt: options.path, stream: name,
            CompactionOptions(
                isNow: now, isDryRun: dryRun,
                mapBytes: mapBytes?.bytes ?? Limits.compactionMapBytesDefault),
            progress: { phase, done, all in bar.show(phase, done, all) })
    }

    private func names() throws -> [String] {
        if let stream { return [stream] }
        let opened = try options.open(.read)
        let names = opened.store.compactedStreamNames.map(\.description)
        try opened.store.closeBlocking()
        if names.isEmpty {
            Words.say(
                "weir: no stream of the store is compacted; `weir config STREAM set compaction=on` "
                    + "lets one be")
        }
        return names
    }

    static func table(_ reports: [CompactionReport]) -> String {
        var table = Table([
            "stream", "segments", "", "bytes", "", "records", "gone", "keys", "passes", "written",
            "amplification", "seconds",
        ])
        for report in reports {
            table.add([
                report.stream, "\(report.segmentsBefore)", "→ \(report.segmentsAfter)",
                Numbers.bytes(Int(clamping: report.bytesBefore)),
                "→ \(report.isDryRun ? "about " : "")"
                    + Numbers.bytes(Int(clamping: report.bytesAfter)),
                Numbers.grouped(Int(clamping: report.recordsBefore)),
                Numbers.grouped(Int(clamping: report.recordsRemoved)),
                Numbers.grouped(Int(clamping: report.keys)), "\(report.passes)",
                (report.isDryRun ? "about " : "")
                    + Numbers.bytes(Int(clamping: report.bytesWritten)),
                String(format: "%.2f", report.writeAmplification),
                String(format: "%.1f", report.seconds),
            ])
        }
        return table.text
    }
}

/// Where a compaction is, for a person who waits.
private final class CompactionBar: @unchecked Sendable {
    // @unchecked: one thread shows it, the one that compacts or asks the writer.
    private let stream: String
    private var bar: (bar: ProgressBar, phase: CompactionPhase, total: UInt64)?

    init(_ stream: String) { self.stream = stream }

    /// Says whether anybody still waits.
    func show(_ phase: CompactionPhase, _ done: UInt64, _ total: UInt64) -> Bool {
        if bar?.phase != phase || bar?.total != total {
            bar?.bar.end()
            let verb = phase == .looking ? "look at" : "rewrite"
            bar = (
                ProgressBar("\(verb) \(stream)", total: Int(clamping: total), unit: "bytes"), phase,
                total
            )
        }
        bar?.bar.update(done: Int(clamping: done), records: Int(clamping: done))
        return !Interrupt.isRequested
    }

    func end() { bar?.bar.end() }
}

extension CompactionReport {
    fileprivate var report: JSONReport {
        .object([
            ("stream", .text(stream)), ("dryRun", .flag(isDryRun)),
            ("segmentsBefore", .number(segmentsBefore)),
            ("segmentsAfter", .number(segmentsAfter)),
            ("segmentsRewritten", .number(segmentsRewritten)),
            ("bytesBefore", .number(Int(clamping: bytesBefore))),
            ("bytesAfter", .number(Int(clamping: bytesAfter))),
            ("bytesRead", .number(Int(clamping: bytesRead))),
            ("bytesWritten", .number(Int(clamping: bytesWritten))),
            ("writeAmplification", .ratio(writeAmplification)),
            ("recordsBefore", .number(Int(clamping: recordsBefore))),
            ("recordsRemoved", .number(Int(clamping: recordsRemoved))),
            ("tombstonesRemoved", .number(Int(clamping: tombstonesRemoved))),
            ("recordsWithLongKeys", .number(Int(clamping: recordsWithLongKeys))),
            ("keys", .number(Int(clamping: keys))), ("passes", .number(passes)),
            ("milliseconds", .number(Int(seconds * 1000))),
            ("setAside", .list(setAside.map(\.report))), ("mended", .list(mended.map(\.report))),
        ])
    }
}

extension CompactionReport.SetAside {
    fileprivate var sentence: String { detail.hasSuffix(".") ? detail : detail + "." }

    fileprivate var report: JSONReport {
        .object([
            ("path", .text(path)), ("firstOffset", .number(Int(clamping: offsets.lowerBound))),
            ("endOffset", .number(Int(clamping: offsets.upperBound))), ("detail", .text(detail)),
        ])
    }
}
