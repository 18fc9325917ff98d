/// Loads and stores at an address, unaligned, in the byte order that the format names.
///
/// These are the one place where format code meets raw memory. Callers have checked the range; each
/// call says so with `unsafe`.
extension UnsafeRawPointer {
    @inlinable @inline(__always)
    package func little<T: FixedWidthInteger>(_ offset: Int, as type: T.Type = T.self) -> T {
        unsafe T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    @inlinable @inline(__always)
    package func big<T: FixedWidthInteger>(_ offset: Int, as type: T.Type = T.self) -> T {
        unsafe T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }
}

extension UnsafeMutableRawPointer {
    @inlinable @inline(__always)
    package func storeLittle<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ offset: Int) {
        unsafe storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }

    @inlinable @inline(__always)
    package func storeBig<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ offset: Int) {
        unsafe storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self)
    }
}

/// Whether the same bytes stand at two addresses; eight at a time, as names are compared with each
/// record's.
@inline(__always)
func isSame(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, byteCount: Int) -> Bool {
    var place = 0
    if byteCount >= 8 {
        while place < byteCount - 8 {
            guard unsafe a.little(place, as: UInt64.self) == b.little(place) else { return false }
            place += 8
        }
        // The last eight, some of them for the second time.
        place = byteCount - 8
    }
    while place + 8 <= byteCount {
        guard unsafe a.little(place, as: UInt64.self) == b.little(place) else { return false }
        place += 8
    }
    while place < byteCount {
        guard unsafe a.little(place, as: UInt8.self) == b.little(place) else { return false }
        place += 1
    }
    return true
}

/// Everything on disk begins at multiples of eight bytes.
@inlinable
package func roundedUp(_ value: Int, to alignment: Int) -> Int {
    (value + alignment - 1) / alignment * alignment
}
