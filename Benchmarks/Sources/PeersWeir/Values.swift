/// The values that every engine stores: 4,096 of them, made before the clock runs; record number i
/// has value i mod 4,096.
///
/// Value v is filled eight bytes at a time, little-endian, from xorshift64* seeded with v + 1: the
/// peers' C harness makes the same bytes.
struct Values {
    private let bytes: [UInt8]
    private let byteCount: Int

    init(byteCount: Int, isText: Bool = false) {
        self.byteCount = byteCount
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount * 4096)
        for value in 0..<4096 {
            var state = UInt64(value) + 1
            var filled = 0
            while filled < byteCount {
                state ^= state >> 12
                state ^= state << 25
                state ^= state >> 27
                var word = state &* 0x2545_F491_4F6C_DD1D
                for _ in 0..<min(8, byteCount - filled) {
                    let byte = UInt8(truncatingIfNeeded: word)
                    bytes.append(isText ? 97 + byte % 26 : byte)
                    word >>= 8
                    filled += 1
                }
            }
        }
        self.bytes = bytes
    }

    @_lifetime(borrow self)
    func span(_ index: Int) -> RawSpan {
        let start = index & 4095
        return bytes.span.bytes.extracting(start * byteCount..<(start + 1) * byteCount)
    }
}

/// FNV-1a over eight bytes of offset (little-endian) and the value, of each record in order.
struct Digest {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ offset: UInt64, _ value: RawSpan) {
        for shift in stride(from: 0, to: 64, by: 8) {
            add(UInt8(truncatingIfNeeded: offset >> UInt64(shift)))
        }
        for index in 0..<value.byteCount {
            add(value.unsafeLoad(fromByteOffset: index, as: UInt8.self))
        }
    }

    private mutating func add(_ byte: UInt8) {
        state = (state ^ UInt64(byte)) &* 0x100_0000_01B3
    }

    var text: String { String(state, radix: 16) }
}
