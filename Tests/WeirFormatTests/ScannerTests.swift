import Testing
import WeirBase
import WeirFormat
import WeirTesting

/// A segment of batches of three records each, with its places.
private struct Sample {
    var maker = SegmentMaker()
    var bytes: [UInt8] { maker.bytes }
    var places: [Int] { maker.positions.map { Int($0.value) } + [maker.bytes.count] }

    init(batches: Int = 8) {
        for number in 0..<batches {
            maker.add(values: (0..<3).map { [UInt8](repeating: UInt8(number), count: 20 + $0) })
        }
    }

    func walk(_ bytes: [UInt8]) -> [SegmentScanner.Step] {
        steps(bytes, maker.header.segmentID, from: FilePosition(4096))
    }

    /// The first offsets of the batches that a walk finds.
    func found(_ bytes: [UInt8]) -> [UInt64] {
        walk(bytes).compactMap {
            if case .batch(let header, _) = $0 { header.firstOffset.value / 3 } else { nil }
        }
    }

    func range(_ from: Int, _ to: Int) -> Range<UInt64> {
        UInt64(places[from])..<UInt64(places[to])
    }
}

@Suite("A walk over a segment")
struct ScannerTests {
    @Test func `steps past a damaged header to the next batch`() {
        let sample = Sample()
        for bit in [0, 33, 100, 8 * 40, 8 * 151] {
            let bytes = sample.bytes.flipping(bit: sample.places[3] * 8 + bit)
            #expect(sample.found(bytes) == [0, 1, 2, 4, 5, 6, 7])
            #expect(sample.walk(bytes)[3] == .damage(sample.range(3, 4), lost: nil))
        }
    }

    @Test func `tells the offsets of a batch whose body is damaged`() {
        let sample = Sample()
        let bytes = sample.bytes.flipping(bit: (sample.places[3] + 152) * 8)
        #expect(sample.found(bytes) == [0, 1, 2, 4, 5, 6, 7])
        guard case .damage(let range, let lost?) = sample.walk(bytes)[3] else {
            Issue.record("no damage")
            return
        }
        #expect(range == sample.range(3, 4))
        #expect(lost.firstOffset == Offset(9))
        #expect(lost.recordCount == 3)
    }

    @Test func `steps past garbage between batches`() {
        let sample = Sample()
        var random = SeededRandom(seed: 3)
        var bytes = sample.bytes
        for place in sample.places[2]..<sample.places[5] {
            bytes[place] = UInt8(truncatingIfNeeded: random.next())
        }
        #expect(sample.found(bytes) == [0, 1, 5, 6, 7])
        #expect(sample.walk(bytes)[2] == .damage(sample.range(2, 5), lost: nil))
    }

    @Test func `finds a batch by its header alone, if the batch ends before the limit`() {
        let sample = Sample()
        let damaged = sample.bytes.flipping(bit: sample.places[3] * 8)
        let shown = Array(damaged[..<(sample.places[4] + BatchHeader.byteCount)])
        func look(limit: Int) -> SegmentScanner.Step {
            var scanner = SegmentScanner(
                segment: sample.maker.header.segmentID,
                position: FilePosition(UInt64(sample.places[3])))
            return scanner.next(
                in: shown.span.bytes, checkingBody: false, limit: FilePosition(UInt64(limit)))
        }
        #expect(look(limit: sample.places[5]) == .damage(sample.range(3, 4), lost: nil))
        let start = FilePosition(UInt64(sample.places[3]))
        #expect(look(limit: sample.places[5] - 1) == .end(at: start))
    }

    @Test func `steps past two damages`() {
        let sample = Sample()
        let bytes = sample.bytes.flipping(bit: sample.places[1] * 8)
            .flipping(bit: (sample.places[2] + 160) * 8).flipping(bit: sample.places[6] * 8 + 99)
        #expect(sample.found(bytes) == [0, 3, 4, 5, 7])
    }

    @Test func `ends in front of damage at the end`() {
        let sample = Sample()
        let bytes = sample.bytes.flipping(bit: sample.places[7] * 8 + 70)
        let end = FilePosition(UInt64(sample.places[7]))
        #expect(sample.found(bytes) == [0, 1, 2, 3, 4, 5, 6])
        #expect(sample.walk(bytes).last == .end(at: end))
    }

