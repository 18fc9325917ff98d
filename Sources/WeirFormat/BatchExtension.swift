import WeirBase

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

    /// The payload of the offset table, if the batch has one.
    @_lifetime(copy bytes)
    package static func offsetTable(in bytes: RawSpan) -> RawSpan? {
        payload(of: SectionType.offsetTable, in: bytes)
    }

    /// Whether a table has an offset for each record, and these rise within the batch's.
    package static func isGood(_ table: RawSpan, of header: BatchHeader) -> Bool {
        guard table.byteCount == header.recordCount * 4 else { return false }
        var next: UInt32 = 0
        for place in stride(from: 0, to: table.byteCount, by: 4) {
            let offset = unsafe UInt32(
                littleEndian: table.unsafeLoadUnaligned(fromByteOffset: place, as: UInt32.self))
            guard offset >= next, offset < header.offsetSpan else { return false }
            next = offset + 1
        }
        return true
    }

    /// The sections of a batch with appends of these producers. Not critical: a reader that does
    /// not know it misses no record.
    package static func encode(producers: [ProducerRow]) -> [UInt8] {
        var writer = ByteWriter(capacity: 64 + producers.count * 64)
        Section(type: SectionType.producers, payload: ProducerRow.encode(producers))
            .encode(to: &writer)
        return writer.bytes
    }

    /// The sections of a batch that keeps some of its records: their offsets relative to the
    /// batch's first, and what else the extension held. Critical: without the table a reader would
    /// count the records from the first offset on.
    package static func encode(offsets: [UInt32], keeping rest: RawSpan) -> [UInt8] {
        var writer = ByteWriter(capacity: 16 + offsets.count * 4 + rest.byteCount)
        if !offsets.isEmpty {
            var table = ByteWriter(capacity: offsets.count * 4)
            for offset in offsets { table.put(offset) }
            Section(type: SectionType.offsetTable, flags: Section.critical, payload: table.bytes)
                .encode(to: &writer)
        }
        writer.put(sections(in: rest, without: [SectionType.offsetTable]))
        return writer.bytes
    }

    /// The sections as they stand, but for some types.
    package static func sections(in bytes: RawSpan, without types: Set<UInt16>) -> [UInt8] {
        var writer = ByteWriter(capacity: bytes.byteCount)
        var place = 0
        while place + Section.headByteCount <= bytes.byteCount {
            let head = unsafe UInt64(
                littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self))
            let end = place + Section.headByteCount + roundedUp(Int(head >> 32), to: 8)
            guard end <= bytes.byteCount else { break }
            if !types.contains(UInt16(truncatingIfNeeded: head)) {
                writer.put(
                    unsafe bytes.extracting(place..<end).withUnsafeBytes { unsafe Array($0) })
            }
            place = end
        }
        return writer.bytes
    }

    /// Whose appends the batch holds: rows in the order in which they are to be taken in.
    package static func producers(in bytes: RawSpan) -> [ProducerRow] {
        guard let payload = payload(of: SectionType.producers, in: bytes) else { return [] }
        do throws(WeirError) {
            return try ProducerRow.decode(
                unsafe payload.withUnsafeBytes { unsafe Array($0) }[...], "batch's producers")
        } catch {
            // Its checksum held, so it was made wrong: the records are good, and that is all.
            return []
        }
    }

    /// The first section of a type. Walks the sections without taking memory; what does not fit
    /// ends the walk.
    @_lifetime(copy bytes)
    private static func payload(of type: UInt16, in bytes: RawSpan) -> RawSpan? {
        var place = 0
        while place + Section.headByteCount <= bytes.byteCount {
            let head = unsafe UInt64(
                littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self))
            let length = Int(head >> 32)
            let start = place + Section.headByteCount
            guard length <= bytes.byteCount - start else { return nil }
            if UInt16(truncatingIfNeeded: head) == type {
                return bytes.extracting(start..<start + length)
            }
            place = start + roundedUp(length, to: 8)
        }
        return nil
    }

    /// What a walk over all sections found.
    package enum Finding: Sendable, Hashable {
        /// Every section is known, or may be stepped over.
        case understood
        /// A section of this type must be understood, and this version does not know it.
        case newer(UInt16)
        /// Lengths do not fit, although the extension's checksum held: it was made wrong.
        case malformed
    }

    /// Whether a reader may go on with the batch. Takes no memory.
    package static func examine(_ bytes: RawSpan) -> Finding {
        var place = 0
        while place < bytes.byteCount {
            guard place + Section.headByteCount <= bytes.byteCount else { return .malformed }
            let head = unsafe UInt64(
                littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self))
            let type = UInt16(truncatingIfNeeded: head)
            let flags = UInt16(truncatingIfNeeded: head >> 16)
            let stored = Section.headByteCount + roundedUp(Int(head >> 32), to: 8)
            guard stored <= bytes.byteCount - place else { return .malformed }
            if flags & Section.critical != 0, !SectionType.known.contains(type) {
                return .newer(type)
            }
            place += stored
        }
        return .understood
    }
}
