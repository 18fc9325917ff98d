// An executable's inside can be tested in debug builds only.
#if DEBUG
    import Foundation
    import Testing
    @testable import Weir
    @testable import WeirCLI

    /// An input of its own, which is gone with the last reference to it.
    private func source(_ text: [UInt8], chunkBytes: Int = 1 << 16) throws -> InputSource {
        let path = NSTemporaryDirectory() + "weir-moving-" + UUID().uuidString
        try Data(text).write(to: URL(filePath: path))
        defer { unlink(path) }
        return try InputSource(path: path, chunkBytes: chunkBytes)
    }

    private func all(_ parser: some RecordParser) throws -> [TextRecord] {
        var parser = parser
        var found: [TextRecord] = []
        while let record = try parser.next() { found.append(record) }
        return found
    }

    /// Records with everything that a record may have or lack.
    private func samples() -> [Record] {
        let headers: Headers = [
            "i": .int(-5), "u": .unsigned(.max), "d": .double(1.5), "b": .bool(true), "n": .null,
            "t": .timestamp(milliseconds: 1_000), "s": .string("a,\"b\"\nc"), "y": .symbol("y"),
            "x": .bytes([0, 255]), "id": .uuid(high: 1, low: 2),
        ]
        let parts: [(key: [UInt8]?, headers: Headers, value: [UInt8]?)] = [
            (nil, [:], []), ([], [:], []), (nil, [:], Array("plain".utf8)),
            (Array("k".utf8), [:], nil), ([], [:], nil),
            (Array("a,\"b\"".utf8), headers, [10, 13]),
            ([0, 255, 34], [:], [34, 44, 10, 0, 200]), (nil, headers, Array("last\r".utf8)),
        ]
        return parts.enumerated().map { place, part in
            Record(
                offset: Offset(UInt64(100 + place)),
                time: Timestamp(microseconds: Int64(place) * 1_000_001 - 3),
                key: part.key, headers: part.headers, value: part.value)
        }
    }

    private func exported(_ format: OutputFormat, namesStream: Bool = false) throws -> [UInt8] {
        let formatter = RecordFormatter(format: format, namesStream: namesStream)
        var out: [UInt8] = []
        formatter.appendHead(to: &out)
        for record in samples() {
            formatter.append(record, of: try StreamName("s"), to: &out)
        }
        return out
    }

    @Suite("Records that were exported")
    struct MovingTests {
        @Test(arguments: [1, 3, 1 << 16], [false, true])
        func `as csv come back with everything that they had`(
            chunkBytes: Int, namesStream: Bool
        ) throws {
            let text = try exported(.csv, namesStream: namesStream)
            try expectSame(all(ExportedCSVParser(source(text, chunkBytes: chunkBytes))))
        }

        @Test func `as json come back with everything that they had`() throws {
            try expectSame(all(NDJSONParser(source(try exported(.json)))))
        }

        private func expectSame(_ found: [TextRecord]) throws {
            #expect(found.count == samples().count)
            for (record, text) in zip(samples(), found) {
                #expect(text.offset == record.offset.value && text.time == record.time)
                #expect(text.key == record.key && text.value == record.value)
                #expect(text.headers == record.headers, "offset \(record.offset)")
            }
        }

        @Test(arguments: [MovingFormat.csv, .ndjson])
        func `and cut anywhere are whole up to the last whole one`(_ format: MovingFormat) throws {
            let text = try exported(format == .csv ? .csv : .json)
            var ends: [Int] = []
            var seen = Set<Int>()
            for count in 0...text.count {
                let part = try WholeText(source(Array(text.prefix(count))), format)
                #expect(part.byteCount <= count)
                if seen.insert(part.byteCount).inserted { ends.append(part.byteCount) }
                #expect(part.byteCount == ends.last, "\(count) bytes")
                let head = format == .csv ? 2 : 1
                let last = ends.count > head ? UInt64(99 + ends.count - head) : nil
                #expect(part.lastOffset == last, "\(count) bytes")
            }
            #expect(ends.last == text.count)
        }

        @Test(arguments: [
            ("", "there are no columns"), ("a,b\n1,2\n", "the columns are a,b, and an export has"),
            ("offset,time,key,value,headers\n1,2\n", "Line 2: it has 2 fields where 5"),
            ("offset,time,key,value,headers\nx,y,,,\n", "Line 2: an offset and a time"),
            (
                "offset,time,key,value,headers\n1,2020-01-01T00:00:00Z,k,v,{\n",
                "Line 2: this is no JSON object"
            ),
        ])
        func `and altered name the line`(text: String, expected: String) {
            let error = #expect(throws: WeirError.self) {
                try all(ExportedCSVParser(source(Array(text.utf8))))
            }
            #expect(error?.message.contains(expected) ?? false)
        }

        @Test func `without quotes and key are values, and no tombstones`() throws {
            let text = "offset,time,key,value,headers\n1,2020-01-01T00:00:00Z,,,\n"
            #expect(try all(ExportedCSVParser(source(Array(text.utf8)))).first?.value == [])
        }

        @Test(
            arguments: [
                (nil, "a.csv", MovingFormat.csv), (nil, "a.archive", .archive),
                (nil, "a.txt", .ndjson),
                (nil, nil, .ndjson), (.archive, "a.csv", .archive),
            ] as [(MovingFormat?, String?, MovingFormat)])
        func `are told by the file's name`(
            named: MovingFormat?, file: String?, expected: MovingFormat
        ) {
            #expect(MovingFormat(named, file: file) == expected)
        }
    }

    @Suite("The name of a content")
    struct ContentNameTests {
        private func digest(_ pieces: [[UInt8]]) -> String {
            var digest = SHA256()
            for piece in pieces { digest.add(piece) }
            return digest.finish()
        }

        @Test func `is the digest that FIPS 180-4 gives it`() {
            let alphabet = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
            for (text, expected) in [
                ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
                ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
                (alphabet, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
            ] {
                #expect(digest([Array(text.utf8)]) == expected)
            }
            let many = [[UInt8]](repeating: [UInt8](repeating: 0x61, count: 1000), count: 1000)
            #expect(
                digest(many)
                    == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        }

        @Test(arguments: 0..<200)
        func `is the same in pieces of any size`(count: Int) {
            let bytes = (0..<count).map { UInt8($0) }
            let pieces = stride(from: 0, to: count, by: 7).map {
                Array(bytes[$0..<min($0 + 7, count)])
            }
            #expect(digest(pieces) == digest([bytes]))
        }
    }
#endif
