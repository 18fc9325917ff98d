import WeirBase

/// Where a compaction has met each key last: a table of bounded memory over exact keys.
///
///     slots:  | hash | where its key is | segment | record | bytes |   open addressing
///     keys:   | length | key | length | key | …
///
/// Keys are compared byte by byte, so two that share a hash are two keys. When it is full it keeps
/// the lower half of the hashes that it still takes and forgets the rest: what was said of those
/// stays true, and they are met again in the next pass.
///
///     pass 1:  [0 ────────── end)            full ─▶ end falls
///     pass 2:              [start ── end)    until the end is the end of all hashes
package struct KeyMap: ~Copyable {
    /// What the map says of a record's key.
    package enum Finding: Hashable {
        /// The key was not met before; it is now.
        case first
        /// A later record has the key, in a later segment as a rule: this is the latest. The one
        /// that was asked about is of no more use.
        case superseded(segment: Int, record: Int)
        /// This record is the latest so far, and an earlier one of the same segment is of no more
        /// use.
        case supersedes(record: Int, byteCount: Int, isTombstone: Bool)
        /// The key is for another pass.
        case notNow
        /// No map of this size holds the key.
        case tooLong
    }

    private struct Slot {
        var hash: UInt64
        var key: UInt32
        /// Plus one; zero in a free slot.
        var segment: UInt32
        var record: UInt32
        /// Of the record, and whether it is a tombstone: no record comes near to 2 GiB.
        var size: UInt32
        var isFree: Bool { segment == 0 }
        static var free: Slot { Slot(hash: 0, key: 0, segment: 0, record: 0, size: 0) }
        static func size(_ byteCount: Int, isTombstone: Bool) -> UInt32 {
            UInt32(byteCount) << 1 | (isTombstone ? 1 : 0)
        }
    }
    private static let slotByteCount = 24
    /// Keys begin at multiples of this, so that 32 bits reach over 32 GiB.
    private static let keyAlignment = 8
    private static let keyLengthByteCount = 4

    private var slots: [Slot]
    private var keys: [UInt8] = []
    private let keyBytesMax: Int
    private let countMax: Int
    package private(set) var count = 0
    /// Hashes that this pass takes.
    private var start: UInt64 = 0
    private var last: UInt64 = .max
    private let hash: (RawSpan) -> UInt64
    /// What `fetch` read: kept, or the compiler would leave the reading out.
    private var fetched: UInt64 = 0

    /// For at most `recordsMax` records. `hash` is another one in tests only: what the map answers
    /// must not depend on it.
    package init(byteCount: Int, recordsMax: Int = .max, hash: @escaping (RawSpan) -> UInt64) {
        // Half for slots, the rest for keys; not more than a few records could fill.
        let most = max(byteCount / 2 / KeyMap.slotByteCount, 4)
        let slotCount = recordsMax < most / 2 ? max(recordsMax * 2, 4) : most
        self.slots = Array(
            repeating: .free, count: slotCount)
        self.countMax = slotCount * 3 / 4
        self.keyBytesMax = max(byteCount - slotCount * KeyMap.slotByteCount, 64)
        self.hash = hash
        // At once, since growing by doubling would take twice the bound; memory that nobody touches
        // is none.
        keys.reserveCapacity(keyBytesMax)
    }

    package func hash(of key: RawSpan) -> UInt64 { hash(key) }

    /// Reads what `note` will look at for keys of these hashes: a hint, which changes no answer.
    ///
    /// Key by key, each would wait for memory twice. Here no reading waits for another, so the
    /// processor does many at once.
    package mutating func fetch(_ hashes: [UInt64]) {
        var sum: UInt64 = 0
        for hash in hashes where hash >= start && hash <= last {
            let slot = slots[home(of: hash)]
            sum &+= slot.hash ^ UInt64(slot.size)
        }
        for hash in hashes where hash >= start && hash <= last {
            var index = home(of: hash)
            while !slots[index].isFree, slots[index].hash != hash { index = next(index) }
            // The last byte lies behind the length, which is read for it.
            if !slots[index].isFree { sum &+= UInt64(keys[range(of: slots[index]).upperBound - 1]) }
        }
        fetched = sum
    }

    /// Takes a record in: the one at a place of a segment, with its key's hash and its size. Of one
    /// pass, later segments come before earlier ones; within a segment records come in their order.
    package mutating func note(
        _ key: RawSpan, hash: UInt64, segment: Int, record: Int, byteCount: Int,
        isTombstone: Bool
    ) -> Finding {
        guard hash >= start, hash <= last else { return .notNow }
        var index = slot(of: key, hash)
        if !slots[index].isFree {
            let earlier = slots[index]
            guard earlier.segment == UInt32(segment + 1) else {
                return .superseded(
                    segment: Int(earlier.segment) - 1, record: Int(earlier.record))
            }
            slots[index].record = UInt32(record)
            slots[index].size = Slot.size(byteCount, isTombstone: isTombstone)
            return .supersedes(
                record: Int(earlier.record), byteCount: Int(earlier.size >> 1),
                isTombstone: earlier.size & 1 == 1)
        }
        guard KeyMap.stored(key.byteCount) <= keyBytesMax else { return .tooLong }
        while isFull(for: key) {
            // One hash is all that is left, and its keys alone fill the map.
            guard start < last else { return .tooLong }
            last = start + (last - start) / 2
            forget()
            guard hash <= last else { return .notNow }
            index = slot(of: key, hash)
        }
        slots[index] = Slot(
            hash: hash, key: UInt32(keys.count / KeyMap.keyAlignment),
            segment: UInt32(segment + 1), record: UInt32(record),
            size: Slot.size(byteCount, isTombstone: isTombstone))
        keep(key)
        count += 1
        return .first
    }

    /// Goes on to the hashes that this pass did not take. `false` if it took all.
    package mutating func beginNextPass() -> Bool {
        guard last < .max else { return false }
        start = last + 1
        last = .max
        keys.removeAll(keepingCapacity: true)
        for index in slots.indices { slots[index] = .free }
        count = 0
        return true
    }

    private func isFull(for key: RawSpan) -> Bool {
        count >= countMax || keys.count + KeyMap.stored(key.byteCount) > keyBytesMax
    }

    /// What a key of so many bytes takes.
    private static func stored(_ byteCount: Int) -> Int {
        (keyLengthByteCount + byteCount + keyAlignment - 1) / keyAlignment * keyAlignment
    }

    private mutating func keep(_ key: RawSpan) {
        let end = keys.count + KeyMap.stored(key.byteCount)
        unsafe withUnsafeBytes(of: UInt32(key.byteCount)) { unsafe keys.append(contentsOf: $0) }
        unsafe key.withUnsafeBytes { unsafe keys.append(contentsOf: $0) }
        while keys.count < end { keys.append(0) }
    }

    /// Where a slot's key stands in `keys`.
    private func range(of slot: Slot) -> Range<Int> {
        let start = Int(slot.key) * KeyMap.keyAlignment
        let length = unsafe keys.withUnsafeBytes {
            unsafe $0.loadUnaligned(fromByteOffset: start, as: UInt32.self)
        }
        let first = start + KeyMap.keyLengthByteCount
        return first..<first + Int(length)
    }

    /// The share of all slots that a product's share of all numbers is, so that their number need
    /// not be a power of two. Not the hash's own: those of a pass may all have the same high bits.
    private func home(of hash: UInt64) -> Int {
        let mixed = hash &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed.multipliedFullWidth(by: UInt64(slots.count)).high)
    }

    private func next(_ index: Int) -> Int { index + 1 == slots.count ? 0 : index + 1 }

    /// The slot that has the key, or the free one where it belongs.
    private func slot(of key: RawSpan, _ hash: UInt64) -> Int {
        var index = home(of: hash)
        while !slots[index].isFree {
            if slots[index].hash == hash, holds(slots[index], key) { return index }
            index = next(index)
        }
        return index
    }

    private func holds(_ slot: Slot, _ key: RawSpan) -> Bool {
        let range = range(of: slot)
        guard range.count == key.byteCount else { return false }
        return unsafe key.withUnsafeBytes { wanted in
            unsafe keys.withUnsafeBytes { known in
                unsafe KeyMap.isEqual(wanted, UnsafeRawBufferPointer(rebasing: known[range]))
            }
        }
    }

    /// Of two keys of one length, eight bytes at a time.
    private static func isEqual(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer
    ) -> Bool {
        var place = 0
        while place + 8 <= first.count {
            let word = unsafe first.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            let other = unsafe second.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            guard word == other else { return false }
            place += 8
        }
        return unsafe first[place...].elementsEqual(second[place...])
    }

    /// Drops the keys that this pass takes no more; the others move up.
    private mutating func forget() {
        var kept = slots.filter { !$0.isFree && $0.hash <= last }
        kept.sort { $0.key < $1.key }
        for index in slots.indices { slots[index] = .free }
        var end = 0
        for place in kept.indices {
            let from = Int(kept[place].key) * KeyMap.keyAlignment
            let byteCount = KeyMap.stored(range(of: kept[place]).count)
            for step in 0..<byteCount { keys[end + step] = keys[from + step] }
            kept[place].key = UInt32(end / KeyMap.keyAlignment)
            end += byteCount
        }
        keys.removeLast(keys.count - end)
        count = kept.count
        for entry in kept {
            var index = home(of: entry.hash)
            while !slots[index].isFree { index = next(index) }
            slots[index] = entry
        }
    }
}
