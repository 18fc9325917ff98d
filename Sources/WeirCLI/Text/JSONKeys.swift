import Foundation

/// The order of an object's names, which a decoder that makes dictionaries forgets.
///
/// Walks over a line that was decoded already, so it need not find what is wrong with it.
enum JSONKeys {
    /// The names in the object that is the member `member` of the line's object, in their order.
    static func names(in member: String, of line: [UInt8]) -> [String] {
        var names: [String] = []
        var depth = 0
        var isInside = false
        var text: Range<Int>?
        var index = 0
        while index < line.count {
            switch line[index] {
            case UInt8(ascii: "\""):
                let end = endOfString(line, from: index)
                text = index..<end
                index = end
                continue
            case UInt8(ascii: ":"):
                guard let name = text.flatMap({ decode(line[$0]) }) else { break }
                if depth == 1 { isInside = name == member }
                if depth == 2, isInside, !names.contains(name) { names.append(name) }
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
            index += 1
        }
        return names
    }

    /// Behind the closing quote.
    private static func endOfString(_ line: [UInt8], from start: Int) -> Int {
        var index = start + 1
        while index < line.count, line[index] != UInt8(ascii: "\"") {
            index += line[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(index + 1, line.count)
    }

    private static func decode(_ text: ArraySlice<UInt8>) -> String? {
        do {
            return try JSONDecoder().decode(String.self, from: Data(text))
        } catch {
            return nil
        }
    }
}
