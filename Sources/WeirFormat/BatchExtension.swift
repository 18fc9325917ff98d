package import WeirBase

/// The typed sections between a batch's header and its body.
package enum BatchExtension {
    package enum SectionType {
        /// Named producers and their last publishing ids.
        package static let producers: UInt16 = 1
        /// A `UInt32` a record, little-endian: its offset relative to the batch's first.
        package static let offsetTable: UInt16 = 2
        /// A dictionary of filter values, and which entry has which.
        package static let filterValues: UInt16 = 3
        /// A bloom filter over the filter values.
        package static let filterBloom: UInt16 = 4
        package static let known: Set<UInt16> = [1, 2, 3, 4]
    }

    /// The payload of the offset table, if the batch has one. Walks the sections without taking
    /// memory; what does not fit ends the walk.
    @_lifetime(copy bytes)
    package static func offsetTable(in bytes: RawSpan) -> RawSpan? {
        var place = 0
        while place + Section.headByteCount <= bytes.byteCount {
            let head = unsafe UInt64(
                littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self))
            let length = Int(head >> 32)
            let start = place + Section.headByteCount
            guard length <= bytes.byteCount - start else { return nil }
            if UInt16(truncatingIfNeeded: head) == SectionType.offsetTable {
                return bytes.extracting(start..<start + length)
            }
            place = start + roundedUp(length, to: 8)
        }
        return nil
    }

    /// Whether the sections hold only what this version understands, or may step over.
    package static func check(_ bytes: [UInt8]) throws(WeirError) {
        _ = try Section.decodeAll(bytes[...], known: SectionType.known, "batch extension")
    }
}
