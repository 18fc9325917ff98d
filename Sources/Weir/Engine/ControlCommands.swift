import WeirBase

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// The language of the control socket: a request is one line of JSON, and so is its answer.
///
///     {"command":"flow","stream":"orders"}     →  what the command says, an object
///     {"command":"dance"}                      →  {"code":"…","error":"one sentence"}
///
/// Members that a command does not know are passed over, so that a newer client may ask an older
/// writer.
package final class ControlCommands: Sendable {
    package typealias Handler = @Sendable (Data) throws(WeirError) -> Data

    private let handlers = Lock<[String: Handler]>([:])

    package init() {}

    /// Answers a command from now on. The body runs on a thread that may block.
    package func register<
        Request: Decodable & SendableMetatype, Answer: Encodable & SendableMetatype
    >(
        _ name: String, _ body: @escaping @Sendable (Request) throws(WeirError) -> Answer
    ) {
        let handler: Handler = { (line) throws(WeirError) in
            try Self.encode(try body(try Self.decode(Request.self, line)))
        }
        handlers.withLock { $0[name] = handler }
    }

    /// The line that answers a line; it is never longer than an answer may be.
    func answer(_ line: [UInt8]) -> [UInt8] {
        do throws(WeirError) {
            let line = Data(line)
            let name = try Self.decode(Named.self, line).command
            let (handler, known) = handlers.withLock { ($0[name], $0.keys.sorted()) }
            guard let handler else {
                throw WeirError(
                    .invalidArgument,
                    "There is no command \(Self.shown(name)); this writer knows "
                        + known.joined(separator: ", ") + ".")
            }
            let answer = try handler(line)
            guard answer.count < Limits.controlAnswerBytesMax else {
                throw WeirError(
                    .tooLarge,
                    "The answer has \(answer.count) bytes, and an answer may have "
                        + "\(Limits.controlAnswerBytesMax); ask for one stream.")
            }
            return Array(answer) + [Self.lineFeed]
        } catch {
            return Self.refusal(error)
        }
    }

    /// The line that tells an error.
    static func refusal(_ error: WeirError) -> [UInt8] {
        do throws(WeirError) {
            let told = Refusal(code: error.code.description, error: error.description)
            return Array(try encode(told)) + [lineFeed]
        } catch {
            return Array(#"{"code":"system","error":"The error could not be told."}"#.utf8)
                + [lineFeed]
        }
    }

    /// Both are missing from what is an answer.
    struct Refusal: Codable {
        var code: String?
        var error: String?
    }

    private struct Named: Decodable {
        var command: String
    }

    private static let lineFeed = UInt8(ascii: "\n")

    /// What a stranger wrote, short enough for a sentence.
    private static func shown(_ name: String) -> String {
        name.count > 40 ? name.prefix(40) + "…" : name
    }

    static func encode(_ value: some Encodable) throws(WeirError) -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return try encoder.encode(value)
        } catch {
            throw WeirError(.system, "An answer could not be written as JSON.", cause: "\(error)")
        }
    }

    static func decode<Value: Decodable>(
        _ type: Value.Type, _ line: Data
    ) throws(WeirError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: line)
        } catch let error as DecodingError {
            throw WeirError(
                .malformedInput,
                "The line is not as expected, an object in JSON such as {\"command\":\"ping\"}: "
                    + reason(error))
        } catch {
            throw WeirError(
                .malformedInput,
                "The line is not an object in JSON such as {\"command\":\"ping\"}.",
                cause: "\(error)")
        }
    }

    private static func reason(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "the member \(key.stringValue) is missing."
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            context.codingPath.isEmpty
                ? "it is no object."
                : "the member \(context.codingPath.map(\.stringValue).joined(separator: ".")) "
                    + "has another type."
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            "the member \(context.codingPath.map(\.stringValue).joined(separator: ".")) has a "
                + "value that is none of its kind."
        default: "it is not valid JSON."
        }
    }
}
