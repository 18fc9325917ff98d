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

    /// The hash of each key and its record's offset, by a walk over records.
    private func hashes(_ builder: borrowing BatchBuilder, byValues: Bool) -> [UInt64] {
        let body = builder.body
        var walker = RecordWalker(body: body, table: body.extracting(first: 0), firstOffset: 50)
        var found: [UInt64] = []
        while true {
            if byValues { walker.hashKeysOfValues { found += [$0, $1.value] } }
            guard let record = walker.next() else { return found }
            if let key = record.key { found += [keyHash(key), record.offset.value] }
        }
    }

    @Test func `of the keys of plain records is that of each key`() throws {
        var builder = BatchBuilder()
        for number in 0..<300 {
            // Every fifth has no key, and every seventh is not plain.
            let key = [UInt8](repeating: UInt8(number & 255), count: number)
            let added = try builder.append(
                key: number % 5 == 0 ? nil : key.span.bytes,
                time: number % 7 == 0 ? Timestamp(microseconds: 1) : nil, value: key.span.bytes
            ) { _ in }
            #expect(added)
        }
        let expected = hashes(builder, byValues: false)
        #expect(expected.count == 2 * 240)
        #expect(hashes(builder, byValues: true) == expected)
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
