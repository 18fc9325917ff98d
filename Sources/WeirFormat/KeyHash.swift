package import WeirBase

/// The 64 bits that stand for a key in the index. `Docs/INDEX.md` promises it.
package func keyHash(_ key: RawSpan) -> UInt64 {
    var hash = IndexHash()
    hash.add(key)
    return hash.value
}

func keyHash(_ key: UnsafeRawBufferPointer) -> UInt64 {
    var hash = IndexHash()
    unsafe hash.add(key)
    return hash.value
}

/// Another function for each seed: for tables in memory, which nobody must be able to fill with
/// keys of one hash.
package func keyHash(_ key: RawSpan, seed: UInt64) -> UInt64 {
    var hash = IndexHash(seed: seed)
    hash.add(key)
    return hash.value
}

package func keyHash(_ key: [UInt8]) -> UInt64 { unsafe keyHash(key.span.bytes) }

/// The 64 bits that stand for a header of a name and a value: of all values with the same text.
package func headerHash(_ name: String, _ value: HeaderValue) -> UInt64 {
    guard case .bytes(let bytes) = value else { return headerHash(name, text: value.description) }
    var hash = IndexHash()
    hash.add(name.utf8)
    // No text of another value is taken for bytes.
    hash.add(CollectionOfOne(1))
    hash.add(bytes)
    return hash.value
}

package func headerHash(_ name: String, text: String) -> UInt64 {
    var hash = IndexHash()
    hash.add(name.utf8)
    hash.add(CollectionOfOne(0))
    hash.add(text.utf8)
    return hash.value
}

/// FNV-1a over bytes, then mixed (the last steps of MurmurHash3), so that any part of it is as good
/// as another.
private struct IndexHash {
    private var state: UInt64

    init(seed: UInt64 = 0) { state = 0xCBF2_9CE4_8422_2325 ^ seed }

    mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }

    mutating func add(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { unsafe add($0) }
    }

    var value: UInt64 {
        var hash = (state ^ (state >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ (hash >> 33)
    }
}
