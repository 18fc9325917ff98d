/// Permission to hold, in bytes of records (unpacked) and in records. Both count.
///
/// Sums and differences saturate; neither part goes below zero, except in a ledger's balance, where
/// a negative one is the debt of an overdraft.
@frozen
public struct Credit: Sendable, Hashable, CustomStringConvertible {
    public var bytes: Int
    public var records: Int

    @inlinable public init(bytes: Int, records: Int) {
        self.bytes = bytes
        self.records = records
    }

    public static let zero = Credit(bytes: 0, records: 0)
    /// More than any machine holds, and far from where sums overflow.
    public static let unlimited = Credit(bytes: 1 << 60, records: 1 << 60)

    @inlinable public static func + (a: Credit, b: Credit) -> Credit {
        Credit(bytes: saturatingSum(a.bytes, b.bytes), records: saturatingSum(a.records, b.records))
    }
    @inlinable public static func - (a: Credit, b: Credit) -> Credit {
        Credit(
            bytes: saturatingDifference(a.bytes, b.bytes),
            records: saturatingDifference(a.records, b.records))
    }
    @inlinable public static func += (a: inout Credit, b: Credit) { a = a + b }
    @inlinable public static func -= (a: inout Credit, b: Credit) { a = a - b }

    /// Whether as much as `other` is there, in both parts.
    @inlinable public func covers(_ other: Credit) -> Bool {
        bytes >= other.bytes && records >= other.records
    }
    /// Whether there is something left of both parts.
    @inlinable public var isPositive: Bool { bytes > 0 && records > 0 }

    /// The smaller of each part.
    @inlinable public func limited(to other: Credit) -> Credit {
        Credit(bytes: min(bytes, other.bytes), records: min(records, other.records))
    }

    public var description: String { "\(bytes) bytes and \(records) records" }
}

@inlinable func saturatingSum(_ a: Int, _ b: Int) -> Int {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? (b < 0 ? .min : .max) : sum
}

@inlinable func saturatingDifference(_ a: Int, _ b: Int) -> Int {
    let (difference, overflow) = a.subtractingReportingOverflow(b)
    return overflow ? (b < 0 ? .max : .min) : difference
}
