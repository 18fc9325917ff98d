public import ArgumentParser
import Foundation
public import Weir

/// `first`, `last`, `next`, `offset:N`, `time:T`, `appended:T`, `cursor:NAME`.
struct StartArgument: ExpressibleByArgument, CustomStringConvertible {
    let position: StartPosition
    /// What help shows as the default.
    var description: String { "\(position)" }
    init(_ position: StartPosition) { self.position = position }

    init?(argument: String) {
        switch argument {
        case "first": position = .first
        case "last": position = .last
        case "next": position = .next
        default:
            let (kind, rest) = split(argument)
            switch kind {
            case "offset":
                guard let value = UInt64(rest) else { return nil }
                position = .offset(Offset(value))
            case "time":
                guard let time = parseTime(rest) else { return nil }
                position = .time(time)
            case "appended":
                guard let time = parseTime(rest) else { return nil }
                position = .appended(time)
            case "cursor":
                guard !rest.isEmpty else { return nil }
                position = .cursor(rest)
            default: return nil
            }
        }
    }

    static let kinds = ["first", "last", "next", "offset:", "time:", "appended:", "cursor:"]
    static let help =
        "first, last, next, offset:N, cursor:NAME, time:T or appended:T (T: \(timeHelp))."
}

/// `offset:N` or `time:T`: where reading ends, itself not read.
enum EndArgument: ExpressibleByArgument {
    case offset(Offset)
    case time(Timestamp)

    init?(argument: String) {
        let (kind, rest) = split(argument)
        switch kind {
        case "offset":
            guard let value = UInt64(rest) else { return nil }
            self = .offset(Offset(value))
        case "time":
            guard let time = parseTime(rest) else { return nil }
            self = .time(time)
        default: return nil
        }
    }
}

/// `max`, or a number and an x: `60x`.
struct SpeedArgument: ExpressibleByArgument {
    let speed: ReplaySpeed

    init?(argument: String) {
        if argument == "max" {
            speed = .max
            return
        }
        let digits = argument.dropLast()
        guard argument.hasSuffix("x"),
            digits.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "." }),
            let factor = Double(digits)
        else { return nil }
        speed = .times(factor)
    }

    func validate() throws {
        do throws(WeirError) {
            try speed.validate()
        } catch {
            throw ValidationError(error.message)
        }
    }
}

/// `durable`, `flushed`, `interval:MS`.
struct DurabilityArgument: ExpressibleByArgument {
    let durability: Durability

    init?(argument: String) {
        switch argument {
        case "durable": durability = .durable
        case "flushed": durability = .flushed
        default:
            let (kind, rest) = split(argument)
            guard kind == "interval", let milliseconds = UInt32(rest), milliseconds > 0 else {
                return nil
            }
            durability = .interval(milliseconds: milliseconds)
        }
    }

    var level: DurabilityLevel { durability == .durable ? .durable : .flushed }
}

/// A number of bytes, with a unit if one likes: `65536`, `64KiB`, `256M`, `1GiB`.
struct ByteSizeArgument: ExpressibleByArgument {
    let bytes: Int

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        let unit = argument.dropFirst(digits.count).lowercased()
        let factors = [
            "": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20,
            "g": 1 << 30, "gib": 1 << 30,
        ]
        guard let number = Int(digits), let factor = factors[unit] else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        bytes = product
    }
}

extension Compression: ExpressibleByArgument {}

/// Completes a stream's name by asking the store that the environment names.
let streamNames = CompletionKind.shellCommand("weir ls 2>/dev/null | tail -n +2 | cut -d' ' -f1")

let timeHelp = "ISO 8601, @seconds since 1970, or back from now as -15m, -2h, -7d"

private func split(_ text: String) -> (kind: String, rest: String) {
    guard let colon = text.firstIndex(of: ":") else { return (text, "") }
    return (String(text[..<colon]), String(text[text.index(after: colon)...]))
}

/// A time as people write it; `nil` if it cannot be parsed.
func parseTime(_ text: String, now: Date = Date()) -> Timestamp? {
    if text.hasPrefix("@") { return parseSeconds(text.dropFirst()) }
    if text.hasPrefix("-"), let unit = text.last {
        let digits = text.dropFirst().dropLast()
        let seconds: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let factor = seconds[unit], (1...9).contains(digits.utf8.count),
            digits.allSatisfy({ $0.isASCII && $0.isNumber }), let amount = Int64(digits)
        else { return nil }
        let back = amount * factor * 1_000_000
        return Timestamp(
            microseconds: Int64(now.timeIntervalSince1970 * 1_000_000) - back)
    }
    return Timestamp(iso8601: text)
}

/// Seconds since 1970 with at most six digits behind the point, exactly.
private func parseSeconds(_ text: Substring) -> Timestamp? {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let seconds = Int64(first), seconds.magnitude < 1 << 42 else {
        return nil
    }
    var micros: Int64 = 0
    if parts.count == 2 {
        let digits = parts[1]
        guard !digits.isEmpty, digits.count <= 6, digits.allSatisfy({ $0.isASCII && $0.isNumber }),
            let value = Int64(digits.padding(toLength: 6, withPad: "0", startingAt: 0))
        else { return nil }
        micros = first.hasPrefix("-") ? -value : value
    }
    return Timestamp(microseconds: seconds * 1_000_000 + micros)
}

/// `NAME=VALUE`: the name ends at the first equals sign.
struct HeaderArgument: ExpressibleByArgument {
    let name: String
    let text: String

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals > argument.startIndex else {
            return nil
        }
        name = String(argument[..<equals])
        text = String(argument[argument.index(after: equals)...])
    }
}