    @Test func `ends in front of a batch that is cut anywhere`() {
        let sample = Sample(batches: 3)
        for count in sample.places[2]..<sample.places[3] {
            let bytes = Array(sample.bytes.prefix(count))
            #expect(sample.found(bytes) == [0, 1], "\(count) bytes")
            #expect(sample.walk(bytes).last == .end(at: FilePosition(UInt64(sample.places[2]))))
        }
    }

    @Test func `believes no batch of another place or segment`() {
        let sample = Sample()
        var bytes = sample.bytes
        bytes.replaceSubrange(
            sample.places[4]..<sample.places[5], with: bytes[sample.places[1]..<sample.places[2]])
        #expect(sample.found(bytes) == [0, 1, 2, 3, 5, 6, 7])
        let other = steps(sample.bytes, SegmentID(1), from: FilePosition(4096))
        #expect(other == [.end(at: FilePosition(4096))])
    }

    @Test func `stops in front of a newer batch`() throws {
        var maker = SegmentMaker()
        maker.add(values: [[1]])
        maker.add(body: []) { $0.incompat = 2 }
        maker.add(values: [[2]])
        let found = steps(maker.bytes, maker.header.segmentID, from: FilePosition(4096))
        #expect(found.count == 2)
        guard case .newer(_, let position)? = found.last else {
            Issue.record("\(found)")
            return
        }
        #expect(position == maker.positions[1])
    }

    @Test func `finds every good batch whatever bytes are damaged`() {
        let sample = Sample()
        var random = SeededRandom(seed: 5)
        for _ in 0..<2000 {
            var bytes = sample.bytes
            var hit: Set<Int> = []
            for _ in 0...random.below(5) {
                let place = 4096 + random.below(bytes.count - 4096)
                bytes[place] ^= UInt8(1 + random.below(255))
                hit.insert(sample.places.lastIndex { $0 <= place } ?? 0)
            }
            let expected = (0..<8).filter { !hit.contains($0) }.map(UInt64.init)
            let found = sample.found(bytes)
            // Padding is outside every checksum, so a batch that was hit may hold all the same.
            #expect(expected.allSatisfy(found.contains))
        }
    }

    @Test func `never traps on random bytes`() {
        let sample = Sample(batches: 2)
        var random = SeededRandom(seed: 6)
        for _ in 0..<50_000 {
            var bytes = Array(sample.bytes[4096...])
            for _ in 0...random.below(8) {
                bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            bytes.removeLast(random.below(bytes.count))
            var scanner = SegmentScanner(
                segment: SegmentID(0xABCD), position: FilePosition(4096))
            for _ in 0..<4 {
                _ = scanner.next(in: bytes.span.bytes, origin: FilePosition(4096))
            }
        }
    }

    @Test func `never traps on headers that only seem to hold`() {
        var random = SeededRandom(seed: 7)
        let place = BatchPlace(segment: SegmentID(0xABCD), position: FilePosition(4096))
        let sample = Array(Sample(batches: 1).bytes[4096...])
        var held = 0
        for _ in 0..<50_000 {
            var bytes = sample
            for _ in 0...random.below(3) {
                let start = 8 + random.below(144)
                let extreme: [UInt8] = [0, 1, 0x7F, 0x80, 0xFF]
                for index in start..<min(start + 1 << random.below(4), 152) {
                    bytes[index] = extreme[random.below(extreme.count)]
                }
            }
            let checksum = bytes.withUnsafeBytes { memory in
                memory.baseAddress.map { BatchHeader.checksum(of: $0, at: place) } ?? 0
            }
            for index in 0..<4 {
                bytes[4 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * index))
            }
            var scanner = SegmentScanner(segment: place.segment, position: place.position)
            if case .batch(let header, _) = scanner.next(
                in: bytes.span.bytes, origin: place.position)
            {
                held += 1
                var summary = SegmentSummary(base: .zero)
                summary.add(header, at: place.position)
            }
        }
        #expect(held > 1000)
    }
}
