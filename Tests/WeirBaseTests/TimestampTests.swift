import Testing
import WeirBase

@Suite("A time as text")
struct TimestampTests {
    @Test(arguments: [
        ("2013-01-01T00:00:00Z", 1_356_998_400_000_000),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2013-01-01T05:00:00.250Z", 1_357_016_400_250_000),
        ("2000-02-29T12:00:00Z", 951_825_600_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ("0000-03-01T00:00:00Z", -62_162_035_200_000_000),
    ])
    func `is written and read alike`(text: String, microseconds: Int64) {
        #expect(Timestamp(microseconds: microseconds).description == text)
        #expect(Timestamp(iso8601: text)?.microseconds == microseconds)
    }

    @Test(arguments: [
        "2013-01-01", "2013-01-01T00:00", "2013-01-01 00:00:00", "2013-01-01t00:00:00z",
        "2013-01-01T02:00:00+02:00", "2012-12-31T19:00-0500", "2013-01-01T00:00:00.0000009Z",
    ])
    func `may be written in other ways`(text: String) {
        #expect(Timestamp(iso8601: text)?.microseconds == 1_356_998_400_000_000)
    }

    @Test(arguments: [
        "", "2013", "2013-13-01", "2013-00-01", "2013-02-29", "1900-02-29", "2013-01-32",
        "2013-01-01T", "2013-01-01T24:00", "2013-01-01T00:60", "2013-01-01T00:00:60Z",
        "2013-01-01T00:00:00.Z", "2013-01-01T00:00:00+2", "2013-01-01T00:00:00Zx", "13-01-01",
        "2013-01-01T00:00:00+24:00", "２０１３-01-01",
    ])
    func `is refused where it is none`(text: String) {
        #expect(Timestamp(iso8601: text) == nil)
    }

    @Test func `is ordered, and saturates`() {
        #expect(Timestamp.distantPast < Timestamp(microseconds: 0))
        #expect(Timestamp(milliseconds: .max) == .distantFuture)
        #expect(Timestamp(milliseconds: .min) == .distantPast)
    }
}

@Suite("A stream's name")
struct StreamNameTests {
    @Test(arguments: ["a", "0", "orders.2024-01_x", String(repeating: "a", count: 128), "weir.x"])
    func `is taken`(text: String) throws {
        #expect(try StreamName(text).description == text)
    }

    @Test(arguments: [
        "", ".", "..", "-a", "_a", ".a", "a/b", "a b", "ä", "a\0", "a\n", "../../etc/passwd", "a:b",
        String(repeating: "a", count: 129), "a\u{301}", "a\u{202e}b",
    ])
    func `is refused in a sentence that shows no control character`(text: String) {
        let error = #expect(throws: WeirError.self) { try StreamName(text) }
        #expect(error?.code == .invalidArgument)
        let shown = error?.message.unicodeScalars.allSatisfy { $0.isASCII && $0.value >= 32 }
        #expect(shown == true)
    }

    @Test func `tells the system's own`() throws {
        #expect(try StreamName("weir.cursors").isSystem)
        #expect(try !StreamName("weirs").isSystem)
    }
}
