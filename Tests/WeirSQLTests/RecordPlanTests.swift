import Testing
import WeirBase

@testable import WeirSQL

@Suite("The part of a stream that a condition leaves")
struct RecordPlanTests {
    private func plan(_ bounds: [(RecordBound, SQLValue)]) -> RecordPlan {
        var plan = RecordPlan()
        for (bound, value) in bounds { plan.add(bound, value) }
        return plan
    }

    @Test func `is all of it without a bound`() {
        #expect(plan([]).isUnbounded(from: .zero))
        #expect(plan([(.offsetFrom, .real(5))]).isUnbounded(from: .zero))
        #expect(plan([(.offsetFrom, .string("5"))]).isUnbounded(from: .zero))
    }

    @Test func `is all of it where it begins before the stream`() {
        #expect(plan([(.offsetFrom, .integer(5))]).isUnbounded(from: Offset(7)))
        #expect(!plan([(.offsetFrom, .integer(8))]).isUnbounded(from: Offset(7)))
    }

    @Test func `lies between offsets`() {
        #expect(plan([(.offsetFrom, .integer(5)), (.offsetTo, .integer(9))]).offsets == 5...9)
        #expect(plan([(.offsetEqual, .integer(7))]).offsets == 7...7)
        #expect(plan([(.offsetFrom, .integer(-3))]).offsets == 0...UInt64.max)
    }

    @Test func `is nothing where no offset can be`() {
        #expect(plan([(.offsetTo, .integer(-1))]).isEmpty)
        #expect(plan([(.offsetFrom, .integer(9)), (.offsetTo, .integer(5))]).isEmpty)
        #expect(plan([(.offsetEqual, .integer(3)), (.offsetFrom, .integer(4))]).isEmpty)
    }

    @Test func `is nothing where a value is NULL`() {
        for bound in RecordBound.allCases { #expect(plan([(bound, .null)]).isEmpty) }
    }

    @Test func `is of one key, as text or as bytes, whichever it is in the table`() {
        #expect(plan([(.keyEqual, .string("é"))]).key == Array("é".utf8))
        #expect(plan([(.keyEqual, .bytes([0xFF]))]).key == [0xFF])
        #expect(plan([(.keyEqual, .bytes([0x41]))]).isEmpty)
        #expect(plan([(.keyEqual, .text([0xFF]))]).isEmpty)
        #expect(plan([(.keyEqual, .integer(5))]).key == nil)
        #expect(!plan([(.keyEqual, .integer(5))]).isEmpty)
    }

    @Test func `begins at the later of two times`() {
        let found = plan([
            (.timeFrom, .string("2013-01-02")), (.timeMicrosecondsFrom, .integer(5)),
        ])
        #expect(found.timeFrom == Timestamp(iso8601: "2013-01-02"))
    }

    @Test func `has no end in record times, which may go back`() {
        #expect(RecordBound(.time, .to) == nil)
        #expect(RecordBound(.timeMicroseconds, .to) == nil)
        #expect(RecordBound(.key, .from) == nil)
        #expect(RecordBound(.appendTimeMicroseconds, .to) == .appendTimeMicrosecondsTo)
    }
}

@Suite("A time as text")
struct TimeTextTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000000Z"), (1_500, "1970-01-01T00:00:00.001500Z"),
        (2_000, "1970-01-01T00:00:00.002000Z"), (1_000_000, "1970-01-01T00:00:01.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ])
    func `always has the same width`(microseconds: Int64, text: String) {
        #expect(TimeText.text(of: Timestamp(microseconds: microseconds)) == text)
    }

    @Test(arguments: [
        ("2013-06-01", "2013-06-01"), ("2013-06", "2013-06-01"), ("2013", "2013-01-01"),
        ("2013-1", "2013-01-01"), ("2013-06-3", "2013-06-01"),
        ("2013-06-01T05", "2013-06-01T05:00Z"), ("2013-06-01T05:00:07Z", "2013-06-01T05:00:07Z"),
        ("2013-06-01T05:00:07.25Z", "2013-06-01T05:00:07.25Z"),
        ("2013-06-01 05:00", "2013-06-01T05:00Z"), ("2013-06-01T05:00+02:00", "2013-06-01T03:00Z"),
        ("2013-06-01T05:00-02:00", "2013-06-01T07:00Z"), ("2013-06-01 05", "2013-06-01"),
    ])
    func `gives a bound`(text: String, bound: String) {
        #expect(TimeText.lowerBound(Array(text.utf8)) == Timestamp(iso8601: bound))
    }

    @Test(arguments: ["", "soon", "20", "2013-13", "2013-02-30T"])
    func `gives none where it is no time`(text: String) {
        #expect(TimeText.lowerBound(Array(text.utf8)) == nil)
    }

    /// Whatever the text: no time whose own text is not before it may lie before the bound.
    @Test func `gives a bound that is never too late`() {
        var random = SystemRandomNumberGenerator()
        let alphabet = Array("0123456789-T:.Z +")
        for _ in 0..<5000 {
            let time = Timestamp(
                microseconds: .random(in: 0...4_000_000_000_000_000, using: &random))
            let whole = TimeText.text(of: time)
            var text = String(whole.prefix(.random(in: 4...whole.count, using: &random)))
            if Bool.random(using: &random), let letter = alphabet.randomElement(using: &random) {
                text.append(letter)
            }
            guard let bound = TimeText.lowerBound(Array(text.utf8)) else { continue }
            let earlier = TimeText.text(of: Timestamp(microseconds: bound.microseconds - 1))
            let told = TimeText.asInTables(Array(text.utf8))
            #expect(
                Array(earlier.utf8).lexicographicallyPrecedes(told),
                "the bound of \(text) is \(bound)")
        }
    }
}
