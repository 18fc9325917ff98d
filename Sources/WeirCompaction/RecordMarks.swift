/// Marks of a segment's records by their place in it: one bit each.
package struct RecordMarks: Sendable, Hashable {
    private var words: [UInt64]
    package let count: Int

    package init(count: Int) {
        self.count = count
        self.words = Array(repeating: 0, count: (count + 63) / 64)
    }

    package subscript(place: Int) -> Bool {
        get { words[place >> 6] >> UInt64(place & 63) & 1 == 1 }
        set {
            let bit: UInt64 = 1 << UInt64(place & 63)
            if newValue { words[place >> 6] |= bit } else { words[place >> 6] &= ~bit }
        }
    }

    /// How many of a range are set.
    package func count(in range: Range<Int>) -> Int {
        var found = 0
        var place = range.lowerBound
        while place < range.upperBound {
            if place & 63 == 0, place + 64 <= range.upperBound {
                found += words[place >> 6].nonzeroBitCount
                place += 64
            } else {
                if self[place] { found += 1 }
                place += 1
            }
        }
        return found
    }

    package mutating func subtract(_ other: RecordMarks) {
        precondition(other.count == count, "marks of \(other.count) records for \(count)")
        for index in words.indices { words[index] &= ~other.words[index] }
    }

    package mutating func formUnion(_ other: RecordMarks) {
        precondition(other.count == count, "marks of \(other.count) records for \(count)")
        for index in words.indices { words[index] |= other.words[index] }
    }
}
