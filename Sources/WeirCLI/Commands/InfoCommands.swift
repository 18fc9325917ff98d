import ArgumentParser
import Foundation
import Weir

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List the streams of the store.",
        discussion: """
            A partitioned stream has one row, with the sums of its partitions.

            EXAMPLES
              weir ls
              weir ls --json
              weir ls --all           # each partition, and Weir's own streams
            """)

    @OptionGroup var options: StoreOptions
    @Flag(help: "Print a JSON report.") var json = false
    @Flag(help: "List partitions one by one, and Weir's own streams (weir.…) too.")
    var all = false

    func run() throws {
        let opened = try options.open(.read)
        let infos = try opened.store.streamNames.filter { all || !$0.isSystem }.map {
            try opened.store.streamBlocking($0.description).info()
        }
        let list = StreamList(infos, groups: all ? [] : opened.store.partitionedStreams)
        try StandardOutput.print(json ? list.report.description + "\n" : list.text)
        try opened.finish()
    }
}

struct InfoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Say what is in the store, or in one stream.",
        discussion: """
            Tells what manifests and footers say, and reads no record: damage in one \
            shows when it is read. `weir verify --deep` reads and proves them all.

            Of a partitioned stream it tells how records are spread over the partitions: a \
            share far above the others is a hot spot.

            EXAMPLES
              weir info
              weir info orders
              weir info orders --json
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "A stream; all of them without it.", completion: streamNames)
    var stream: String?
    @Flag(help: "Print a JSON report.") var json = false

    func run() throws {
        let opened = try options.open(.read)
        let store = opened.store
        var names = stream.map { [$0] } ?? store.streamNames.map(\.description)
        var reports: [PartitionReport] = []
        for group in store.partitionedStreams where stream ?? "\(group.name)" == "\(group.name)" {
            // One that is not whole shows by its partitions, and says why when it is named.
            guard stream != nil || group.isWhole else { continue }
            reports.append(try store.partitionedStreamBlocking("\(group.name)").report())
            let partitions = Set(group.partitions.map(\.description) + ["\(group.name)"])
            names.removeAll { partitions.contains($0) }
        }
        let infos = try names.map { try store.streamBlocking($0).info() }
        let index = store.indexReport()
        if json {
            let report = JSONReport.object([
                ("store", .text(store.path)), ("writer", .flag(store.hasLiveWriter)),
                ("index", index.report),
                ("streams", .list(infos.map { $0.report(withSegments: true) })),
                ("partitioned", .list(reports.map(\.report))),
            ])
            try StandardOutput.print(report.description + "\n")
        } else {
            var text = "store     \(store.path)\n"
            text += "writer    \(store.hasLiveWriter ? "open" : "none")\n"
            text += "index     \(index.text)\n"
            for report in reports { text += "\n" + report.text }
            for info in infos { text += "\n" + info.text }
            try StandardOutput.print(text)
        }
        try opened.finish()
    }
}

extension StreamInfo {
    func report(withSegments: Bool) -> JSONReport {
        var members: [(String, JSONReport)] = [
            ("stream", .text(name)), ("records", .number(recordCount)),
            ("first", .number(Int(clamping: firstOffset.value))),
            ("end", .number(Int(clamping: endOffset.value))),
            ("logicalBytes", .number(logicalBytes)), ("allocatedBytes", .number(allocatedBytes)),
            ("compression", .text(configuration.compression.rawValue)),
            ("durability", .text(configuration.durabilityText)),
        ]
        if withSegments { members.append(("segments", .list(segments.map(\.report)))) }
        return .object(members)
    }

    var text: String {
        var lines = "stream    \(name)\n"
        lines += "offsets   \(firstOffset) to \(endOffset)\n"
        lines += "records   \(Numbers.grouped(recordCount))\n"
        lines +=
            "bytes     \(Numbers.bytes(logicalBytes)) logical, "
            + "\(Numbers.bytes(allocatedBytes)) allocated, \(Numbers.bytes(rawBytes)) unpacked\n"
        lines +=
            "settings  \(configuration.durabilityText), compression "
            + "\(configuration.compression.rawValue), segments of "
            + "\(Numbers.bytes(configuration.segmentBytes))\n"
            + "indexed   \(indexed)\n"
            + (configuration.compaction.map { "compacted \($0.text)\n" } ?? "")
        var table = Table(["segment", "state", "first", "end", "records", "bytes", "from", "to"])
        for segment in segments {
            table.add([
                segment.id, segment.state, "\(segment.base)",
                "\(segment.endOffset)", Numbers.grouped(segment.recordCount),
                Numbers.bytes(segment.logicalBytes), second(segment.firstTime),
                second(segment.lastTime),
            ])
        }
        return lines + table.text
    }

    private var indexed: String {
        let headers = configuration.indexedHeaders.map { "the header \($0)" }
        let fields = (configuration.keyIndex ? ["keys"] : []) + headers
        return fields.isEmpty ? "nothing" : fields.joined(separator: ", ")
    }

    /// To the second, as a terminal is not wide; `--json` has all digits.
    private func second(_ time: Timestamp?) -> String {
        guard let time else { return "-" }
        return String(time.description.prefix(19)) + "Z"
    }
}

extension CompactionPolicy {
    fileprivate var text: String {
        "by key: segments with \(dirtyPercent) % of no more use, records older than "
            + "\(Numbers.duration(lagSecondsMin)), tombstones for "
            + Numbers.duration(tombstoneSecondsMin)
    }
}

extension IndexReport {
    /// One line: the file, and how far it is behind.
    var text: String {
        guard let generation else { return "none (\(trouble ?? "nothing has keys"))" }
        let state = lag == 0 ? "up to date" : "\(Numbers.records(lag)) behind"
        return "generation \(generation), \(state)"
    }

    var report: JSONReport {
        .object([
            ("generation", generation.map { .number(Int(clamping: $0)) } ?? .null),
            ("trouble", trouble.map { .text($0) } ?? .null),
            (
                "streams",
                .list(
                    streams.map {
                        .object([
                            ("stream", .text($0.name.description)),
                            ("first", .number(Int(clamping: $0.covered.lowerBound.value))),
                            ("end", .number(Int(clamping: $0.covered.upperBound.value))),
                            ("lag", .number($0.lag)),
                        ])
                    })
            ),
        ])
    }
}

extension SegmentInfo {
    var state: String { isMissing ? "missing" : isSealed ? "sealed" : "active" }

    var report: JSONReport {
        .object([
            ("id", .text(id)), ("path", .text(path)), ("sealed", .flag(isSealed)),
            ("missing", .flag(isMissing)),
            ("first", .number(Int(clamping: base.value))),
            ("end", .number(Int(clamping: endOffset.value))), ("records", .number(recordCount)),
            ("logicalBytes", .number(logicalBytes)), ("allocatedBytes", .number(allocatedBytes)),
            ("rawBytes", .number(rawBytes)),
            ("firstTime", firstTime.map { .text($0.description) } ?? .null),
            ("lastTime", lastTime.map { .text($0.description) } ?? .null),
        ])
    }
}

extension StreamConfiguration {
    var durabilityText: String {
        switch durability {
        case .durable: "durable"
        case .flushed: "flushed"
        case .interval(let milliseconds): "interval:\(milliseconds)"
        }
    }
}

struct DumpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Print a segment's batches field by field, damaged ones too.",
        discussion: """
            EXAMPLES
              weir dump weir-data/streams/*/00000000000000000000-*.segment
              weir dump SEGMENT --json
            """)

    @Argument(help: "Segment files.", completion: .file(extensions: ["segment"]))
    var segments: [String]
    @Flag(help: "Print a JSON object a batch.") var json = false

    func run() throws {
        var damaged = false
        let output = StandardOutput()
        for segment in segments {
            if isDirectory(segment) {
                throw WeirError(
                    .invalidArgument,
                    "\(segment) is a directory; name segment files, as those of a store are: "
                        + "STORE/streams/*/*.segment.")
            }
            let size = try SegmentDump.byteCount(ofFileAt: segment)
            let bar = ProgressBar("dump", total: size, unit: "parts")
            var parts = 0
            try SegmentDump.forEach(inFileAt: segment) { item in
                try Interrupt.check()
                if item.isDamaged { damaged = true }
                try output.write { $0 += Array((line(item) + "\n").utf8) }
                parts += 1
                if isatty(1) == 0 { bar.update(done: item.position, records: parts) }
            }
            bar.end()
        }
        try output.flush()
        if damaged { throw ExitRequest(status: ExitStatus.damage) }
    }

    private func line(_ item: SegmentDump.Item) -> String {
        guard json else {
            return item.fields.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        }
        return JSONReport.object(item.fields.map { ($0.name, .text($0.value)) }).description
    }
}
