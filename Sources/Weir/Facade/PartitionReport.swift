public import WeirBase

/// How the records of a partitioned stream are spread: which partition is hot.
public struct PartitionReport: Sendable {
    public struct Row: Sendable, Hashable {
        public let partition: Int
        public let stream: String
        public let firstOffset: Offset
        public let endOffset: Offset
        /// Records that are there, and bytes of their files.
        public let records: Int
        public let bytes: Int
        public let segments: Int
        /// Records appended since this process opened the store, by whomever.
        public let recordsSinceOpen: Int
    }

    public let name: String
    /// One a partition, in the order of their numbers.
    public let rows: [Row]

    public var records: Int { rows.reduce(0) { $0 + $1.records } }
    public var bytes: Int { rows.reduce(0) { $0 + $1.bytes } }
    public var recordsSinceOpen: Int { rows.reduce(0) { $0 + $1.recordsSinceOpen } }

    /// The part of all records that a row has, from 0 to 1. Even shares are 1 through the number
    /// of partitions.
    public func share(_ row: Row) -> Double { PartitionReport.share(row.records, of: records) }

    /// The same of the records since this process opened the store.
    public func shareSinceOpen(_ row: Row) -> Double {
        PartitionReport.share(row.recordsSinceOpen, of: recordsSinceOpen)
    }

    /// The row with the most records since the opening; where there are none, with the most at all.
    public var hottest: Row? {
        let isUsed = recordsSinceOpen > 0
        func heat(_ row: Row) -> Int { isUsed ? row.recordsSinceOpen : row.records }
        return rows.max { heat($0) < heat($1) }
    }

    private static func share(_ part: Int, of whole: Int) -> Double {
        whole == 0 ? 0 : Double(part) / Double(whole)
    }
}

extension PartitionedStream {
    /// Looks at every segment of every partition. May wait for the disk; reads no records.
    public func report() throws(WeirError) -> PartitionReport {
        var rows: [PartitionReport.Row] = []
        for (index, partition) in partitions.enumerated() {
            let info = try partition.info()
            rows.append(
                PartitionReport.Row(
                    partition: index, stream: info.name, firstOffset: info.firstOffset,
                    endOffset: info.endOffset, records: info.recordCount,
                    bytes: info.logicalBytes, segments: info.segments.count,
                    recordsSinceOpen: partition.recordsSinceOpen))
        }
        return PartitionReport(name: name.description, rows: rows)
    }
}
