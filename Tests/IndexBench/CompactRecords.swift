import Foundation
import Weir

/// Records whose keys follow from their numbers alone, so that whoever knows a number knows all.
/// `Benchmarks/CompactPeers` makes the same ones.
struct CompactRecords {
    enum Pattern {
        /// Any of so many keys.
        case random(keyCount: UInt64)
        /// So many keys in turn, each as often as the others.
        case turns(keyCount: UInt64)
        /// So many of a hundred records are superseded, wherever one looks; the others have a key
        /// of their own.
        case dead(percent: UInt64)
    }

    let pattern: Pattern
    let count: Int
    static let batchRecords = 1000
    static let valueBytes = 100
    /// They take those who are superseded: their last records are few, and at the end.
    private static let hotKeyCount: UInt64 = 1000

    /// The last steps of SplitMix64: numbers in a row become numbers without any order.
    static func mixed(_ number: UInt64) -> UInt64 {
        var word = number &+ 0x9E37_79B9_7F4A_7C15
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    func key(of number: Int) -> UInt64 {
        let drawn = Self.mixed(UInt64(number))
        switch pattern {
        case .random(let keyCount): return drawn % keyCount
        case .turns(let keyCount): return UInt64(number) % keyCount
        case .dead(let percent):
            guard drawn % 100 < percent else { return Self.hotKeyCount + UInt64(number) }
            return Self.mixed(drawn) % Self.hotKeyCount
        }
    }

    /// A key as it is stored: 16 hexadecimal digits.
    static func put(_ key: UInt64, into text: inout [UInt8]) {
        for index in 0..<16 {
            let digit = UInt8(truncatingIfNeeded: key >> UInt64(60 - 4 * index)) & 15
            text[index] = digit < 10 ? 48 + digit : 87 + digit
        }
    }

    /// The record's number, and behind it bytes that do not shrink.
    static func put(_ number: Int, into value: inout [UInt8]) {
        value.withUnsafeMutableBytes { bytes in
            for start in stride(from: 0, to: valueBytes, by: 8) {
                var word = UInt64(number).littleEndian
                if start > 0 { word = mixed(UInt64(number) &+ UInt64(start)).littleEndian }
                withUnsafeBytes(of: &word) { source in
                    for index in 0..<min(8, valueBytes - start) {
                        bytes[start + index] = source[index]
                    }
                }
            }
        }
    }

    /// Appends all of them to an empty stream.
    func append(to stream: LogStream) throws {
        let writer = try stream.syncWriter()
        var batch = Batch(byteLimit: 4 << 20)
        var key = [UInt8](repeating: 0, count: 16)
        var value = [UInt8](repeating: 0, count: Self.valueBytes)
        for number in 0..<count {
            Self.put(self.key(of: number), into: &key)
            Self.put(number, into: &value)
            guard try batch.append(key: key, value: value) else {
                throw Usage("A batch took no more than \(batch.recordCount) records.")
            }
            if batch.recordCount == Self.batchRecords { try writer.append(&batch) }
        }
        if !batch.isEmpty { try writer.append(&batch) }
    }
}
