import Testing
import WeirFormat

@Suite("Memory for unpacked bodies")
struct BodyPoolTests {
    @Test func `is used again when nobody reads it, and not before`() {
        let pool = BodyPool()
        let first = pool.take()
        first.reserve(10_000)
        pool.giveBack(first)
        // Its reader still stands at it.
        let second = pool.take()
        #expect(second !== first)
        let identity = ObjectIdentifier(first)
        func again() -> ObjectIdentifier { ObjectIdentifier(pool.take()) }
        withExtendedLifetime(first) { #expect(again() != identity) }
    }

    @Test func `is kept up to a bound`() {
        let pool = BodyPool(byteCountMax: 30_000)
        for _ in 0..<5 {
            let body = UnpackedBody()
            body.reserve(12_000)
            pool.giveBack(body)
        }
        #expect(pool.spareByteCount == 24_000)
        #expect(pool.take().capacity == 12_000)
        #expect(pool.spareByteCount == 12_000)
    }
}
