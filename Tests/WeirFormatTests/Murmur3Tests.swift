import Testing
import WeirFormat

@Suite("The hash of a key")
struct Murmur3Tests {
    private func hash(_ bytes: [UInt8], seed: UInt32) -> UInt32 {
        Murmur3.hash(bytes.span.bytes, seed: seed)
    }

    @Test(
        arguments: [
            ("", 0, 0), ("", 1, 0x514E_28B7), ("", 104_729, 0xC675_7D56),
            ("a", 0, 0x3C25_69B2), ("a", 104_729, 0x40C5_855A), ("ab", 0, 0x9BBF_D75F),
            ("ab", 104_729, 0x17C2_38A8), ("abc", 0, 0xB3DD_93FA), ("abc", 104_729, 0xCB3B_E711),
            ("abcd", 0, 0x43ED_676A), ("abcd", 104_729, 0xCBF3_4FEC),
            ("Hello, world!", 0, 0xC036_3E43), ("Hello, world!", 104_729, 0xB6A4_DE19),
            ("Hello, world!", 0x9747_B28C, 0x2488_4CBA),
        ] as [(String, UInt32, UInt32)])
    func `is the known one`(_ text: String, _ seed: UInt32, _ expected: UInt32) {
        #expect(hash(Array(text.utf8), seed: seed) == expected)
    }

    @Test func `of bytes that are no text is the known one`() {
        #expect(hash([0xFF, 0xFE, 0xFD, 0x80, 0x81], seed: 0) == 0xFD90_6213)
        #expect(hash([0xFF, 0xFE, 0xFD, 0x80, 0x81], seed: 104_729) == 0x8FFA_DC98)
    }

    /// The table is that of a test of the Java client of the stream protocol.
    @Test(
        arguments: [
            ("hello", 1_321_743_225, 3_806_057_185), ("brave", 3_825_276_426, 619_588_758),
            ("new", 2_970_740_106, 1_483_300_585), ("world", 2_453_398_188, 1_145_629_360),
        ] as [(String, UInt32, UInt32)])
    func `is that of the Java client`(_ text: String, _ routing: UInt32, _ with42: UInt32) {
        #expect(hash(Array(text.utf8), seed: Murmur3.routingSeed) == routing)
        #expect(hash(Array(text.utf8), seed: 42) == with42)
    }

    /// The table is that of a test of the .NET client of the stream protocol.
    @Test(
        arguments: [
            ("hello1", 1), ("hello2", 0), ("hello3", 1), ("hello4", 2), ("hello5", 0),
            ("hello6", 2), ("hello7", 0), ("hello8", 1), ("hello9", 0), ("hello10", 2),
            ("hello88", 1),
        ] as [(String, UInt32)])
    func `chooses the partition of three that the .NET client chooses`(
        _ key: String, _ partition: UInt32
    ) {
        #expect(hash(Array(key.utf8), seed: Murmur3.routingSeed) % 3 == partition)
    }
}
