import Testing
import WeirBase
import WeirFormat

@Suite("A checksum")
struct ChecksumTests {
    private let digits = Array("123456789".utf8)

    @Test func `has the check values of the standards`() {
        #expect(crc32c(digits) == 0xE306_9283)
        #expect(crc32(digits.span.bytes) == 0xCBF4_3926)
    }

    @Test func `chains over pieces`() {
        for cut in 0...digits.count {
            let (front, back) = (Array(digits[..<cut]), Array(digits[cut...]))
            #expect(crc32c(back, seed: crc32c(front)) == 0xE306_9283)
            #expect(crc32(back.span.bytes, seed: crc32(front.span.bytes)) == 0xCBF4_3926)
        }
    }

    @Test func `of nothing is the seed`() {
        #expect(crc32c([]) == 0)
        #expect(crc32c([], seed: 77) == 77)
        #expect(crc32([UInt8]().span.bytes, seed: 77) == 77)
    }

    @Test func `of zeros is not zero`() {
        #expect(crc32c([UInt8](repeating: 0, count: 48)) != 0)
    }
}

@Suite("Bytes of what is not on a hot path")
struct ByteCodingTests {
    @Test func `are little-endian and read back`() throws {
        var writer = ByteWriter()
        writer.put(UInt16(0x0102))
        writer.put(UInt32(0x0304_0506))
        writer.put(Int64(-2))
        writer.put(Offset(9))
        #expect(writer.bytes.prefix(6) == [2, 1, 6, 5, 4, 3])
        var reader = ByteReader(writer.bytes, "test")
        #expect(try reader.get(UInt16.self) == 0x0102)
        #expect(try reader.get(UInt32.self) == 0x0304_0506)
        #expect(try reader.get(Int64.self) == -2)
        #expect(try reader.offset() == Offset(9))
        #expect(reader.isAtEnd)
    }

    @Test func `are refused where they end early`() {
        for count in 0..<8 {
            var reader = ByteReader([UInt8](repeating: 1, count: count), "test")
            #expect(code { () throws(WeirError) in _ = try reader.get(UInt64.self) } == .damaged)
            #expect(reader.left == count)
        }
    }

    @Test func `are refused for a count that does not fit`() {
        for claim in [11, UInt64(Int.max), .max] {
            var reader = ByteReader(bytes(claim), "test")
            #expect(code { () throws(WeirError) in _ = try reader.count(10) } == .damaged)
        }
        var reader = ByteReader([1, 2, 3], "test")
        #expect(code { () throws(WeirError) in _ = try reader.take(-1) } == .damaged)
        #expect(code { () throws(WeirError) in _ = try reader.take(.max) } == .damaged)
    }

    @Test func `are padded with zeros to a multiple`() {
        var writer = ByteWriter()
        writer.pad(to: 8)
        #expect(writer.count == 0)
        writer.put(UInt8(1))
        writer.pad(to: 8)
        #expect(writer.bytes == [1, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test func `are changed in place`() {
        var writer = ByteWriter()
        writer.zeros(6)
        writer.set(UInt32(0x0102_0304), at: 1)
        #expect(writer.bytes == [0, 4, 3, 2, 1, 0])
    }
}
