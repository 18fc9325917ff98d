// An executable's inside can be tested in debug builds only.
#if DEBUG
    import Foundation
    import Testing
    import Weir
    @testable import WeirCLI

    /// What a parser makes of a text that reaches it in chunks of a size.
    private func parse<Parser: RecordParser>(
        _ text: String, chunkBytes: Int = 1 << 16, _ make: (InputSource) throws -> Parser
    ) throws -> [TextRecord] {
        let path = NSTemporaryDirectory() + "weir-text-" + UUID().uuidString
        try Data(text.utf8).write(to: URL(filePath: path))
        defer { unlink(path) }
        var parser = try make(try InputSource(path: path, chunkBytes: chunkBytes))
        var found: [TextRecord] = []
        while let record = try parser.next() { found.append(record) }
        return found
    }

    private func values(_ records: [TextRecord]) -> [String] {
        records.map { String(decoding: $0.value ?? [], as: UTF8.self) }
    }

    private func csv(
        _ text: String, _ columns: CSVColumns = CSVColumns(), chunkBytes: Int = 1 << 16
    ) throws -> [TextRecord] {
        try parse(text, chunkBytes: chunkBytes) { try CSVParser($0, columns: columns) }
    }

    @Suite("Records from CSV")
    struct CSVTests {
        private static let odd = "\u{feff}k,v\r\na,\"x,\"\"y\"\"\r\nz\"\r\n\n\"\",ä\nb,"

        @Test(arguments: 1...40) func `are the same however the input is split`(size: Int) throws {
            let records = try csv(Self.odd, CSVColumns(key: "k"), chunkBytes: size)
            #expect(values(records) == ["x,\"y\"\r\nz", "ä", ""])
            #expect(records.map(\.key) == [[97], nil, [98]])
        }

        @Test func `have the columns left as a JSON object`() throws {
            let records = try csv("a,b,c\n1,\"2\"\"\",3\n", CSVColumns(headers: ["a"]))
            #expect(values(records) == [#"{"b":"2\"","c":"3"}"#])
            #expect(records.first?.headers["a"] == .string("1"))
        }

        @Test func `have the one column left as it is`() throws {
            #expect(
                try values(csv("a,b\n1,{}\n", CSVColumns(key: "a"))) == ["{}"])
        }

        @Test(arguments: [
            ("a,b\n1\n", "Line 2: it has 1 field where 2 columns"),
            ("a,b\n1,2\n\"x\n", "Line 3: a quoted field is not closed"),
            ("a,b\n\"1\"2,3\n", "Line 2: text follows a closed quote"),
            ("", "Line 1: the input is empty"),
            ("a,b\n\"x\ny\",1\n1\n", "Line 4: it has 1 field where"),
        ])
        func `name the line that is malformed`(text: String, expected: String) {
            let error = #expect(throws: WeirError.self) { try csv(text) }
            #expect(error?.message.hasPrefix(expected) == true, "\(error?.message ?? "none")")
        }

        @Test func `name a column that is not there, and those that are`() {
            let error = #expect(throws: WeirError.self) {
                try csv("a,b\n1,2\n", CSVColumns(time: "when"))
            }
            #expect(error?.message == "There is no column \"when\"; the columns are a, b.")
        }
    }

    @Suite("Records from NDJSON")
    struct NDJSONTests {
        private func one(_ line: String) throws -> TextRecord {
            try #require(try parse(line) { NDJSONParser($0) }.first)
        }

        @Test func `have every member that reading prints`() throws {
            let record = try one(
                #"{"offset":7,"time":"1970-01-01T00:00:01Z","keyBase64":"/w==","value":null,"#
                    + #""headers":{"t":{"timestamp":"1970-01-01T00:00:00.002Z"},"i":3,"f":0.5}}"#)
            #expect(record.key == [255])
            #expect(record.value == nil)
            #expect(record.time == Timestamp(microseconds: 1_000_000))
            #expect(record.headers["t"] == .timestamp(milliseconds: 2))
            #expect(record.headers["i"] == .int(3))
            #expect(record.headers["f"] == .double(0.5))
        }

        @Test func `keep all 64 bits of a number`() throws {
            let record = try one(#"{"value":"","headers":{"n":9223372036854775807}}"#)
            #expect(record.headers["n"] == .int(.max))
        }

        @Test func `keep whole numbers beyond 63 bits, and a negative zero`() throws {
            let record = try one(
                #"{"value":"","headers":{"u":18446744073709551615,"z":{"double":-0.0}}}"#)
            #expect(record.headers["u"] == .unsigned(.max))
            guard case .double(let zero)? = record.headers["z"] else {
                Issue.record("no double: \(record.headers)")
                return
            }
            #expect(zero.sign == .minus)
        }

        @Test func `keep the order of their headers`() throws {
            let record = try one(
                #"{"headers":{"z":1,"a\"b":2,"t":{"timestamp":"1970-01-01"},"a":3},"value":"{:"}"#)
            #expect(record.headers.map(\.name) == ["z", "a\"b", "t", "a"])
        }

        @Test(arguments: [
            "{", "[]", "1", #"{"key":"a"}"#, #"{"value":1}"#, #"{"value":"","x":1}"#,
            #"{"value":"","valueBase64":"?"}"#, #"{"value":"","time":"soon"}"#,
            #"{"value":"","headers":{"a":[1]}}"#, #"{"value":"","offset":"7"}"#,
        ])
        func `name the line that is malformed`(line: String) {
            let error = #expect(throws: WeirError.self) {
                try parse("{\"value\":\"\"}\n\n" + line) { NDJSONParser($0) }
            }
            #expect(error?.code == .malformedInput)
            #expect(error?.message.hasPrefix("Line 3: ") == true)
        }

        @Test(arguments: 1...9) func `are the same however the input is split`(
            size: Int
        ) throws {
            let lines = "{\"value\":\"a\"}\n  \n{\"value\":\"ä\\n\"}"
            let records = try parse(lines, chunkBytes: size) { NDJSONParser($0) }
            #expect(values(records) == ["a", "ä\n"])
        }
    }

    @Suite("An argument")
    struct ArgumentTests {
        @Test(arguments: [
            ("1", 1), ("64KiB", 65_536), ("64k", 65_536), ("256M", 256 << 20), ("1GiB", 1 << 30),
            ("5b", 5),
        ])
        func `is a size`(text: String, bytes: Int) {
            #expect(ByteSizeArgument(argument: text)?.bytes == bytes)
        }

        @Test(arguments: ["", "k", "1T", "-1", "1.5k", "9999999999999999G", "1 k"])
        func `is no size`(text: String) {
            #expect(ByteSizeArgument(argument: text) == nil)
        }

        @Test(arguments: [
            ("@0", 0), ("@1.5", 1_500_000), ("@-1.000001", -1_000_001), ("-1s", 9_000_000),
            ("-0m", 10_000_000), ("1970-01-01T00:00:01Z", 1_000_000),
        ])
        func `is a time`(text: String, microseconds: Int64) {
            let time = parseTime(text, now: Date(timeIntervalSince1970: 10))
            #expect(time?.microseconds == microseconds)
        }

        @Test(arguments: ["", "@", "@1.", "@1.0000001", "-1x", "-", "yesterday", "@99999999999999"])
        func `is no time`(text: String) {
            #expect(parseTime(text) == nil)
        }

        @Test(arguments: ["", "offset:", "offset:-1", "offset:x", "time:", "firsts", "appended"])
        func `is no place to start`(text: String) {
            #expect(StartArgument(argument: text) == nil)
        }

        @Test(arguments: ["interval", "interval:0", "interval:-1", "fast", ""])
        func `is no durability`(text: String) {
            #expect(DurabilityArgument(argument: text) == nil)
        }
    }
#endif
