import ArgumentParser
import Foundation
import Weir

/// How a stream's records travel.
enum MovingFormat: String, ExpressibleByArgument, CaseIterable {
    case ndjson, csv, archive

    /// What a file's name tells, unless the format is named.
    init(_ named: MovingFormat?, file: String?) {
        self = named ?? MovingFormat(endOf: file) ?? .ndjson
    }

    /// `nil` where a file's name tells nothing.
    init?(endOf file: String?) {
        self.init(argument: URL(filePath: file ?? "").pathExtension)
    }

    /// `json` as well: so `read` calls it.
    init?(argument: String) { self.init(rawValue: argument == "json" ? "ndjson" : argument) }

    static let help = ArgumentHelp(
        "ndjson (or json), csv or archive (default: what the file's name ends with, else ndjson).")
}

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a stream's records to a file or a pipe.",
        discussion: """
            ndjson and csv are what `read` prints as json and csv, and have all of a record: its \
            key, headers with their types, its time, binary values, tombstones. Their records get \
            new offsets where they are imported.

            archive has the stream's batches as they are, with its settings and with checksums \
            that show what was cut or altered; imported into a new stream, its records keep their \
            offsets. That of a partitioned stream has all its partitions, one after the other; as \
            ndjson or csv they are merged in the order of the records' times.

            A file bears its name only when it is whole. Until then it is FILE.partial; what an \
            interruption leaves of it is completed by --resume. Beside a file of ndjson or csv \
            stands its checksum, FILE.sha256, for `sha256sum -c` and for `import`; sums of other \
            files that stand there are not written over.

            EXAMPLES
              weir export orders -o orders.archive
              weir export orders --format csv --from time:-1d | gzip > day.csv.gz
              weir export orders -o orders.ndjson --resume
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "The stream's name.", completion: streamNames) var stream: String
    @Option(help: MovingFormat.help) var format: MovingFormat?
    @Option(name: .shortAndLong, help: "The file (default: standard output).", completion: .file())
    var output: String?
    @Option(
        help: ArgumentHelp(StartArgument.help + " (default: first)"),
        completion: .list(StartArgument.kinds))
    var from: StartArgument?
    @Option(help: "offset:N: the first record that is left out; time:T: records before T only.")
    var to: EndArgument?
    @Flag(help: "Go on with what an interrupted export left of the file, if there is any.")
    var resume = false

    private var kind: MovingFormat { MovingFormat(format, file: output) }
    private var start: StartPosition { from?.position ?? .first }
    private var isToFile: Bool { output != nil && output != "-" }

    func validate() throws {
        guard output != "" else {
            throw ValidationError("--output is empty; name a file, or - for standard output.")
        }
        if resume, !isToFile {
            throw ValidationError("--resume goes on with a file; name it with --output.")
        }
        guard kind == .archive else { return }
        if case .time = to {
            throw ValidationError(
                "An archive ends at an offset; give --to offset:N, or another format.")
        }
        if !isToFile, isatty(1) == 1 {
            throw ValidationError("An archive is no text for a terminal; give --output FILE.")
        }
    }

    func run() throws {
        var opened = try options.open(.read)
        let sources = try ReadSources([stream], in: opened.store)
        try sources.note(unknownCursorOf: start, in: opened.store)
        let isResumable = kind == .archive || !sources.isMerged
        guard isResumable || !resume else {
            throw WeirError(
                .invalidArgument,
                "The export of a partitioned stream cannot be resumed; export its partitions, "
                    + "such as \(sources.streams[0].name), or begin anew.")
        }
        do {
            if kind == .archive {
                try writeArchive(&opened)
            } else {
                try writeText(of: sources, &opened)
            }
        } catch let request as ExitRequest where request.status == ExitStatus.interrupted {
            tellEarly(isResumable)
            throw request
        }
        try opened.finish()
    }

    /// What Ctrl-C leaves of a file.
    private func tellEarly(_ isResumable: Bool) {
        guard isToFile, let output else { return }
        let partial = ExportFile.partial(output)
        Words.say(
            "weir: stopped early: \(partial) has what was exported by then; "
                + (isResumable
                    ? "go on with the same command and --resume" : "remove it, and export anew"))
    }

    // MARK: archives

    private func writeArchive(_ opened: inout OpenedStore) throws {
        let isPartitioned = opened.store.partitionedEntry(stream) != nil
        let group = isPartitioned ? try opened.store.partitionedStreamBlocking(stream) : nil
        let source = try group?.partitions[0] ?? opened.store.streamBlocking(stream)
        guard group == nil || to == nil else {
            throw WeirError(
                .invalidArgument,
                "The archive of a partitioned stream goes to the end of each partition; leave --to "
                    + "out, or export one of them, such as \(source.name).")
        }
        let file = try ExportFile(output, isResuming: resume, isSummed: false)
        var export = try begin(source, group, in: file)
        let bar = ProgressBar("export", total: export.offsetsTotal)
        writing: while true {
            try Interrupt.check()
            switch try export.next() {
            case .bytes(let bytes): try file.output.write { $0 += bytes }
            case .gap(let gap): opened.say(gap)
            case .end: break writing
            }
            bar.update(done: export.offsetsDone, records: export.recordCount)
        }
        bar.end()
        try file.finish()
        for report in export.reports { opened.say(report) }
        tell(export.recordCount)
    }

    /// Behind what an earlier export left, or anew.
    private func begin(
        _ source: LogStream, _ group: PartitionedStream?, in file: ExportFile
    ) throws -> ArchiveExport {
        var part = ArchivePart()
        if resume, let left = try file.source() {
            while let piece = try left.piece() { try part.add(piece) }
        }
        if part.byteCount > 0, !part.isComplete {
            try file.goOn(at: part.byteCount)
            guard let group else { return try source.exportArchive(resuming: part) }
            return try group.exportArchive(resuming: part, from: start)
        }
        // One that is complete lacked only its name; it is made again, at its newest.
        try file.goOn(at: 0)
        if let group { return try group.exportArchive(from: start) }
        guard case .offset(let end)? = to else { return try source.exportArchive(from: start) }
        return try source.exportArchive(from: start, to: end)
    }

    // MARK: text

    private func writeText(of sources: ReadSources, _ opened: inout OpenedStore) throws {
        let file = try ExportFile(output, isResuming: resume, isSummed: true)
        let formatter = RecordFormatter(
            format: kind == .csv ? .csv : .json, namesStream: sources.namesStream)
        var printer = RecordPrinter(formatter, output: file.output, from: start, to: to)
        var position = start
        try file.sumUp(behind: 0)
        if resume, let left = try file.source() {
            let part = try WholeText(left, kind)
            try expectOwn(part, in: file, of: sources.streams[0], formatter)
            try file.goOn(at: part.byteCount)
            try file.sumUp(behind: part.byteCount)
            printer.hasHead = part.byteCount > 0
            if let last = part.lastOffset { position = .offset(Offset(last) + 1) }
        }
        if sources.isMerged {
            var cursor = try Store.merged(sources.streams, from: position)
            try opened.forEach(&cursor) { try printer.print($0.record, of: $0.stream) }
            opened.sayReports(of: cursor)
        } else {
            let source = sources.streams[0]
            let first = try source.offset(of: position)
            let bar = ProgressBar(
                "export", total: isToFile || isatty(1) == 0 ? source.endOffset - first : nil)
            try opened.print(source, from: position, &printer, bar, first)
        }
        try printer.finish()
        try file.finish()
        tell(printer.printed)
    }

    /// Throws `invalidArgument` where the last record of what was begun is another one in the
    /// stream. One that retention or compaction has taken since tells nothing.
    private func expectOwn(
        _ part: WholeText, in file: ExportFile, of stream: LogStream, _ formatter: RecordFormatter
    ) throws {
        guard let last = part.lastOffset.map({ Offset($0) }) else { return }
        var isOwn = last < stream.endOffset
        var cursor = try stream.cursor(from: .offset(min(last, stream.endOffset)))
        if case .batch = try cursor.next() {
            var records = cursor.records
            if let record = records.next(), record.offset == last {
                var line: [UInt8] = []
                formatter.append(record.copy(), of: stream.name, to: &line)
                isOwn = try isOwn && file.bytes(before: part.byteCount, line.count) == line
            }
        }
        guard !isOwn else { return }
        throw WeirError(
            .invalidArgument,
            "The export that was begun goes up to offset \(last), and what stands there is not "
                + "what the stream \(stream.name) has: it is of another stream, or was altered. "
                + "Remove what was begun, and export anew.")
    }

    private func tell(_ count: Int) {
        guard isToFile, let output else { return }
        Words.say("weir: exported \(Numbers.records(count)) of \(stream) to \(output)")
    }
}

/// What is whole of a text whose writing was interrupted.
struct WholeText {
    /// Up to here: behind the last whole line or row.
    private(set) var byteCount = 0
    private(set) var lastOffset: UInt64?

    init(_ source: InputSource, _ format: MovingFormat) throws {
        do {
            var parser: any RecordParser =
                format == .csv ? try ExportedCSVParser(source) : NDJSONParser(source)
            if source.endsLine { byteCount = source.bytesTaken }
            while let record = try parser.next(), source.endsLine {
                byteCount = source.bytesTaken
                lastOffset = record.offset
            }
        } catch let error as WeirError where error.code == .malformedInput {
            // Here it was cut.
            return
        }
    }
}
