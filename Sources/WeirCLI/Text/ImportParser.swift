import Foundation
import Weir

/// What an export wrote as text. Says of a line that is no record what can be imported.
struct ImportParser: RecordParser {
    private var parser: any RecordParser
    /// Read before anything is made for the input.
    private var first: TextRecord?
    private var hasFirst = true
    var line: Int { parser.line }

    /// Reads up to the first record. Throws `malformedInput` where none stands there.
    init(_ source: InputSource, _ kind: MovingFormat) throws {
        parser = try Self.advising { () throws -> any RecordParser in
            if kind == .csv { try ExportedCSVParser(source) } else { NDJSONParser(source) }
        }
        first = try read()
    }

    mutating func next() throws -> TextRecord? {
        guard hasFirst else { return try read() }
        hasFirst = false
        return first.take()
    }

    private mutating func read() throws -> TextRecord? {
        try Self.advising { try parser.next() }
    }

    private static func advising<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as WeirError where error.code == .malformedInput {
            throw error.advising(
                " Only what `export` or `read` wrote can be imported; see `weir append`.")
        }
    }
}

extension WeirError {
    /// With other advice than that of `append`.
    func advising(_ advice: String) -> WeirError {
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
