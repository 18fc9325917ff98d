/// A moment in microseconds since 1970-01-01T00:00:00Z.
@frozen
public struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var microseconds: Int64

    @inlinable public init(microseconds: Int64) { self.microseconds = microseconds }
    /// Saturates where the product leaves the range of microseconds (292,000 years).
    @inlinable public init(milliseconds: Int64) {
        let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1000)
        self.microseconds = overflow ? (milliseconds < 0 ? .min : .max) : product
    }

    public static let distantPast = Timestamp(microseconds: .min)
    public static let distantFuture = Timestamp(microseconds: .max)

    @inlinable public static func < (a: Timestamp, b: Timestamp) -> Bool {
        a.microseconds < b.microseconds
    }

    /// ISO 8601 in UTC; the fraction has as many digits as it needs: none, three or six.
    public var description: String {
        let (second, fraction) = floorDivide(microseconds, by: 1_000_000)
        let (day, secondOfDay) = floorDivide(second, by: 86_400)
        let (year, month, dayOfMonth) = civilDate(daysSince1970: day)
        var text = padded(year, 4) + "-" + padded(month, 2) + "-" + padded(dayOfMonth, 2) + "T"
        text += padded(secondOfDay / 3600, 2) + ":" + padded(secondOfDay / 60 % 60, 2)
        text += ":" + padded(secondOfDay % 60, 2)
        if fraction % 1000 != 0 {
            text += "." + padded(fraction, 6)
        } else if fraction != 0 {
            text += "." + padded(fraction / 1000, 3)
        }
        return text + "Z"
    }

    /// Reads ISO 8601: `2013-01-01`, `2013-01-01T05:00Z`, `2013-01-01 05:00:00.25+02:00`.
    ///
    /// A date without a time is midnight, a time without a zone is UTC. `nil` for anything else, a
    /// day that the calendar does not have among it.
    public init?(iso8601 text: some StringProtocol) {
        var parser = TimestampParser(text: Array(text.utf8))
        guard let microseconds = parser.parse() else { return nil }
        self.microseconds = microseconds
    }
}

private func floorDivide(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
}

private func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value.magnitude)
    let zeros = String(repeating: "0", count: max(0, width - digits.count))
    return (value < 0 ? "-" : "") + zeros + digits
}

/// Days to year, month and day in the proleptic Gregorian calendar.
///
/// The year is taken to begin in March, so that the leap day is its last day (H. Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms").
private func civilDate(daysSince1970: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, dayOfEra) = floorDivide(daysSince1970 + 719_468, by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
}

private func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
    let (era, yearOfEra) = floorDivide(month <= 2 ? year - 1 : year, by: 400)
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
}

/// A hand over the text's bytes; every step says whether it found what it expected.
private struct TimestampParser {
    let text: [UInt8]
    var index = 0

    mutating func parse() -> Int64? {
        guard let year = digits(4), skip("-"), let month = digits(2), skip("-"),
            let day = digits(2), (1...12).contains(month)
        else { return nil }
        let days = daysSince1970(year: year, month: month, day: day)
        let back = civilDate(daysSince1970: days)
        guard back.month == month, back.day == day else { return nil }
        var microseconds = days * 86_400_000_000
        if index == text.count { return microseconds }
        guard skip("T") || skip("t") || skip(" "), let time = timeOfDay(), let zone = zoneMinutes()
        else { return nil }
        microseconds += time - zone * 60_000_000
        return index == text.count ? microseconds : nil
    }

    private mutating func timeOfDay() -> Int64? {
        guard let hour = digits(2), skip(":"), let minute = digits(2), hour < 24, minute < 60
        else { return nil }
        var microseconds = (hour * 60 + minute) * 60_000_000
        guard skip(":") else { return microseconds }
        guard let second = digits(2), second < 60 else { return nil }
        microseconds += second * 1_000_000
        guard skip(".") else { return microseconds }
        let first = index
        var unit: Int64 = 100_000
        while index < text.count, let digit = digits(1) {
            microseconds += digit * unit
            unit /= 10
        }
        return index > first ? microseconds : nil
    }

    private mutating func zoneMinutes() -> Int64? {
        if index == text.count || skip("Z") || skip("z") { return 0 }
        let sign: Int64 = skip("+") ? 1 : skip("-") ? -1 : 0
        guard sign != 0, let hours = digits(2), hours < 24 else { return nil }
        _ = skip(":")
        guard let minutes = digits(2), minutes < 60 else { return nil }
        return sign * (hours * 60 + minutes)
    }

    private mutating func digits(_ count: Int) -> Int64? {
        guard index + count <= text.count else { return nil }
        var value: Int64 = 0
        for place in index..<index + count {
            guard (48...57).contains(text[place]) else { return nil }
            value = value * 10 + Int64(text[place] - 48)
        }
        index += count
        return value
    }

    private mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard index < text.count, UInt32(text[index]) == character.value else { return false }
        index += 1
        return true
    }
}
