package import WeirBase

/// A named producer's last publishing id, and the first record of the append that had it.
///
/// Rows stand in a batch's extension, for the producers whose appends it holds, and in a footer,
/// for all that are remembered at its segment's end; little-endian.
///
///     | count u64 | { last publishing id u64 | offset u64 | length of the name u16 | name } … |
package struct ProducerRow: Sendable, Hashable {
    package var name: ProducerName
    package var lastPublishingID: UInt64
    package var offset: Offset

    package init(name: ProducerName, lastPublishingID: UInt64, offset: Offset) {
        self.name = name
        self.lastPublishingID = lastPublishingID
        self.offset = offset
    }

    package static func encode(_ rows: [ProducerRow]) -> [UInt8] {
        precondition(rows.count <= Limits.producersMax, "more producers than are remembered")
        var writer = ByteWriter()
        writer.put(UInt64(rows.count))
        for row in rows {
            precondition(row.name.bytes.count <= Limits.producerNameBytesMax, "a long name")
            writer.put(row.lastPublishingID)
            writer.put(row.offset)
            writer.put(UInt16(row.name.bytes.count))
            writer.put(row.name.bytes)
        }
        return writer.bytes
    }

    package static func decode(
        _ bytes: ArraySlice<UInt8>, _ what: String
    ) throws(WeirError) -> [ProducerRow] {
        var reader = ByteReader(bytes, what)
        let count = try reader.count(Limits.producersMax)
        var rows: [ProducerRow] = []
        for _ in 0..<count {
            let id: UInt64 = try reader.get()
            let offset = try reader.offset()
            let length = Int(try reader.get(UInt16.self))
            guard length <= Limits.producerNameBytesMax else {
                throw WeirError.damaged(
                    "A name among the \(what) has \(length) bytes; at most "
                        + "\(Limits.producerNameBytesMax) fit.")
            }
            let name = ProducerName(stored: Array(try reader.take(length)))
            rows.append(ProducerRow(name: name, lastPublishingID: id, offset: offset))
        }
        return rows
    }
}

/// What a stream remembers of its producers: the decider of what is a duplicate.
///
/// Made of the log alone: rows of a footer, then those of every batch behind it, in their order,
/// give the same table however often and from whichever footer it is made. At most
/// `Limits.producersMax` are remembered; the one whose last append is the oldest, that is, has the
/// lowest offset, is forgotten first, and begins anew when it comes back.
package struct ProducerTable: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        package var lastPublishingID: UInt64
        /// The first record of the append with that id.
        package var offset: Offset

        package init(lastPublishingID: UInt64, offset: Offset) {
            self.lastPublishingID = lastPublishingID
            self.offset = offset
        }
    }

    private var entries: [ProducerName: Entry] = [:]
    private let capacity: Int

    package init(_ rows: [ProducerRow] = [], capacity: Int = Limits.producersMax) {
        self.capacity = capacity
        for row in rows { note(row) }
    }

    package var count: Int { entries.count }
    package subscript(name: ProducerName) -> Entry? { entries[name] }
    /// In no order.
    package var rows: [ProducerRow] {
        entries.map {
            ProducerRow(
                name: $0.key, lastPublishingID: $0.value.lastPublishingID, offset: $0.value.offset)
        }
    }

    /// Takes an append in that stands in the log. What comes later counts, whatever its number: a
    /// producer that was forgotten may have begun anew with a lower one.
    package mutating func note(_ row: ProducerRow) {
        if let known = entries[row.name], known.offset > row.offset { return }
        entries[row.name] = Entry(
            lastPublishingID: row.lastPublishingID, offset: row.offset)
        if entries.count > capacity { forgetOldest() }
    }

    /// Looks at all of them, some ten microseconds, for each new name beyond the capacity.
    private mutating func forgetOldest() {
        guard let oldest = entries.min(by: { $0.value.offset < $1.value.offset }) else { return }
        entries[oldest.key] = nil
    }
}

/// What footers and batches come to, and what keeps that from being all.
package struct ToldProducers: Sendable {
    package var table = ProducerTable()
    /// Why more may have been told: by a footer that does not hold, a file that cannot be read.
    package private(set) var doubt: WeirError?

    package init() {}

    /// A file that is gone says least: what else there is comes before it.
    package mutating func note(_ error: WeirError) {
        if doubt == nil || doubt?.code == .notFound { doubt = error }
    }
}
