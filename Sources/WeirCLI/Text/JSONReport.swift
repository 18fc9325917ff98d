import Weir

/// A report for `--json`: members in the order in which they were given.
indirect enum JSONReport {
    case text(String)
    case number(Int)
    /// A finite one.
    case ratio(Double)
    case flag(Bool)
    case list([JSONReport])
    case object([(String, JSONReport)])
    case null

    var description: String { String(decoding: bytes, as: UTF8.self) }

    private var bytes: [UInt8] {
        var out: [UInt8] = []
        append(to: &out)
        return out
    }

    private func append(to out: inout [UInt8]) {
        switch self {
        case .text(let text): JSONText.append(text, to: &out)
        case .number(let number): out += Array("\(number)".utf8)
        case .ratio(let ratio): out += Array("\(ratio)".utf8)
        case .flag(let flag): out += Array("\(flag)".utf8)
        case .null: out += Array("null".utf8)
        case .list(let items):
            out.append(UInt8(ascii: "["))
            for (index, item) in items.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                item.append(to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let members):
            out.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                JSONText.append(member.0, to: &out)
                out.append(UInt8(ascii: ":"))
                member.1.append(to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }
}
