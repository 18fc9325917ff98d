/// The number of a record in its stream, counted from 0.
///
/// Offsets never change: not by compaction, not by recovery, not by a restart. `a - b` is a count
/// of records, `a + n` an offset.
@frozen
public struct Offset: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var value: UInt64

    @inlinable public init(_ value: UInt64) { self.value = value }

    public static let zero = Offset(0)

    @inlinable public static func < (a: Offset, b: Offset) -> Bool { a.value < b.value }
    /// `UInt64.max` is the largest offset; a sum that does not fit saturates there.
    @inlinable public static func + (a: Offset, recordCount: Int) -> Offset {
        let (sum, overflow) = a.value.addingReportingOverflow(UInt64(clamping: recordCount))
        return Offset(overflow ? .max : sum)
    }
    /// Records from `b` up to `a`; zero where `b` lies behind `a`.
    @inlinable public static func - (a: Offset, b: Offset) -> Int {
        a.value <= b.value ? 0 : Int(clamping: a.value - b.value)
    }

    public var description: String { "\(value)" }
}

extension Offset: ExpressibleByIntegerLiteral {
    @inlinable public init(integerLiteral value: UInt64) { self.init(value) }
}

/// The number of a writer's opening of the store, counted from 1 and stamped in every batch.
@frozen
public struct Epoch: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var value: UInt64
    @inlinable public init(_ value: UInt64) { self.value = value }
    @inlinable public static func < (a: Epoch, b: Epoch) -> Bool { a.value < b.value }
    public var description: String { "\(value)" }
}

/// A place in a file, in bytes from its start.
@frozen
public struct FilePosition: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var value: UInt64
    @inlinable public init(_ value: UInt64) { self.value = value }
    public static let zero = FilePosition(0)
    @inlinable public static func < (a: FilePosition, b: FilePosition) -> Bool {
        a.value < b.value
    }
    @inlinable public static func + (a: FilePosition, byteCount: Int) -> FilePosition {
        FilePosition(a.value &+ UInt64(clamping: byteCount))
    }
    /// Bytes from `b` up to `a`; zero where `b` lies behind `a`.
    @inlinable public static func - (a: FilePosition, b: FilePosition) -> Int {
        a.value <= b.value ? 0 : Int(clamping: a.value - b.value)
    }
    public var description: String { "\(value)" }
}
