import Testing
import WeirBase
import WeirFormat

/// What a record looks like once it has been read back.
private struct Read: Equatable {
    var key: [UInt8]?
    var value: [UInt8]
    var time: Timestamp?
    var headers: [String: HeaderValue] = [:]
    var shape: EntryLayout.Shape
}

private func readBack(_ builder: borrowing BatchBuilder) -> [Read] {
    let body = builder.body
    var walker = RecordWalker(body: body, table: body.extracting(first: 0), firstOffset: .zero)
    var found: [Read] = []
    while let record = walker.next() {
        var read = Read(
            key: record.key?.array(), value: record.value.array(), time: record.recordTime,
            shape: record.shape)
        record.forEachHeader { read.headers[$0] = $1 }
        found.append(read)
    }
    return found
}

private func bytes(_ bytes: [UInt8]) -> [UInt8] { bytes }

private func entry(_ bytes: [UInt8]) -> Read? {
    var builder = BatchBuilder()
    guard builder.append(entry: bytes.span.bytes) else { return nil }
    return readBack(builder).first
}

@Suite("An entry")
struct EntryTests {
    @Test(arguments: [0, 1, 255, 256, 70_000])
    func `is a value of any length`(_ count: Int) {
        var builder = BatchBuilder()
        let value = [UInt8](repeating: 0x42, count: count)
        let added = builder.append(value: value.span.bytes)
        #expect(added)
        #expect(readBack(builder) == [Read(value: value, shape: .value)])
        #expect(builder.bodyByteCount == count + 4 + (count < 256 ? 5 : 8))
    }

    @Test func `keeps key, time, headers of every type and value`() throws {
        let headers: [String: HeaderValue] = [
            "null": .null, "yes": true, "no": false, "small": 5, "large": .int(-70_000_000_000),
            "unsigned": .unsigned(.max), "double": 2.5, "when": .timestamp(milliseconds: 12345),
            "id": .uuid(high: 1, low: 2), "bytes": .bytes([0, 255]), "text": "zwölf",
            "symbol": .symbol("abc"),
        ]
        var builder = BatchBuilder()
        let key = Array("N14228".utf8)
        let added = try builder.append(
            key: key.span.bytes, time: Timestamp(microseconds: 77), value: bytes([9, 9]).span.bytes
        ) { encoder in
            for (name, value) in headers { encoder.add(name, value) }
        }
        #expect(added)
        let expected = Read(
            key: key, value: [9, 9], time: Timestamp(microseconds: 77), headers: headers,
            shape: .value)
        #expect(readBack(builder) == [expected])
        #expect(builder.keyedCount == 1)
        #expect(builder.minRecordTime == Timestamp(microseconds: 77))
    }

