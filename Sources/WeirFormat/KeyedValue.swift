/// The entry of a record with a key and a value and nothing else, as most keyed ones are: known by
/// its first bytes, without a walk over the message.
///
///     0        3     4      5    6                            27      28
///     00 53 72 c1 | size | 02 | a3 13 x-opt-partition-key | a0/a1 | n | key | plain value
///
/// A longer key, a record time or headers make it another one, which `EntryLayout` walks over.
enum KeyedValue {
    private static let keyStart = 29
    /// `00 53 72 c1` and `a3 13` as they are loaded from memory.
    private static let head: UInt32 = 0xC172_5300
    private static let name: UInt16 = 0x13A3

    /// Where key and value stand; `nil` for every other entry.
    @inline(__always)
    static func parts(
        _ entry: UnsafeRawPointer, byteCount: Int
    ) -> (key: Range<Int>, value: Range<Int>)? {
        guard byteCount >= keyStart, unsafe entry.little(0, as: UInt32.self) == head,
            unsafe entry.little(5, as: UInt8.self) == 2,
            unsafe entry.little(6, as: UInt16.self) == name,
            unsafe isSame(
                entry + 8, EntryLayout.keyAnnotation.utf8Start, byteCount: keyStart - 10)
        else { return nil }
        let type = unsafe entry.little(27, as: UInt8.self)
        let keyEnd = unsafe keyStart + Int(entry.little(28, as: UInt8.self))
        // The map's size counts from behind itself.
        guard type == AmqpType.string8 || type == AmqpType.binary8, keyEnd <= byteCount,
            unsafe Int(entry.little(4, as: UInt8.self)) == keyEnd - 5
        else { return nil }
        let start = unsafe PlainValue.valueStart(entry + keyEnd, byteCount: byteCount - keyEnd)
        return start > 0 ? (keyStart..<keyEnd, keyEnd + start..<byteCount) : nil
    }
}
