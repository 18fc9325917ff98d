import Testing
import WeirBase
import WeirFormat
import WeirTesting

private typealias Field = TailSlot.Field

private let slot = TailSlot(
    streamID: StreamID(0x11), flushedEnd: Offset(300), durableEnd: Offset(200), epoch: Epoch(4),
    segment: SegmentID(0x22), writtenEnd: FilePosition(8192), settingsCount: 7)

private func encoded(_ slot: TailSlot, generation: UInt32 = 9) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: TailSlot.byteCount)
    bytes.withUnsafeMutableBytes { buffer in
        if let base = buffer.baseAddress { slot.encode(to: base, generation: generation) }
    }
    return bytes
}

private func decoded(_ bytes: [UInt8]) -> TailSlot.Reading { TailSlot.decode(bytes.span.bytes) }

@Suite("A tail slot")
struct TailSlotTests {
    @Test func `is read back, with its fields where the table says`() {
        let bytes = encoded(slot)
        #expect(decoded(bytes) == .slot(slot))
        #expect(bytes.number(UInt64.self, at: Field.streamID) == 0x11)
        #expect(bytes.number(UInt64.self, at: Field.flushedEnd) == 300)
        #expect(bytes.number(UInt64.self, at: Field.durableEnd) == 200)
        #expect(bytes.number(UInt64.self, at: Field.epoch) == 4)
        #expect(bytes.number(UInt64.self, at: Field.segment) == 0x22)
        #expect(bytes.number(UInt64.self, at: Field.writtenEnd) == 8192)
        #expect(bytes.number(UInt32.self, at: Field.generation) == 9)
        #expect(bytes.number(UInt32.self, at: Field.checksum) == crc32c(bytes[..<48]))
        #expect(bytes.number(UInt32.self, at: Field.settings) == 7)
    }

    @Test func `notices every flipped bit but those of generation, settings and futex`() {
        let bytes = encoded(slot)
        for bit in 0..<bytes.count * 8 {
            let isCovered = bit / 8 < Field.generation || (52..<56).contains(bit / 8)
            var flipped = slot
            if (56..<60).contains(bit / 8) { flipped.settingsCount ^= 1 << UInt32(bit - 56 * 8) }
            let found = decoded(bytes.flipping(bit: bit))
            #expect(found == (isCovered ? .torn : .slot(flipped)), "bit \(bit)")
        }
    }

    @Test func `half of which was overwritten is torn`() {
        var later = slot
        later.flushedEnd = Offset(400)
        later.durableEnd = Offset(400)
        later.writtenEnd = FilePosition(16_384)
        let (old, new) = (encoded(slot), encoded(later, generation: 10))
        for count in stride(from: 16, through: 48, by: 8) {
            #expect(decoded(Array(new[..<count] + old[count...])) == .torn, "after \(count) bytes")
            #expect(decoded(Array(old[..<count] + new[count...])) == .torn, "before \(count) bytes")
        }
    }

    @Test func `of zeros is empty, and a short one is torn`() {
        #expect(decoded([UInt8](repeating: 0, count: 64)) == .empty)
        for count in 0..<64 { #expect(decoded(Array(encoded(slot)[..<count])) == .torn) }
    }

    @Test func `leaves the futex word alone`() {
        var bytes = [UInt8](repeating: 0xAA, count: 64)
        bytes.withUnsafeMutableBytes { buffer in
            if let base = buffer.baseAddress { slot.encode(to: base, generation: 1) }
        }
        #expect(Array(bytes[60...]) == [0xAA, 0xAA, 0xAA, 0xAA])
        #expect(decoded(bytes) == .slot(slot))
    }

    @Test func `is never taken from the file's first slot`() {
        let header = TailSlot.header(StoreID(0x33))
        #expect(header.count == 64)
        #expect(Array(header[..<8]) == Array("WEIRTAIL".utf8))
        #expect(header.number(UInt64.self, at: 8) == 0x33)
        #expect(decoded(header) == .torn)
    }

    @Test func `of random bytes is torn`() {
        var random = SeededRandom(seed: 5)
        for _ in 0..<10_000 {
            let bytes = (0..<64).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            #expect(decoded(bytes) == .torn)
        }
    }
}

@Suite("The note in LOCK")
struct LockNoteTests {
    private let note = LockNote(
        processID: 4711, host: "böses-host", program: "weir append",
        since: Timestamp(microseconds: 1_700_000_000_123_456))

    @Test func `is read back`() {
        #expect(LockNote.decode(note.encode()) == note)
        #expect(
            note.description
                == "process 4711 (weir append) on böses-host, since 2023-11-14T22:13:20.123456Z")
    }

    @Test func `keeps control characters away from terminals`() {
        var bad = note
        bad.host = "a\nb\u{1B}[31mc\u{7F}"
        #expect(LockNote.decode(bad.encode())?.host == "ab[31mc")
    }

    @Test func `stays below what its readers take`() {
        var long = note
        long.host = String(repeating: "🐟", count: 5000)
        long.program = long.host
        let bytes = long.encode()
        #expect(bytes.count < 1024)
        #expect(LockNote.decode(bytes)?.since == note.since)
    }

    @Test(arguments: [
        "", "\n\n\n", "x\nhost\nprogram\n2023-11-14", "1\nhost\nprogram\nnever\n", "1\n2",
    ])
    func `that is none is none`(_ text: String) {
        #expect(LockNote.decode(Array(text.utf8)) == nil)
    }

    @Test func `cut anywhere never traps`() {
        let bytes = note.encode()
        for count in 0..<bytes.count {
            let found = LockNote.decode(Array(bytes[..<count]))
            #expect(found == nil || found?.processID == 4711)
        }
    }
}
