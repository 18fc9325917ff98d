import Testing
import WeirBase
import WeirFormat
import WeirTesting

/// The code of the error that a step throws; `nil` if it throws none.
func code(_ step: () throws(WeirError) -> Void) -> WeirError.Code? {
    do throws(WeirError) {
        try step()
        return nil
    } catch {
        return error.code
    }
}

/// The message of the error that a step throws; empty if it throws none.
func message(_ step: () throws(WeirError) -> Void) -> String {
    do throws(WeirError) {
        try step()
        return ""
    } catch {
        return error.message
    }
}

extension [UInt8] {
    /// The same bytes with one bit turned over.
    func flipping(bit: Int) -> [UInt8] {
        var damaged = self
        damaged[bit / 8] ^= 1 << (bit % 8)
        return damaged
    }

    /// The same bytes with a number, little-endian, at a place.
    func setting<T: FixedWidthInteger>(_ value: T, at place: Int) -> [UInt8] {
        var changed = self
        for index in 0..<MemoryLayout<T>.size {
            changed[place + index] = UInt8(truncatingIfNeeded: value >> (index * 8))
        }
        return changed
    }

    /// The little-endian number at a place.
    func number<T: FixedWidthInteger>(_ type: T.Type, at place: Int) -> T {
        var value: T = 0
        for index in (0..<MemoryLayout<T>.size).reversed() {
            value = value << 8 | T(truncatingIfNeeded: self[place + index])
        }
        return value
    }

    /// The same bytes with a few of them random; `keeping` are left alone.
    func scrambled(_ random: inout SeededRandom, keeping: Range<Int> = 0..<0) -> [UInt8] {
        var changed = self
        for _ in 0...random.below(8) {
            let place = random.below(count)
            guard !keeping.contains(place) else { continue }
            // Often all or nothing: limits are where checks are wrong.
            let kind = random.below(4)
            changed[place] =
                kind == 0 ? 0xFF : kind == 1 ? 0 : UInt8(truncatingIfNeeded: random.next())
        }
        return changed
    }
}

/// CRC-32C over pieces, as the format's document tells it.
func checksum(_ pieces: [UInt8]...) -> UInt32 {
    pieces.reduce(0) { crc32c($1, seed: $0) }
}

/// A number's little-endian bytes.
func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    [UInt8](repeating: 0, count: MemoryLayout<T>.size).setting(value, at: 0)
}

func name(_ text: String) throws -> StreamName { try StreamName(text) }

/// A batch's header in a segment of a test.
func header(
    offset: UInt64, records: Int, appended: Int64, times: ClosedRange<Int64>? = nil,
    bodyLength: Int = 1000
) -> BatchHeader {
    var header = BatchHeader(
        kind: .records, firstOffset: Offset(offset), epoch: Epoch(1), durableEnd: .zero,
        appendTime: Timestamp(microseconds: appended))
    header.recordCount = records
    header.entryCount = records
    header.offsetSpan = records
    header.bodyLength = bodyLength
    header.rawBodyLength = bodyLength
    if let times {
        header.minRecordTime = Timestamp(microseconds: times.lowerBound)
        header.maxRecordTime = Timestamp(microseconds: times.upperBound)
    }
    return header
}
