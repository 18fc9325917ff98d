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

extension [KeyEntry] {
    private static let digitBits = 11
    /// With fewer of them, counting digits costs more than comparing entries.
    private static let countedMin = 1024

    /// Sorts them.
    ///
    /// A feed's entries come in the order of offsets, so only their hashes are to be put in order:
    /// digit by digit, each time keeping what is equal as it was. The upper half of the hash, as
    /// three digits, leaves few out of order, as good a hash as it is; those are moved one by one.
    /// That is a twentieth of the time that comparing takes.
    mutating func putInOrder() {
        let isByOffset = zip(self, dropFirst()).allSatisfy { $0.offset <= $1.offset }
        guard isByOffset, count >= Self.countedMin else { return sort() }
        var other = [KeyEntry](repeating: .least, count: count)
        for shift in stride(
            from: UInt64.bitWidth - 3 * Self.digitBits, to: UInt64.bitWidth, by: Self.digitBits)
        {
            distribute(into: &other, shift: shift)
            swap(&self, &other)
        }
        // Whoever chooses keys can have as many with one upper half as they like.
        if !settle(movesMax: count) { sort() }
    }

    /// Moves each entry that stands behind greater ones before them. `false`: that took too long.
    private mutating func settle(movesMax: Int) -> Bool {
        var movesLeft = movesMax
        for next in indices.dropFirst() where self[next] < self[next - 1] {
            let entry = self[next]
            var place = next
            while place > 0, entry < self[place - 1] {
                self[place] = self[place - 1]
                place -= 1
                movesLeft -= 1
                guard movesLeft > 0 else { break }
            }
            self[place] = entry
            guard movesLeft > 0 else { return false }
        }
        return true
    }

    private func distribute(into target: inout [KeyEntry], shift: Int) {
        let mask = UInt64(1 << Self.digitBits - 1)
        // How often each digit comes, and then where the next entry with it goes.
        var places = [Int](repeating: 0, count: 1 << Self.digitBits)
        for entry in self { places[Int(entry.hash >> UInt64(shift) & mask)] += 1 }
        var sum = 0
        for digit in places.indices {
            (places[digit], sum) = (sum, sum + places[digit])
        }
        var sorted = target.mutableSpan
        for entry in self {
            let digit = Int(entry.hash >> UInt64(shift) & mask)
            sorted[places[digit]] = entry
            places[digit] += 1
        }
    }
}
