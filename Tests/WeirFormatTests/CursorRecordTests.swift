import Testing
import WeirBase
import WeirFormat

@Suite("A cursor's record")
struct CursorRecordTests {
    private static let key = CursorKey(stream: StreamID(0x0102_0304_0506_0708), name: "billing")
    private static let commit = CursorCommit(
        position: CursorPosition(epoch: Epoch(3), offset: Offset(0x1122)),
        time: Timestamp(microseconds: 1_357_016_400_000_000))

    /// Never edited: what version 1 wrote is read for ever.
    private static let goldenKey: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8] + Array("billing".utf8)
    private static let goldenValue: [UInt8] = [
        1, 0, 0, 0, 0, 0, 0, 0,
        3, 0, 0, 0, 0, 0, 0, 0,
        0x22, 0x11, 0, 0, 0, 0, 0, 0,
        0x00, 0xF4, 0x79, 0x00, 0x33, 0xD2, 4, 0,
    ]

    @Test func `is the golden one of version 1, both ways`() throws {
        #expect(CursorRecord.encode(Self.key) == Self.goldenKey)
        #expect(CursorRecord.encode(Self.commit) == Self.goldenValue)
        #expect(try CursorRecord.decodeKey(Self.goldenKey) == Self.key)
        #expect(try CursorRecord.decode(Self.goldenValue) == Self.commit)
    }

    @Test(arguments: [0, 1, 8, 31, 33]) func `is refused with a value of another length`(
        count: Int
    ) {
        let value = Array((Self.goldenValue + [0]).prefix(count))
        let error = #expect(throws: WeirError.self) { try CursorRecord.decode(value) }
        #expect(error?.code == .damaged)
    }

    @Test(arguments: [UInt8(0), 2, 255]) func `is refused in another version, by name`(
        version: UInt8
    ) {
        var value = Self.goldenValue
        value[CursorRecord.Field.version] = version
        let error = #expect(throws: WeirError.self) { try CursorRecord.decode(value) }
        #expect(error?.code == .newerFormat)
        #expect(error?.message.contains("version \(version)") == true)
    }

    @Test(
        arguments: [
            [], [1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8, 47],
            [1, 2, 3, 4, 5, 6, 7, 8, 0xFF, 0xFE],
            [UInt8](repeating: 97, count: 8 + 129),
        ] as [[UInt8]]) func `is refused with a key that names nobody`(key: [UInt8])
    {
        let error = #expect(throws: WeirError.self) { try CursorRecord.decodeKey(key) }
        #expect(error?.code == .damaged)
    }
}
