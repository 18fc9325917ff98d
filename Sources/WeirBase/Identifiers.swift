/// Sixteen hexadecimal digits: how every id of Weir is written, in file names and in messages.
package protocol HexadecimalID: Sendable, Hashable, CustomStringConvertible {
    var value: UInt64 { get }
    init(_ value: UInt64)
}

extension HexadecimalID {
    package var description: String { hexadecimal(value) }

    /// `nil` unless the text is exactly sixteen lower-case hexadecimal digits.
    package init?(hexadecimal text: some StringProtocol) {
        guard text.utf8.count == 16,
            text.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }),
            let value = UInt64(text, radix: 16)
        else { return nil }
        self.init(value)
    }
}

/// Which file: 64 random bits, part of its name, its header and every batch checksum in it.
package struct SegmentID: HexadecimalID {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
}

/// Which stream: 64 random bits; the directory's name, so that a stream's name may be anything.
package struct StreamID: HexadecimalID {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
}

/// Which store: drawn at creation, and anew by restore and copy.
package struct StoreID: HexadecimalID {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
}

/// Which run of the kernel: two halves of its random boot id; zero where there is none.
package struct BootID: Sendable, Hashable {
    package let high: UInt64
    package let low: UInt64
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
    package static let unknown = BootID(high: 0, low: 0)
}

/// All sixteen digits of 64 bits.
func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
