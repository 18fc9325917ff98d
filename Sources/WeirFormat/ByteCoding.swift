package import WeirBase

/// Little-endian bytes for everything that is not on a hot path: headers, footers, edits.
package struct ByteWriter {
    package private(set) var bytes: [UInt8]

    package init(capacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package var count: Int { bytes.count }

    package mutating func put<T: FixedWidthInteger>(_ value: T) {
        unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes.append(contentsOf: $0) }
    }
    package mutating func put(_ more: [UInt8]) { bytes.append(contentsOf: more) }
    package mutating func put(_ offset: Offset) { put(offset.value) }
    package mutating func put(_ position: FilePosition) { put(position.value) }
    package mutating func put(_ epoch: Epoch) { put(epoch.value) }
    package mutating func put(_ time: Timestamp) { put(time.microseconds) }
    package mutating func put(_ id: some HexadecimalID) { put(id.value) }

    /// Zeros up to the next multiple.
    package mutating func pad(to alignment: Int) {
        let end = roundedUp(bytes.count, to: alignment)
        bytes.append(contentsOf: repeatElement(0, count: end - bytes.count))
    }
    package mutating func zeros(_ count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: count))
    }
    /// Replaces what stands at a field's place.
    package mutating func set<T: FixedWidthInteger>(_ value: T, at place: Int) {
        precondition(place + MemoryLayout<T>.size <= bytes.count, "a field beyond the end")
        unsafe withUnsafeBytes(of: value.littleEndian) { source in
            for index in 0..<source.count { unsafe bytes[place + index] = source[index] }
        }
    }
}

/// Reads what `ByteWriter` writes; never beyond its end, and never takes memory for a length that
/// it has not compared with what is left.
package struct ByteReader {
    package let bytes: ArraySlice<UInt8>
    package private(set) var position: Int
    /// Names the structure in errors.
    package let what: String

    package init(_ bytes: ArraySlice<UInt8>, _ what: String) {
        self.bytes = bytes
        self.position = bytes.startIndex
        self.what = what
    }
    package init(_ bytes: [UInt8], _ what: String) { self.init(bytes[...], what) }

    package var left: Int { bytes.endIndex - position }
    package var isAtEnd: Bool { left == 0 }

    package mutating func get<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(WeirError) -> T
    {
        let slice = try take(MemoryLayout<T>.size)
        // As many bytes as the number has, by the line above.
        return unsafe slice.withUnsafeBytes { unsafe T(littleEndian: $0.loadUnaligned(as: T.self)) }
    }

    package mutating func take(_ count: Int) throws(WeirError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= left else {
            throw WeirError.damaged(
                "The \(what) is too short: \(count) bytes are expected where \(left) are left.")
        }
        defer { position += count }
        return bytes[position..<position + count]
    }

    package mutating func offset() throws(WeirError) -> Offset { Offset(try get()) }
    package mutating func place() throws(WeirError) -> FilePosition { FilePosition(try get()) }
    package mutating func epoch() throws(WeirError) -> Epoch { Epoch(try get()) }
    package mutating func time() throws(WeirError) -> Timestamp {
        Timestamp(microseconds: try get())
    }
    /// An id, under the name of its type.
    package mutating func id<ID: HexadecimalID>(_ type: ID.Type = ID.self) throws(WeirError) -> ID {
        ID(try get())
    }
    /// A stream's name that fills `byteCount` bytes; what is none is damage, not a caller's slip.
    package mutating func streamName(byteCount: Int) throws(WeirError) -> StreamName {
        let bytes = try take(byteCount)
        do throws(WeirError) {
            return try StreamName(String(decoding: bytes, as: UTF8.self))
        } catch {
            throw WeirError.damaged("The \(what) names no stream. \(error.message)")
        }
    }
    /// A count of bytes or records that must be at most `most`.
    package mutating func count(_ most: Int) throws(WeirError) -> Int {
        let found: UInt64 = try get()
        guard found <= UInt64(most) else {
            throw WeirError.damaged("The \(what) has a length of \(found); at most \(most) fits.")
        }
        return Int(found)
    }
}

package func crc32c(_ bytes: ArraySlice<UInt8>, seed: UInt32 = 0) -> UInt32 {
    unsafe bytes.withUnsafeBytes { unsafe crc32c($0, seed: seed) }
}
package func crc32c(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 { crc32c(bytes[...], seed: seed) }
