import WeirBase
import WeirFormat

/// What stands in the sealed golden segment: a batch for each thing that a body can hold.
extension SegmentMaker {
    mutating func addGoldenRecords() throws {
        add(values: [
            Array("a plain value".utf8), [], Array("zwölf\n\u{1}\"".utf8), [0xFF, 0x00, 0xFE],
            [UInt8](repeating: 0x61, count: 300),
        ])
        next()
        try addKeyed()
        next()
        try addForeign()
        next()
        addPacked()
        addEmpty(.marker)
        next()
        addWithHoles()
        addOpaque()
        addEmpty(.filler, byteCount: 200)
        next()
        addEmpty(.marker)
    }

    private mutating func next() {
        appendTime = Timestamp(microseconds: appendTime.microseconds + 1_500_250)
        durableEnd = summary.endOffset
    }

    private mutating func addKeyed() throws {
        var batch = BatchBuilder()
        _ = try batch.append(
            key: Array("N14228".utf8).span.bytes, time: Golden.time(-3600),
            value: Array("{\"delay\":11}".utf8).span.bytes
        ) { encoder in
            for (name, value) in Golden.headers { encoder.add(name, value) }
        }
        _ = try batch.append(
            key: ([0xFF, 0x01] as [UInt8]).span.bytes, time: nil,
            value: Array("binary key".utf8).span.bytes
        ) { _ in }
        _ = try batch.append(
            key: Array("N14228".utf8).span.bytes, time: Golden.time(-7200), value: nil
        ) { $0.add("why", "sold") }
        _ = try batch.append(
            key: nil, time: Timestamp(microseconds: -62_135_596_800_000_001),
            value: Array("before the year 1".utf8).span.bytes
        ) { _ in }
        _ = try batch.append(
            key: [UInt8](repeating: 0x6B, count: 260).span.bytes, time: nil,
            value: [UInt8]().span.bytes
        ) { $0.add("wide", .bytes([UInt8](repeating: 7, count: 300))) }
        add(&batch)
    }

    /// Entries that other clients write, and entries that are no message.
    private mutating func addForeign() throws {
        var batch = BatchBuilder()
        for entry in Golden.entries { _ = batch.append(entry: entry.span.bytes) }
        add(&batch)
    }

    /// A frame as liblz4 made it once: another version may pack otherwise.
    private mutating func addPacked() {
        let unpacked = builder((0..<20).map { Array("packed record number \($0)".utf8) })
        let frame = Golden.lz4Frame
        let raw = unpacked.bodyByteCount
        let head = Golden.subBatchHead(codec: 3, records: 20, raw: raw, stored: frame.count)
        add(body: head + frame) {
            $0.compat = BatchHeader.compatHasSubBatches
            $0.rawBodyLength = raw
            $0.entryCount = 1
            $0.recordCount = 20
            $0.offsetSpan = 20
        }
    }

    /// What compaction leaves: three records in a span of ten offsets.
    private mutating func addWithHoles() {
        let batch = builder([Array("kept 1".utf8), Array("kept 4".utf8), Array("kept 9".utf8)])
        var table = ByteWriter()
        var sections = ByteWriter()
        for relative: UInt32 in [1, 4, 9] { table.put(relative) }
        Section(type: 77, payload: [1, 2, 3]).encode(to: &sections)
        Section(
            type: BatchExtension.SectionType.offsetTable, flags: Section.critical,
            payload: table.bytes
        ).encode(to: &sections)
        let body = batch.body.array()
        add(body: body, extension: sections.bytes) {
            $0.entryCount = 3
            $0.recordCount = 3
            $0.offsetSpan = 10
        }
    }

