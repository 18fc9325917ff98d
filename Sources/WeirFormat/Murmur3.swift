/// MurmurHash3 (A. Appleby), the 32-bit variant for x86: how a key finds its partition.
///
/// It is here since the hash strategies of the stream protocol's clients for Java, Go, Rust and
/// .NET use it, with this seed; so the same key goes to the same partition from any of these.
/// Python's rstream 1.1.1 does not: it hashes UTF-16 to 128 bits. The hash spreads keys and is no
/// protection: whoever chooses keys can choose ones that meet.
package enum Murmur3 {
    /// What those clients begin with.
    package static let routingSeed: UInt32 = 104_729

    private static let first: UInt32 = 0xCC9E_2D51
    private static let second: UInt32 = 0x1B87_3593

    package static func hash(_ bytes: RawSpan, seed: UInt32) -> UInt32 {
        // The address is used within the call only, and every load below stays before `count`.
        unsafe bytes.withUnsafeBytes { unsafe hash($0, seed: seed) }
    }

    private static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt32) -> UInt32 {
        var state = seed
        let count = bytes.count
        let whole = count & ~3
        if let base = bytes.baseAddress {
            for place in stride(from: 0, to: whole, by: 4) {
                state ^= scrambled(unsafe base.little(place))
                state = rotated(state, 13) &* 5 &+ 0xE654_6B64
            }
        }
        // One to three bytes are left, the first of them lowest.
        var rest: UInt32 = 0
        for place in (whole..<count).reversed() { rest = unsafe rest << 8 | UInt32(bytes[place]) }
        if whole < count { state ^= scrambled(rest) }
        return finished(state ^ UInt32(truncatingIfNeeded: count))
    }

    private static func scrambled(_ word: UInt32) -> UInt32 {
        rotated(word &* first, 15) &* second
    }

    private static func rotated(_ word: UInt32, _ bits: UInt32) -> UInt32 {
        word << bits | word >> (32 - bits)
    }

    /// Every bit of the state changes about half of the result's.
    private static func finished(_ state: UInt32) -> UInt32 {
        var mixed = state
        mixed = (mixed ^ mixed >> 16) &* 0x85EB_CA6B
        mixed = (mixed ^ mixed >> 13) &* 0xC2B2_AE35
        return mixed ^ mixed >> 16
    }
}
