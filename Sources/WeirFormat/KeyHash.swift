/// The 64 bits that stand for a key in the index: FNV-1a over its bytes, then mixed (the last steps
/// of MurmurHash3), so that any part of them is as good as another. `Docs/INDEX.md` promises it.
package func keyHash(_ key: RawSpan) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    unsafe key.withUnsafeBytes { bytes in
        for index in bytes.indices {
            hash = unsafe (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3
        }
    }
    hash = (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    return hash ^ (hash >> 33)
}
