import Testing

@testable import WeirFormat

@Suite("Bytes at two addresses")
struct BytesTests {
    @Test(arguments: 0..<20) func `are the same only if each of them is`(count: Int) {
        let bytes = (0..<UInt8(count)).map { $0 &* 37 }
        func isSameAs(_ other: [UInt8]) -> Bool {
            bytes.withUnsafeBytes { a in
                other.withUnsafeBytes { b in
                    guard let a = a.baseAddress, let b = b.baseAddress else { return true }
                    return isSame(a, b, byteCount: count)
                }
            }
        }
        #expect(isSameAs(bytes))
        for place in bytes.indices {
            var other = bytes
            other[place] ^= 0x80
            #expect(!isSameAs(other), "byte \(place)")
        }
    }
}
