/// The name of a producer: 1 to 255 bytes of UTF-8, compared byte by byte.
///
/// Bytes rather than a `String`, which takes two spellings of one letter for equal: what one
/// producer sent must never pass for another's.
package struct ProducerName: Sendable, Hashable, CustomStringConvertible {
    package let bytes: [UInt8]

    /// Throws `invalidArgument` for a name that is empty or too long.
    package init(_ text: String) throws(WeirError) {
        let bytes = Array(text.utf8)
        guard (1...Limits.producerNameBytesMax).contains(bytes.count) else {
            throw WeirError(
                .invalidArgument,
                "The producer's name has \(bytes.count) bytes; expected 1 to "
                    + "\(Limits.producerNameBytesMax).")
        }
        self.bytes = bytes
    }

    /// As it stands in a file.
    package init(stored bytes: [UInt8]) { self.bytes = bytes }

    package var description: String { String(decoding: bytes, as: UTF8.self) }
}