    /// A message may begin with an empty header section, and then it is walked over.
    @Test(arguments: [0, 1, 29, 231, 232], [0, 5, 255, 256])
    func `with key and value says the same by its first bytes as when it is walked over`(
        _ keyByteCount: Int, _ valueByteCount: Int
    ) throws {
        var builder = BatchBuilder()
        let key = [UInt8](repeating: 0x61, count: keyByteCount)
        let value = [UInt8](repeating: 0x42, count: valueByteCount)
        let added = try builder.append(
            key: key.span.bytes, time: nil, value: value.span.bytes
        ) { _ in }
        #expect(added)
        #expect(readBack(builder) == [Read(key: key, value: value, shape: .value)])
        let good = Array(builder.body.array().dropFirst(4))
        for place in 0..<min(good.count, 29 + keyByteCount + 8) {
            for byte in [0, 2, 0xA1, good[place] &+ 1] as [UInt8] {
                var altered = good
                altered[place] = byte
                let told = try #require(entry(altered))
                let walked = try #require(entry([0x00, 0x53, 0x70, 0x45] + altered))
                #expect(told.shape == walked.shape && told.key == walked.key)
                if told.shape == .value { #expect(told.value == walked.value) }
            }
        }
    }

    @Test func `widens its maps for many and for large headers`() throws {
        var builder = BatchBuilder()
        let key = [UInt8](repeating: 0xFF, count: 1000)
        let added = try builder.append(key: key.span.bytes, time: nil, value: bytes([1]).span.bytes)
        {
            for number in 0..<300 { $0.add("header-\(number)", Int64(number)) }
            $0.add("large", .bytes([UInt8](repeating: 7, count: 100_000)))
        }
        #expect(added)
        let read = try #require(readBack(builder).first)
        #expect(read.key == key)
        #expect(read.headers.count == 301)
        #expect(read.headers["header-299"] == .int(299))
        #expect(read.value == [1])
    }

    @Test func `without a value is a tombstone and needs a key`() throws {
        var builder = BatchBuilder()
        let added = try builder.append(key: bytes([1]).span.bytes, time: nil, value: nil) { _ in }
        #expect(added)
        #expect(readBack(builder) == [Read(key: [1], value: [], shape: .tombstone)])
        #expect(builder.tombstoneCount == 1)
        do {
            _ = try builder.append(key: nil, time: nil, value: nil) { _ in }
            Issue.record("a tombstone without a key was taken")
        } catch {
            #expect(error.code == .invalidArgument)
        }
    }

    @Test func `that does not fit leaves the batch as it was`() throws {
        var builder = BatchBuilder(byteLimit: 2000)
        let value = [UInt8](repeating: 1, count: 1500)
        let first = builder.append(value: value.span.bytes)
        #expect(first)
        let before = builder.bodyByteCount
        let added = try builder.append(
            key: bytes([1]).span.bytes, time: nil, value: value.span.bytes
        ) {
            $0.add("a", "b")
        }
        #expect(!added)
        #expect(builder.bodyByteCount == before)
        #expect(builder.recordCount == 1)
    }

    @Test func `refuses a header without a name or with a long one`() {
        for name in ["", String(repeating: "n", count: 256)] {
            var builder = BatchBuilder()
            do {
                _ = try builder.append(key: nil, time: nil, value: bytes([1]).span.bytes) {
                    $0.add(name, HeaderValue.null)
                }
                Issue.record("header name of \(name.utf8.count) bytes was taken")
            } catch {
                #expect(error.code == .tooLarge || error.code == .invalidArgument)
            }
            #expect(builder.bodyByteCount == 0)
        }
    }

    @Test func `of another client's making is understood`() {
        // header (durable), properties with creation-time, string key as symbol, two data sections.
        let text: [UInt8] = [0x00, 0x53, 0x77, 0xA1, 2, 0x68, 0x69]
        #expect(entry(text) == Read(value: [0x68, 0x69], shape: .value))
        let two: [UInt8] = [0x00, 0x53, 0x75, 0xA0, 1, 1, 0x00, 0x53, 0x75, 0xA0, 1, 2]
        #expect(entry(two) == Read(value: two, shape: .other))
        let list: [UInt8] = [0x00, 0x53, 0x77, 0xC0, 3, 1, 0x54, 5]
        #expect(entry(list) == Read(value: list, shape: .other))
        let properties: [UInt8] =
            [0x00, 0x53, 0x73, 0xC0, 19, 10] + [UInt8](repeating: 0x40, count: 9)
            + [0x83, 0, 0, 0, 0, 0, 0, 0, 5] + [0x00, 0x53, 0x75, 0xA0, 1, 9]
        #expect(
            entry(properties)
                == Read(value: [9], time: Timestamp(milliseconds: 5), shape: .value))
    }

    @Test(
        arguments: [
            [], [1], [0x00], [0x00, 0x53, 0x75], [0x00, 0x53, 0x75, 0xA0, 3, 1],
            [0x00, 0x53, 0x75, 0xA0, 1, 1, 0], [0x00, 0x53, 0x70, 0x45],
            [0x00, 0x53, 0x77, 0xF0, 0, 0, 0, 6, 0xFF, 0xFF, 0xFF, 0xFF, 0x40, 0],
            Array("just a line of text".utf8),
        ] as [[UInt8]])
    func `that is not well-formed to its last byte is raw`(_ bytes: [UInt8]) {
        #expect(entry(bytes) == Read(value: bytes, shape: .raw))
    }

    @Test func `of random bytes never traps`() {
        var state: UInt64 = 42
        func random() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        for _ in 0..<100_000 {
            var bytes = (0..<Int(random() % 40)).map { _ in UInt8(truncatingIfNeeded: random()) }
            if bytes.count > 3 {
                bytes.replaceSubrange(0..<3, with: [0, 0x53, 0x70 + UInt8(random() % 9)])
            }
            let read = entry(bytes)
            #expect(read != nil)
        }
    }
}
