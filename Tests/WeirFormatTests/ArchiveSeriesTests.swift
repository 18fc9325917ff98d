import Testing
import WeirBase
import WeirFormat
import WeirTesting

@Suite("The archive of a partitioned stream")
struct ArchiveSeriesTests {
    let parts: ArchiveParts
    let bytes: [UInt8]
    init() throws {
        parts = try Golden.series()
        bytes = parts.bytes
    }

    @Test(arguments: [1, 64, .max])
    func `is read partition after partition, in pieces of any size`(piece: Int) throws {
        let (items, error) = decodeArchive(bytes, piece: piece)
        #expect(error == nil)
        var names: [String] = []
        var batchCount = 0
        for item in items {
            if case .head(let head) = item { names.append(head.name.description) }
            if case .batch = item { batchCount += 1 }
        }
        #expect(names == ["golden.v1-0", "golden.v1-1", "golden.v1-2"])
        #expect(batchCount == 6)
        #expect(items.count == 12 && items.last == .trailer)
    }

    @Test func `is refused when it is cut anywhere, also between partitions`() {
        for count in bytes.indices.dropFirst(17) {
            var decoder = ArchiveDecoder()
            decoder.add(Array(bytes.prefix(count)))
            #expect(throws: WeirError.self, "\(count) bytes") {
                while try decoder.next() != nil {}
                try decoder.expectEnd()
            }
            // Where one goes on is the beginning of a part, in the whole file.
            #expect(decoder.byteCount <= UInt64(count))
            let whole = parts.starts.dropFirst().last { $0 <= count }
            #expect(decoder.previous?.byteCount == whole.map { UInt64($0) })
        }
    }

    @Test func `says in the whole file where it is damaged`() {
        let last = parts.starts[2]
        var twin = bytes
        twin[bytes.count - 1] ^= 1
        let error = decodeArchive(twin).error
        let trailer = bytes.count - ArchiveTally.byteCount
        #expect(error?.message.contains("trailer, at byte \(trailer),") ?? false)
        let cut = decodeArchive(Array(bytes.prefix(last))).error
        #expect(cut?.message.hasPrefix("At byte \(last) of the archive") ?? false)
        #expect(cut?.message.contains("behind partition golden.v1-1") ?? false)
    }

    @Test func `is refused with a partition missing, doubled, exchanged or of another stream`()
        throws
    {
        let (zero, one, two) = (
            try Golden.partition(0), try Golden.partition(1), try Golden.partition(2)
        )
        for wrong in [
            one + two, zero + two, zero + zero + one + two, zero + two + one,
            zero + one + two + two, try zero + one + Golden.archive().bytes,
            try zero + Golden.partition(1, of: 4) + two,
            try zero + Golden.partition(1, group: "other") + two,
            try Golden.archive().bytes + zero + one + two,
        ] {
            #expect(decodeArchive(wrong).error?.code == .damaged)
        }
    }

    @Test func `of random bytes never traps`() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<1_000 {
            var twin = bytes
            for _ in 0...random.below(3) {
                twin[random.below(twin.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.oneIn(3) { twin.removeSubrange(parts.starts[1]..<parts.starts[2]) }
            _ = decodeArchive(twin, piece: 1 + random.below(400))
        }
    }
}
