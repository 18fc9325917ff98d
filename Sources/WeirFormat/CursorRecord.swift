package import WeirBase

/// Which cursor: its name is its own within a stream, and the stream is meant by its id.
package struct CursorKey: Sendable, Hashable {
    package let stream: StreamID
    package let name: String

    package init(stream: StreamID, name: String) {
        self.stream = stream
        self.name = name
    }
}

/// A position and when it was committed.
package struct CursorCommit: Sendable, Hashable {
    package let position: CursorPosition
    package let time: Timestamp

    package init(position: CursorPosition, time: Timestamp) {
        self.position = position
        self.time = time
    }
}

/// A commit as a record of the stream `weir.cursors`. The key's id is big-endian, so that the
/// cursors of a stream sort together; the value is little-endian, as everything else.
///
///     key     0           8
///             | stream id | name, 1 to 128 bytes |
///
///     value   0         1          8       16       24            32
///             | version | reserved | epoch | offset | commit time |
///
/// The newest record of a key counts. A tombstone ends the cursor.
package enum CursorRecord {
    package enum KeyField { package static let stream = 0, name = 8 }
    package enum Field {
        package static let version = 0, reserved = 1, epoch = 8, offset = 16, time = 24, end = 32
    }
    package static let version: UInt8 = 1
    private static let keyTitle = "The key of a cursor's record"
    private static let valueTitle = "The value of a cursor's record"

    package static func encode(_ key: CursorKey) -> [UInt8] {
        var writer = ByteWriter(capacity: KeyField.name + key.name.utf8.count)
        writer.zeros(KeyField.name)
        writer.set(key.stream.value.byteSwapped, at: KeyField.stream)
        writer.put(Array(key.name.utf8))
        return writer.bytes
    }

    package static func encode(_ commit: CursorCommit) -> [UInt8] {
        var writer = ByteWriter(capacity: Field.end)
        writer.zeros(Field.end)
        writer.set(version, at: Field.version)
        writer.set(commit.position.epoch.value, at: Field.epoch)
        writer.set(commit.position.offset.value, at: Field.offset)
        writer.set(commit.time.microseconds, at: Field.time)
        return writer.bytes
    }

    /// Whose record it is; throws `damaged` for one that is no cursor's.
    package static func key(of record: borrowing RecordView) throws(WeirError) -> CursorKey {
        guard let key = record.key else { throw .damaged("The record of a cursor has no key.") }
        // Copied while the record's bytes stand.
        return try decodeKey(unsafe key.withUnsafeBytes { unsafe Array($0) })
    }

    /// What it says, unless it is a tombstone; throws as `decode`.
    package static func commit(
        of record: borrowing RecordView
    ) throws(WeirError) -> CursorCommit {
        try decode(unsafe record.value.withUnsafeBytes { unsafe Array($0) })
    }

    /// Throws `damaged` for bytes that are no cursor's key.
    package static func decodeKey(_ bytes: [UInt8]) throws(WeirError) -> CursorKey {
        guard bytes.count > KeyField.name else {
            throw .damaged(
                "\(keyTitle) has \(bytes.count) bytes; expected more than \(KeyField.name).")
        }
        var stream = ByteReader(bytes[KeyField.stream...], keyTitle)
        let id = StreamID(UInt64(try stream.get(UInt64.self)).byteSwapped)
        let text = String(decoding: bytes[KeyField.name...], as: UTF8.self)
        do throws(WeirError) {
            return CursorKey(
                stream: id, name: try StreamName(text, what: "cursor").description)
        } catch {
            throw .damaged("\(keyTitle) holds no name: \(error.message)")
        }
    }

    /// Throws `newerFormat` for another version, `damaged` for bytes that are no position.
    package static func decode(_ bytes: [UInt8]) throws(WeirError) -> CursorCommit {
        guard let found = bytes.first else { throw .damaged("\(valueTitle) is empty.") }
        guard found == version else {
            throw .newerFormat(
                "\(valueTitle) has version \(found), and this program knows \(version); use a "
                    + "newer Weir, or remove the cursor.")
        }
        guard bytes.count == Field.end else {
            throw .damaged("\(valueTitle) has \(bytes.count) bytes; expected \(Field.end).")
        }
        func word(_ field: Int) throws(WeirError) -> UInt64 {
            var reader = ByteReader(bytes[field...], valueTitle)
            return try reader.get(UInt64.self)
        }
        return CursorCommit(
            position: CursorPosition(
                epoch: Epoch(try word(Field.epoch)), offset: Offset(try word(Field.offset))),
            time: Timestamp(microseconds: Int64(bitPattern: try word(Field.time))))
    }
}
