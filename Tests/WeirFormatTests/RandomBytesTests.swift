import Testing
import WeirBase
import WeirFormat
import WeirTesting

/// Every decoder, given bytes that nobody wrote. The first bytes are often a right magic number, so
/// that not all end at the first comparison.
@Suite("Random bytes")
struct RandomBytesTests {
    private static let magics: [[UInt8]] = [
        [], Array("WEIRSEG1".utf8), Array("WEIRSTO1".utf8), Array("WBAT".utf8),
        [64, 0, 0, 0, 0, 0, 0, 0] + Array("WMAN".utf8), Array("WEPO".utf8),
        Array("WEIRBAK1".utf8),
    ]

    @Test func `never trap a decoder`() {
        var random = SeededRandom(seed: 6)
        // Pieces of one pool: drawing each byte anew would cost more than decoding them.
        let pool = (0..<100_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        var accepted = 0
        for round in 0..<100_000 {
            let start = random.below(pool.count - 200)
            let piece = pool[start..<start + random.below(200)]
            let bytes = Self.magics[round % Self.magics.count] + piece
            if round % 16 == 0 { _ = LockNote.decode(bytes) }
            if Self.isAccepted(bytes) { accepted += 1 }
        }
        // A checksum of 32 bits lets one in four thousand million through.
        #expect(accepted == 0)
    }

    private static func isAccepted(_ bytes: [UInt8]) -> Bool {
        let codes = [
            code { () throws(WeirError) in _ = try SegmentHeader.decode(bytes) },
            code { () throws(WeirError) in _ = try StoreHeader.decode(bytes) },
            code { () throws(WeirError) in _ = try SnapshotFile.decode(bytes) },
            code { () throws(WeirError) in _ = try ManifestEdit.decode(bytes[...]) },
            code { () throws(WeirError) in
                _ = try SegmentFooter.decode(bytes, segment: SegmentID(1), at: .zero)
            },
        ]
        _ = code { () throws(WeirError) in _ = try ConfigurationCoding.decode(bytes[...]) }
        _ = code { () throws(WeirError) in
            _ = try Section.decodeAll(bytes[...], known: [1, 2], "test")
        }
        _ = BatchExtension.offsetTable(in: bytes.span.bytes)
        return codes.contains(nil) || !EpochRecord.decodeAll(bytes).records.isEmpty
            || defect(bytes, at: home) == nil
    }
}
