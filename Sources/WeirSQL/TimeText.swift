import WeirBase

/// Times as they stand in a table: ISO 8601 in UTC, always with six digits behind the second, so
/// that texts are in the order of times.
///
///     2013-06-01T05:00:00.000000Z
enum TimeText {
    private static let least = Array("0000-01-01T00:00:00.000000Z".utf8)
    /// Where year, month, day, hour, minute and second end. Half a field says little: `2013-1` may
    /// go on as October.
    private static let fieldEnds = [4, 7, 10, 13, 16, 19]

    static func text(of time: Timestamp) -> String {
        let short = time.description.dropLast()
        guard let point = short.firstIndex(of: ".") else { return short + ".000000Z" }
        let digits = short.distance(from: point, to: short.endIndex) - 1
        return short + String(repeating: "0", count: 6 - digits) + "Z"
    }

    /// No time whose text is not before the given one lies before this; `nil` if that is not known.
    ///
    /// A beginning of a time, such as a date, is filled up with the least that can follow. What
    /// does not look like a time any more is left out: that only makes the bound lower.
    static func lowerBound(_ text: String) -> Timestamp? {
        var bytes: [UInt8] = []
        for (byte, pattern) in zip(text.utf8, least) {
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
