import Testing
import WeirBase
import WeirFormat

/// The golden manifest, edit by edit.
private struct Edits {
    var parts: [[UInt8]] = []

    init() throws {
        var rest = try Parts().manifest[...]
        while !rest.isEmpty {
            let count = try ManifestEdit.decode(rest).byteCount
            parts.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
    }

    var bytes: [UInt8] { parts.flatMap { $0 } }
    func start(of index: Int) -> Int { parts[..<index].reduce(0) { $0 + $1.count } }
}

private enum Kind { case nothing, whole, torn, damaged }

private func kind(_ bytes: [UInt8]) throws -> Kind {
    switch try ManifestState.decodeAll(bytes)?.ending {
    case nil: .nothing
    case .whole?: .whole
    case .torn?: .torn
    case .damaged?: .damaged
    }
}

@Suite("A manifest")
struct ManifestTests {
    @Test func `cut anywhere is torn, or whole between two edits`() throws {
        let edits = try Edits()
        let ends = Set((1...edits.parts.count).map { edits.start(of: $0) })
        for count in 0...edits.bytes.count {
            let found = try kind(Array(edits.bytes.prefix(count)))
            let first = edits.parts[0].count
            let expected: Kind = count < first ? .nothing : ends.contains(count) ? .whole : .torn
            #expect(found == expected, "\(count) bytes")
        }
    }

    @Test func `notices every flipped bit, and is torn only in its last edit`() throws {
        let edits = try Edits()
        let bytes = edits.bytes
        let second = edits.parts[0].count
        let last = edits.start(of: edits.parts.count - 1)
        for bit in 0..<bytes.count * 8 {
            let found = try kind(bytes.flipping(bit: bit))
            let expected: Kind =
                bit / 8 < second ? .nothing : bit / 8 < last ? .damaged : .torn
            #expect(found == expected, "bit \(bit)")
        }
    }

    @Test func `notices an edit that is doubled, lost, or exchanged`() throws {
        let edits = try Edits().parts
        for index in 1..<edits.count - 1 {
            var doubled = edits
            doubled.insert(edits[index], at: index)
            #expect(try kind(doubled.flatMap { $0 }) == .damaged, "doubled \(index)")
            var lost = edits
            lost.remove(at: index)
            // What is lost at the end cannot be told from what was never written.
            #expect(try kind(lost.flatMap { $0 }) != .whole, "lost \(index)")
            var exchanged = edits
            exchanged.swapAt(index, index + 1)
            #expect(try kind(exchanged.flatMap { $0 }) == .damaged, "exchanged \(index)")
        }
    }

    @Test func `notices an edit of another manifest in its chain`() throws {
        var edits = try Edits()
        let chained = try ManifestEdit.decode(edits.parts[4][...])
        edits.parts[4] =
            chained.edit.encode(sequence: chained.sequence, previous: chained.previous ^ 1).bytes
        #expect(try kind(edits.bytes) == .damaged)
    }

    @Test func `with room behind its edits is torn`() throws {
        let bytes = try Edits().bytes
        #expect(try kind(bytes + [UInt8](repeating: 0, count: 4096)) == .torn)
        #expect(try kind(bytes + [1]) == .torn)
    }

    @Test func `round trips through a rewrite`() throws {
        let before = try #require(try ManifestState.decodeAll(try Edits().bytes)).state
        let (state, bytes) = try before.rewritten()
        let after = try #require(try ManifestState.decodeAll(bytes))
        #expect(after.ending == .whole)
        #expect(after.state == state)
        #expect(after.state.segments == before.segments)
        #expect(after.state.retired == before.retired)
        #expect(after.state.closing == before.closing)
        #expect(after.state.logStart == before.logStart)
    }

    @Test func `refuses edits that contradict what it holds`() throws {
        let entry = SegmentEntry(id: SegmentID(1), base: Offset(5), epoch: Epoch(1))
        var sealed = try Parts().sealed
        sealed.endOffset = Offset(4)
        let contradictions: [[ManifestEdit]] = [
            [.created(StreamID(1), try StreamName("s"), StreamConfiguration())],
            [.segmentSealed(SegmentID(9), sealed)], [.replaced(old: [SegmentID(9)], new: [])],
            [.segmentAdded(entry), .segmentAdded(entry)],
            [.segmentAdded(entry), .segmentSealed(entry.id, sealed)],
        ]
        for edits in contradictions {
            var state = ManifestState(
                streamID: StreamID(1), name: try StreamName("s"),
                configuration: StreamConfiguration())
            let found = code { () throws(WeirError) in
                for edit in edits { try state.apply(edit) }
            }
            #expect(found == .damaged, "\(edits)")
        }
    }

    @Test func `of a newer version is not called damaged`() throws {
        var edits = try Edits()
        var strange = edits.parts[1]
        strange[ManifestEdit.Field.type] = 13
        let checksum = crc32c(strange[8...], seed: crc32c(strange[..<4]))
        for index in 0..<4 {
            strange[4 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * index))
        }
        edits.parts[1] = strange
        let bytes = edits.bytes
        let found = code { () throws(WeirError) in _ = try ManifestState.decodeAll(bytes) }
        #expect(found == .newerFormat)
    }
}

@Suite("The file of epochs")
struct EpochTests {
    @Test func `keeps what stands around a damaged record`() {
        for bit in 64 * 8..<128 * 8 {
            let history = EpochRecord.decodeAll(Golden.epochs.flipping(bit: bit))
            #expect(history.records.map(\.epoch.value) == [1, 2])
            #expect(history.isDamaged)
            #expect(history.last == Epoch(2))
            #expect(history.end == 192)
        }
    }

    @Test func `is written over where its last record is torn`() {
        for count in 128..<192 {
            let history = EpochRecord.decodeAll(Array(Golden.epochs.prefix(count)))
            #expect(history.records.count == 2)
            #expect(!history.isDamaged)
            #expect(history.end == 128)
        }
    }
}
