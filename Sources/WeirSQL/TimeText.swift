import WeirBase

/// Times as they stand in a table: ISO 8601 in UTC, always with six digits behind the second, so
/// that texts are in the order of times.
///
///     2013-06-01T05:00:00.000000Z
enum TimeText {
    private static let least = Array("0000-01-01T00:00:00.000000Z".utf8)
    static let width = least.count
    /// Where year, month, day, hour, minute and second end. Half a field says little: `2013-1` may
    /// go on as October.
    private static let fieldEnds = [4, 7, 10, 13, 16, 19]

    static func text(of time: Timestamp) -> String {
        let short = time.description.dropLast()
        guard let point = short.firstIndex(of: ".") else { return short + ".000000Z" }
        let digits = short.distance(from: point, to: short.endIndex) - 1
        return short + String(repeating: "0", count: 6 - digits) + "Z"
    }

    /// A whole time in another way of writing (without a fraction, of another zone, with a space as
    /// SQLite's own functions have it) as it stands in a table; anything else as it is. A date
    /// alone is the beginning of many times.
    static func asInTables(_ text: [UInt8]) -> [UInt8] {
        guard text.count > "2013-06-01".utf8.count,
            let time = Timestamp(iso8601: String(decoding: text, as: UTF8.self))
        else { return text }
        return Array(Self.text(of: time).utf8)
    }

    /// No time whose text is not before the given one lies before this; `nil` if that is not known.
    ///
    /// A beginning of a time, such as a date, is filled up with the least that can follow. What
    /// does not look like a time any more is left out: that only makes the bound lower.
    static func lowerBound(_ text: [UInt8]) -> Timestamp? {
        var bytes: [UInt8] = []
        for (byte, pattern) in zip(asInTables(text), least) {
            let isDigit = (48...57).contains(byte)
            guard (48...57).contains(pattern) ? isDigit : byte == pattern else { break }
            bytes.append(byte)
        }
        if bytes.count < least.count - 7 {
            guard let end = fieldEnds.last(where: { $0 <= bytes.count }) else { return nil }
            bytes.removeSubrange(end...)
        }
        let filled = bytes + least[bytes.count...]
        return Timestamp(iso8601: String(decoding: filled, as: UTF8.self))
    }
}
