import Testing
import WeirBase

@testable import WeirFormat

@Suite("The hash of the index")
struct KeyHashTests {
    @Test(
        arguments: [
            ("", 0xEFD0_1F60_BA99_2926),
            ("N14228", 0x7A69_4E42_A606_6CD6),
        ] as [(String, UInt64)])
    func `of a key is what the document says`(_ key: String, _ expected: UInt64) {
        #expect(keyHash(Array(key.utf8)) == expected)
    }

    @Test(
        arguments: [
            ("carrier", "UA", 0x6F86_4D42_B11E_1BCC),
            ("carrier", .symbol("UA"), 0x6F86_4D42_B11E_1BCC),
            ("hour", 5, 0xEC29_A609_BBFD_961C),
            ("hour", "5", 0xEC29_A609_BBFD_961C),
            ("hour", .unsigned(5), 0xEC29_A609_BBFD_961C),
            ("raw", .bytes([85, 65]), 0x48CB_DF6F_51E6_BC03),
        ] as [(String, HeaderValue, UInt64)])
    func `of a header is of its name and text, or its bytes`(
        _ name: String, _ value: HeaderValue, _ expected: UInt64
    ) {
        #expect(headerHash(name, value) == expected)
    }
}
