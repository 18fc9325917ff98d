import Testing
import WeirBase
import WeirFormat

private func encoded(_ sections: [Section]) -> [UInt8] {
    var writer = ByteWriter()
    for section in sections { section.encode(to: &writer) }
    return writer.bytes
}

@Suite("Sections")
struct SectionTests {
    private let two = [
        Section(type: 1, payload: [1, 2, 3]),
        Section(type: 2, flags: Section.critical, payload: Array(0..<16)),
    ]

    @Test func `are read back, padded to eight`() throws {
        let bytes = encoded(two)
        #expect(bytes.count == 16 + 24)
        #expect(bytes.prefix(16) == [1, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0])
        let found = try Section.decodeAll(bytes[...], known: [1, 2], "test")
        #expect(found.map(\.type) == [1, 2])
        #expect(found.map(\.flags) == [0, 1])
        #expect(found.map { Array($0.payload) } == [[1, 2, 3], Array(0..<16)])
    }

    @Test func `may be none`() throws {
        #expect(try Section.decodeAll([], known: [], "test").isEmpty)
    }

    @Test func `of an unknown type are kept unless they are critical`() throws {
        let found = try Section.decodeAll(encoded(two)[...], known: [2], "test")
        #expect(found.map(\.type) == [1, 2])
        let unknown = message { () throws(WeirError) in
            _ = try Section.decodeAll(encoded(two)[...], known: [1], "test")
        }
        #expect(unknown.contains("part of type 2") && unknown.contains("up to 1"))
        let found2 = code { () throws(WeirError) in
            _ = try Section.decodeAll(encoded(two)[...], known: [1], "test")
        }
        #expect(found2 == .newerFormat)
    }

    @Test func `that end early are damaged`() {
        let whole = encoded(two)
        for count in 1..<whole.count where count != 16 {
            let found = code { () throws(WeirError) in
                _ = try Section.decodeAll(whole[..<count], known: [1, 2], "test")
            }
            #expect(found == .damaged, "cut at \(count)")
        }
    }

    @Test(arguments: [17, 0x7FFF_FFFF, 0xFFFF_FFF9, UInt32.max])
    func `that claim more than there is are damaged`(_ length: UInt32) {
        let bytes = encoded(two).setting(length, at: 16 + 4)
        let found = code { () throws(WeirError) in
            _ = try Section.decodeAll(bytes[...], known: [1, 2], "test")
        }
        #expect(found == .damaged)
    }
}

@Suite("A stream's settings")
struct ConfigurationCodingTests {
    static let all = [
        StreamConfiguration(),
        StreamConfiguration(durability: .flushed, compression: .lz4, visibility: .durable),
        StreamConfiguration(
            durability: .interval(milliseconds: 3_600_000), compression: .automatic,
            visibility: .flushed, segmentBytes: Limits.segmentBytesMax,
            batchBytesMax: Limits.batchBytesMax, commitAlignment: 4096,
            lingerMicroseconds: 1000),
        StreamConfiguration(segmentBytes: 4096, batchBytesMax: 1024),
        StreamConfiguration(keyIndex: false, indexedHeaders: ["carrier", "größe", " "]),
        StreamConfiguration(
            indexedHeaders: Array(repeating: String(repeating: "n", count: 128), count: 8)),
    ]

    @Test(arguments: [
        Array(repeating: "n", count: 9), [""], [String(repeating: "n", count: 129)],
    ])
    func `that index too many headers, or none, are damaged`(_ names: [String]) {
        let encoded = ConfigurationCoding.encode(StreamConfiguration(indexedHeaders: names))
        let found = code { () throws(WeirError) in
            _ = try ConfigurationCoding.decode(encoded[...])
        }
        #expect(found == .damaged)
    }

    @Test(arguments: [(0, 1, "g"), (7, 8, "orders"), (1023, 1024, "o.r-d_e.r-s")])
    func `that make it a partition are read back`(_ index: Int, _ count: Int, _ name: String) throws
    {
        let partition = try Partition(of: try StreamName(name), index: index, count: count)
        let configuration = Self.all[2].placed(in: partition)
        let bytes = ConfigurationCoding.encode(configuration)
        #expect(bytes.count == ConfigurationCoding.encode(Self.all[2]).count + 12 + name.utf8.count)
        #expect(try ConfigurationCoding.decode(bytes[...]) == configuration)
    }

    @Test(
        arguments: [
            (0, 0, "g"), (1, 1, "g"), (0, 1025, "g"), (.max, 8, "g"), (0, .max, "g"), (0, 1, ""),
            (0, 1, "-"), (0, 1, "a b"), (0, 1, String(repeating: "g", count: 129)),
        ] as [(UInt32, UInt32, String)])
    func `that name no partition are damaged`(_ index: UInt32, _ count: UInt32, _ name: String) {
        let value = bytes(index) + bytes(count) + Array(name.utf8)
        let field = bytes(UInt16(8)) + bytes(UInt16(value.count)) + value
        let found = code { () throws(WeirError) in
            _ = try ConfigurationCoding.decode(field[...])
        }
        #expect(found == .damaged)
    }

    @Test(arguments: all)
    func `are read back`(_ configuration: StreamConfiguration) throws {
        let bytes = ConfigurationCoding.encode(configuration)
        #expect(try ConfigurationCoding.decode(bytes[...]) == configuration)
    }

    @Test func `keep their defaults where they are not named`() throws {
        #expect(try ConfigurationCoding.decode([]) == StreamConfiguration())
    }

    @Test func `with unknown numbers are read without them`() throws {
        let known = ConfigurationCoding.encode(ConfigurationCodingTests.all[2])
        let unknown = bytes(UInt16(999)) + bytes(UInt16(3)) + [7, 7, 7]
        #expect(try ConfigurationCoding.decode((unknown + known)[...]) == Self.all[2])
    }

    @Test(
        arguments: [
            (1, 3), (1, 0x1_0000_0000_02), (2, 3), (3, 2), (1, .max), (2, .max), (3, .max),
        ] as [(UInt16, UInt64)])
    func `of an unknown value are a newer format's`(_ tag: UInt16, _ value: UInt64) {
        #expect(decoding(tag, value) == .newerFormat)
    }

    @Test(
        arguments: [
            (1, 2), (4, 0), (4, 4095), (4, .max), (5, 1023), (5, 16 << 20 | 1), (5, .max), (6, 16),
            (6, .max), (7, 1001), (7, .max), (1, UInt64(3_600_001) << 8 | 2),
        ] as [(UInt16, UInt64)])
    func `outside their limits are damaged`(_ tag: UInt16, _ value: UInt64) {
        #expect(decoding(tag, value) == .damaged)
    }

    @Test func `that end early are damaged`() {
        let whole = ConfigurationCoding.encode(Self.all[2])
        for count in 1..<whole.count where count % 12 != 0 {
            let found = code { () throws(WeirError) in
                _ = try ConfigurationCoding.decode(whole[..<count])
            }
            #expect(found == .damaged)
        }
    }

    private func decoding(_ tag: UInt16, _ value: UInt64) -> WeirError.Code? {
        let field = bytes(tag) + bytes(UInt16(8)) + bytes(value)
        return code { () throws(WeirError) in _ = try ConfigurationCoding.decode(field[...]) }
    }
}