    /// A record, two records in a codec that is not built in, two unpacked ones in a sub-batch.
    private mutating func addOpaque() {
        let plain = builder([Array("before".utf8)]).body.array()
        let inner = builder([Array("stored 1".utf8), Array("stored 2".utf8)]).body.array()
        let body =
            plain + Golden.subBatchHead(codec: 4, records: 2, raw: 64, stored: 5) + [1, 2, 3, 4, 5]
            + Golden.subBatchHead(codec: 0, records: 2, raw: inner.count, stored: inner.count)
            + inner
        add(body: body) {
            $0.compat = BatchHeader.compatHasSubBatches
            $0.rawBodyLength = plain.count + 64 + inner.count
            $0.entryCount = 3
            $0.recordCount = 5
            $0.offsetSpan = 5
        }
    }
}

extension Golden {
    static let headers: [(String, HeaderValue)] = [
        ("null", .null), ("yes", true), ("no", false), ("small", 5), ("negative", -6),
        ("large", .int(-70_000_000_000)), ("unsigned", .unsigned(200)),
        ("enormous", .unsigned(.max)), ("double", 2.5), ("whole", 2.0), ("tiny", 1.25e-9),
        ("wide", .double(9_007_199_254_740_994)), ("nan", .double(.nan)),
        ("down", .double(-.infinity)), ("when", .timestamp(milliseconds: 1_357_016_400_250)),
        ("id", .uuid(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF)),
        ("bytes", .bytes([0, 255])), ("text", "zwölf"), ("symbol", .symbol("abc")),
    ]

    /// In this order: a string as value, a list as value, two bodies, properties with a creation
    /// time, a symbolic key with a time of a foreign type, a key that is a number, null without a
    /// key, and three that are no messages.
    static let entries: [[UInt8]] = [
        [0x00, 0x53, 0x77, 0xA1, 2, 0x68, 0x69],
        [0x00, 0x53, 0x77, 0xC0, 3, 1, 0x54, 5],
        [0x00, 0x53, 0x75, 0xA0, 1, 1, 0x00, 0x53, 0x75, 0xA0, 1, 2],
        [0x00, 0x53, 0x70, 0xC0, 2, 1, 0x41, 0x00, 0x53, 0x73, 0xC0, 19, 10]
            + [UInt8](repeating: 0x40, count: 9)
            + [0x83, 0x00, 0x00, 0x01, 0x3B, 0xF5, 0xF2, 0x8A, 0xFA, 0x00, 0x53, 0x75, 0xA0, 1, 9],
        annotated(key: [0xA3, 1, 0x73], time: [0x83, 0, 0, 0, 0, 0, 0, 0, 9]),
        annotated(key: [0x54, 0x2A], time: [0x55, 0x2A]),
        [0x00, 0x53, 0x77, 0x40],
        Array("just a line of text".utf8), [], [0x00, 0x53, 0x75, 0xA0, 3, 1],
    ]

    /// A message with both annotations and the value "v".
    static func annotated(key: [UInt8], time: [UInt8]) -> [UInt8] {
        let items =
            [0xA3, 19] + Array("x-opt-partition-key".utf8) + key + [0xA3, 15]
            + Array("x-opt-weir-time".utf8) + time
        return [0x00, 0x53, 0x72, 0xC1, UInt8(items.count + 1), 4] + items
            + [0x00, 0x53, 0x75, 0xA0, 1, 0x76]
    }

    static func subBatchHead(codec: UInt8, records: Int, raw: Int, stored: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: SubBatchHead.byteCount)
        bytes.withUnsafeMutableBytes { memory in
            guard let base = memory.baseAddress else { return }
            SubBatchHead(
                codec: codec, recordCount: records, rawByteCount: raw, storedByteCount: stored
            ).encode(to: base)
        }
        return bytes
    }

    static let lz4Frame = [UInt8](
        hexadecimal: """
            04224d18604082a0000000ff100000001b005375a0167061636b6564207265636f726420
            6e756d62657220301f000b1f311f000b1f321f000b1f331f000b1f341f000b1f351f000b
            1f361f000b1f371f000b1f381f000baf390000001c005375a017360102103137010f2000
            090038010f2000090039010f200009003a010f200009003b010f200009003c010f200009
            003d010f200009003e010f200009003f010f20000550657220313900000000
            """)
}
