/// Tells for every byte of a Swift file whether it is code, comment or the inside of a string.
///
/// The code of an interpolation inside a string counts as code. A bare regular expression `/…/` is
/// taken for code too; one that holds a quotation mark is to be written `#/…/#`.
struct SwiftScanner {
    enum Kind { case code, comment, string }

    private(set) var kinds: [Kind]
    private let bytes: [UInt8]
    private var index = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
        self.kinds = Array(repeating: .code, count: bytes.count)
    }

    mutating func scan() { scanCode(endsAtParenthesis: false) }

    private mutating func scanCode(endsAtParenthesis: Bool) {
        var depth = 0
        while index < bytes.count {
            if skipsProse() { continue }
            if byte == UInt8(ascii: "(") { depth += 1 }
            if byte == UInt8(ascii: ")") { depth -= 1 }
            index += 1
            if endsAtParenthesis && depth == 0 { return }
        }
    }

    /// Marks the comment, string or raw name that begins here; false if none does.
    private mutating func skipsProse() -> Bool {
        switch byte {
        case UInt8(ascii: "/"):
            if startsHere("/*") {
                scanBlockComment()
                return true
            }
            guard startsHere("//") else { return false }
            mark(.comment, until: "\n")
        case UInt8(ascii: "`"):
            index += 1
            mark(.string, until: "`")
            index += 1
        case UInt8(ascii: "\""), UInt8(ascii: "#"):
            let hashes = hashesHere
            let fence = String(repeating: "#", count: hashes)
            if startsHere(fence + "\"") {
                scanString(fence: fence)
            } else if hashes > 0, startsHere(fence + "/") {
                index += hashes + 1
                mark(.string, until: "/" + fence)
                index += 1 + hashes
            } else {
                return false
            }
        default: return false
        }
        return true
    }

    private mutating func scanBlockComment() {
        var depth = 0
        repeat {
            let step = startsHere("/*") ? 1 : startsHere("*/") ? -1 : 0
            depth += step
            advance(step == 0 ? 1 : 2, as: .comment)
        } while depth > 0 && index < bytes.count
    }

    private mutating func scanString(fence: String) {
        let hashes = fence.utf8.count
        index += hashes
        let isLong = startsHere("\"\"\"")
        let quote = (isLong ? "\"\"\"" : "\"") + fence
        index += isLong ? 3 : 1
        while index < bytes.count {
            if byte == UInt8(ascii: "\""), startsHere(quote) { break }
            let isEscape = byte == UInt8(ascii: "\\") && startsHere("\\" + fence)
            if isEscape, startsHere("\\" + fence + "(") {
                advance(1 + hashes, as: .string)
                scanCode(endsAtParenthesis: true)
            } else if isEscape {
                advance(2 + hashes, as: .string)
            } else if !isLong && byte == UInt8(ascii: "\n") {
                return  // An unfinished string ends with its line, as in the compiler.
            } else {
                advance(1, as: .string)
            }
        }
        index += quote.utf8.count
    }

    private var byte: UInt8 { bytes[index] }

    private func startsHere(_ text: String) -> Bool {
        bytes[index...].starts(with: text.utf8)
    }

    private var hashesHere: Int {
        var end = index
        while end < bytes.count, bytes[end] == UInt8(ascii: "#") { end += 1 }
        return end - index
    }

    private mutating func advance(_ count: Int, as kind: Kind) {
        for _ in 0..<count where index < bytes.count {
            kinds[index] = kind
            index += 1
        }
    }

    /// Stops before the end mark, which stays unmarked.
    private mutating func mark(_ kind: Kind, until end: String) {
        let first = end.utf8.first
        while index < bytes.count, byte != first || !startsHere(end) { advance(1, as: kind) }
    }
}
