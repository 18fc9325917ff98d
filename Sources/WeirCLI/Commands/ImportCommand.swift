import ArgumentParser
import Foundation
import Weir

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Put what `export` wrote into a stream.",
        discussion: """
            A stream that does not exist is made: by an archive with the settings, the partitions \
            and the offsets that it had, by ndjson and csv with the usual ones. Into a stream that \
            exists, records are appended at its end. An archive is known by its first bytes, under \
            any name and through a pipe.

            The same command again goes on where an interrupted one ended, and appends nothing \
            twice: an archive's batches tell how far its stream has come, and a file of ndjson or \
            csv is known by its content. Text from a pipe is known by --producer.

            An archive that was cut or altered is imported up to that place, and what is wrong is \
            said. A file of ndjson or csv beside which FILE.sha256 stands is held against that \
            before anything is imported. Other csv files, and lines, are for `append`.

            EXAMPLES
              weir import orders orders.archive
              weir import orders orders.ndjson
              gunzip -c day.csv.gz | weir import orders --format csv --producer day-27
              weir export a --format archive | ssh host weir import a --format archive
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "The stream's name; made if there is none.", completion: streamNames)
    var stream: String
    @Argument(help: "The file, or - for standard input.", completion: .file()) var file: String?
    @Option(help: MovingFormat.help) var format: MovingFormat?
    @Option(help: "ndjson, csv: the name under which the input is known.") var producer: String?

    func validate() throws {
        try expectText(MovingFormat(format, file: file))
    }

    private func expectText(_ kind: MovingFormat) throws {
        guard kind != .archive || producer == nil else {
            throw ValidationError("An archive is known by itself; leave --producer out.")
        }
    }

    func run() throws {
        try Store.expectUserName(stream)
        let source = try InputSource(path: file)
        // An archive says itself that it is one, through a pipe and under any name.
        let isArchive = try format == nil && source.begins(with: ArchiveImport.magic)
        let kind = isArchive ? .archive : MovingFormat(format, file: file)
        try expectText(kind)
        guard try format != nil || MovingFormat(endOf: file) != nil || source.peek() != nil else {
            throw WeirError(
                .malformedInput,
                "The input is empty, as no archive is, and nothing says that it is text; name its "
                    + "--format if it is that of a stream without records.")
        }
        if kind == .archive { try bringArchive(source) } else { try bringText(source, kind) }
    }

    private func bringArchive(_ source: InputSource) throws {
        try ArchiveImport.expectHead(source.peek(upTo: ArchiveImport.headBytesMax))
        let opened = try options.open(making: stream)
        let bar = ProgressBar("import", total: source.totalBytes)
        do {
            var moving = try ArchiveMoving(opened.store, into: stream)
            try moving.run(bar) {
                source.bytesTaken
            } from: {
                try source.piece()
            }
        } catch {
            // Whatever came is durable then.
            throw opened.closed(after: error)
        }
        try opened.finish()
    }

    private func bringText(_ source: InputSource, _ kind: MovingFormat) throws {
        // A pipe is not opened a second time.
        let content = source.totalBytes == nil ? nil : try provenContent()
        let name = producer ?? content?.description
        let parser = try ImportParser(source, kind)
        let opened = try options.open(making: stream)
        let appender = try Appender(
            stream, in: opened.store, creating: StreamConfiguration(), producer: name,
            batchRecords: 1000)
        do {
            try opened.append(
                parser, of: source, to: appender, ProgressBar("import", total: source.totalBytes),
                tell: appender.tellImport)
        } catch let error as WeirError where error.code == .malformedInput {
            // Nothing is skipped here.
            throw error.advising("")
        }
    }

    /// The file's content, held against the checksum beside it; `nil` for a pipe.
    private func provenContent() throws -> ContentName? {
        guard let content = try ContentName(file), let file else { return nil }
        if ChecksumFile.exists(beside: file) {
            try ChecksumFile.expect(content.digest, of: file)
        }
        return content
    }
}

/// An archive's way into a stream, from a file or another stream.
struct ArchiveMoving: ~Copyable {
    private var target: ArchiveImport
    private let verb: String

    init(_ store: Store, into stream: String, verb: String = "imported") throws {
        target = try store.importArchive(into: stream)
        self.verb = verb
    }

    /// Takes pieces up to the end, and says what became of them.
    mutating func run(
        _ bar: ProgressBar, done: () -> Int, from piece: () throws -> [UInt8]?
    ) throws {
        defer { bar.end() }
        do {
            while let bytes = try piece() {
                try Interrupt.check()
                try target.add(bytes)
                bar.update(done: done(), records: target.outcome?.recordCount ?? 0)
            }
            let outcome = try target.finish()
            bar.end()
            tell(outcome)
        } catch {
            bar.end()
            // What is refused at its head has not been begun.
            if target.outcome != nil || error is ExitRequest { tellEarly(target.outcome) }
            throw error
        }
    }

    /// What came before the damage, or before Ctrl-C, is kept.
    private func tellEarly(_ outcome: ImportOutcome?) {
        let count = outcome?.recordCount ?? 0
        let were = count == 0 ? "no record was" : count == 1 ? "1 record was" : nil
        let partition = outcome?.partitions.last.map { "\($0.source)" }
        let end =
            outcome.map { ", up to offset \($0.sourceEnd) of \(partition ?? "its source")" } ?? ""
        Words.say(
            "weir: stopped early: \(were ?? Numbers.records(count) + " were") \(verb) before"
                + end)
    }

    private func tell(_ outcome: ImportOutcome) {
        let count = outcome.recordCount
        var text = "weir: \(verb) \(Numbers.records(count)) "
        text += "into \(outcome.stream)"
        if !outcome.partitions.isEmpty {
            text += ", in \(outcome.partitions.count) partitions, with "
            text += outcome.keepsOffsets ? "their offsets" : "new offsets"
        } else if let offsets = outcome.offsets {
            text += ", offsets \(offsets.lowerBound) to before \(offsets.upperBound)"
            text += outcome.keepsOffsets ? ", as they were" : ", which are new"
        }
        if outcome.repeatCount > 0 {
            text += "; \(Numbers.grouped(outcome.repeatCount)) were there already"
        }
        Words.say(text)
    }
}
