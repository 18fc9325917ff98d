import CISAL

/// The two checksums of the format, by ISA-L (65 GB/s where plain zlib gives 4).
///
/// Both are the standard ones: `seed` is the checksum of what comes before, so that pieces chain.

/// CRC-32C (Castagnoli) of bytes: `0xE3069283` for "123456789".
package func crc32c(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
    guard let base = bytes.baseAddress else { return seed }
    // ISA-L leaves out the inversion at both ends, takes an `Int32` length and, though it only
    // reads, a mutable pointer.
    precondition(bytes.count <= Int(Int32.max), "a checksum over more than 2 GiB at once")
    let start = unsafe UnsafeMutablePointer(mutating: base.assumingMemoryBound(to: UInt8.self))
    return unsafe ~crc32_iscsi(start, Int32(bytes.count), ~seed)
}

/// CRC-32 (IEEE 802.3, as in zlib) of bytes: `0xCBF43926` for "123456789".
package func crc32(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
    guard let base = bytes.baseAddress else { return seed }
    let start = unsafe base.assumingMemoryBound(to: UInt8.self)
    return unsafe crc32_gzip_refl(seed, start, UInt64(bytes.count))
}

package func crc32c(_ bytes: RawSpan, seed: UInt32 = 0) -> UInt32 {
    unsafe bytes.withUnsafeBytes { unsafe crc32c($0, seed: seed) }
}

package func crc32(_ bytes: RawSpan, seed: UInt32 = 0) -> UInt32 {
    unsafe bytes.withUnsafeBytes { unsafe crc32($0, seed: seed) }
}
