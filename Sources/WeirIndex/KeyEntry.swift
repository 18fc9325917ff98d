package import WeirBase

/// A key's hash and the offset of a record that has the key; ordered by hash, then by offset.
package struct KeyEntry: Sendable, Hashable, Comparable {
    package var hash: UInt64
    package var offset: Offset

    package init(hash: UInt64, offset: Offset) {
        self.hash = hash
        self.offset = offset
    }

    package static func < (a: KeyEntry, b: KeyEntry) -> Bool {
        a.hash != b.hash ? a.hash < b.hash : a.offset < b.offset
    }

    static let least = KeyEntry(hash: 0, offset: .zero)
    /// Behind every entry: no record has the last of all offsets.
    static let beyond = KeyEntry(hash: .max, offset: Offset(.max))
}
