package import WeirBase

/// Which of several sources comes next: the one whose next record has the least time, and of equals
/// the first in the list. A binary heap with one entry a source; it sees times, never records.
package struct MergeQueue: Sendable {
    package struct Entry: Sendable, Hashable, Comparable {
        package let time: Timestamp
        package let source: Int

        package static func < (a: Entry, b: Entry) -> Bool {
            a.time == b.time ? a.source < b.source : a.time < b.time
        }
    }

    /// The children of the entry at `i` stand at `2i + 1` and `2i + 2`, and neither is less.
    private var entries: [Entry] = []

    package init() {}

    package mutating func insert(_ time: Timestamp, of source: Int) {
        entries.append(Entry(time: time, source: source))
        var place = entries.count - 1
        while place > 0, entries[place] < entries[(place - 1) / 2] {
            entries.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    package mutating func takeFirst() -> Entry? {
        guard let first = entries.first, let last = entries.popLast() else { return nil }
        guard !entries.isEmpty else { return first }
        entries[0] = last
        sink()
        return first
    }

    private mutating func sink() {
        var place = 0
        while true {
            let children = (2 * place + 1)..<min(2 * place + 3, max(entries.count, 2 * place + 1))
            guard let least = children.min(by: { entries[$0] < entries[$1] }),
                entries[least] < entries[place]
            else { return }
            entries.swapAt(least, place)
            place = least
        }
    }
}
