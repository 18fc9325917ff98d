import ArgumentParser
import Foundation
import Weir

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Put what `export` wrote into a stream.",
        discussion: """
            A stream that does not exist is made: by an archive with the settings, the partitions \
            and the offsets that it had, by ndjson and csv with the usual ones. Into a stream that \
            exists, records are appended at its end.

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

    private var kind: MovingFormat { MovingFormat(format, file: file) }

    func validate() throws {
        guard kind != .archive || producer == nil else {
            throw ValidationError("An archive is known by itself; leave --producer out.")
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

    func run() throws {
        let source = try InputSource(path: file)
        if kind == .archive {
            let opened = try options.open(making: stream)
            var moving = try ArchiveMoving(opened.store, into: stream)
            let bar = ProgressBar("import", total: source.totalBytes)
            do {
                try moving.run(bar) {
                    source.bytesRead
                } from: {
                    try source.piece()
                }
            } catch {
                // Whatever came is durable then.
                throw opened.closed(after: error)
            }
            return try opened.finish()
        }
        // A pipe is not opened a second time.
        let content = source.totalBytes == nil ? nil : try provenContent()
        let name = producer ?? content?.description
        let parser = ImportParser(
            parser: kind == .csv ? try ExportedCSVParser(source) : NDJSONParser(source))
        let opened = try options.open(making: stream)
        let appender = try Appender(
            stream, in: opened.store, creating: StreamConfiguration(), producer: name,
            batchRecords: 1000)
        do {
            try opened.append(
                parser, of: source, to: appender, ProgressBar("import", total: source.totalBytes))
        } catch let error as WeirError where error.code == .malformedInput {
            // Nothing is skipped here.
            throw error.advising("")
        }
    }
}

/// Says of a line that is no record what can be imported.
private struct ImportParser: RecordParser {
    var parser: any RecordParser
    var line: Int { parser.line }

    mutating func next() throws -> TextRecord? {
        do {
            return try parser.next()
        } catch let error as WeirError where error.code == .malformedInput {
            throw error.advising(
                " Only what `export` or `read` wrote can be imported; see `weir append`.")
        }
    }
}

extension WeirError {
    /// With other advice than that of `append`.
    fileprivate func advising(_ advice: String) -> WeirError {
        WeirError(code, message.replacing(malformedAdvice, with: advice))
    }
}

/// A file's content as the name of a producer: its length, and the SHA-256 of all of it.
struct ContentName: CustomStringConvertible {
    let description: String
    let digest: String

    /// `nil` for what cannot be read twice.
    init?(_ path: String?) throws {
        guard let path, path != "-" else { return nil }
        let source = try InputSource(path: path)
        guard source.totalBytes != nil else { return nil }
        var digest = SHA256()
        while let piece = try source.piece() { digest.add(piece) }
        self.digest = digest.finish()
        description = "weir.import.\(source.bytesRead).\(self.digest)"
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
            tellEarly(target.outcome)
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
