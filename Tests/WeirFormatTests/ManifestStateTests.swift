import Testing
import WeirBase
import WeirFormat
import WeirTesting

private func segment(_ id: UInt64, base: UInt64, isSealed: Bool = false) -> SegmentEntry {
    var seal = sealedSample
    seal.endOffset = Offset(base + 10)
    return SegmentEntry(
        id: SegmentID(id), base: Offset(base), epoch: Epoch(1), sealed: isSealed ? seal : nil)
}

private func edits() throws -> [ManifestEdit] {
    [
        .created(StreamID(5), try name("orders"), StreamConfiguration()),
        .opened(Epoch(1)), .segmentAdded(segment(1, base: 0)),
        .several([.segmentSealed(SegmentID(1), sealedSample), .segmentAdded(segment(2, base: 9))]),
        .configured(StreamConfiguration(compression: .lz4)), .logStart(Offset(3)),
        .replaced(old: [SegmentID(1)], new: [segment(3, base: 0, isSealed: true)]),
        .closed(
            CleanClose(
                epoch: Epoch(1), segment: SegmentID(2), position: FilePosition(5000),
                end: Offset(12), durableEnd: Offset(12), lastAppendTime: .distantPast)),
    ]
}

/// Edits chained as a writer chains them, each with its bytes.
private func chained(_ edits: [ManifestEdit]) -> [[UInt8]] {
    var previous: UInt32 = 0
    return edits.enumerated().map { index, edit in
        let (bytes, checksum) = edit.encode(sequence: UInt64(index + 1), previous: previous)
        previous = checksum
        return bytes
    }
}

private func folded(_ pieces: [[UInt8]]) throws -> (ManifestState, ManifestState.Ending) {
    let found = try ManifestState.decodeAll(Array(pieces.joined()))
    return try #require(found.map { ($0.state, $0.ending) })
}

private func isDamaged(_ ending: ManifestState.Ending, at position: Int) -> Bool {
    if case .damaged(let found, _) = ending { return found == FilePosition(UInt64(position)) }
    return false
}

@Suite("A manifest")
struct ManifestStateTests {
    @Test func `adds up to what its edits say`() throws {
        let (state, ending) = try folded(chained(edits()))
        #expect(ending == .whole)
        #expect(state.streamID == StreamID(5) && state.name.description == "orders")
        #expect(state.configuration.compression == .lz4)
        #expect(state.logStart == Offset(3))
        #expect(state.segments.map(\.id) == [SegmentID(3), SegmentID(2)])
        #expect(state.retired == [SegmentID(1)])
        #expect(state.nextSequence == 9)
        guard case .clean(let close) = state.closing else { throw TestFailure() }
        #expect(close.end == Offset(12))
    }

    @Test func `cut anywhere loses the edit that was cut, and nothing else`() throws {
        let pieces = try chained(edits())
        let whole = Array(pieces.joined())
        var ends = [0]
        for piece in pieces { ends.append(ends[ends.count - 1] + piece.count) }
        for count in 0...whole.count {
            let found = try ManifestState.decodeAll(Array(whole[..<count]))
            let kept = ends.lastIndex { $0 <= count } ?? 0
            #expect(found?.state.byteCount ?? 0 == ends[kept], "cut at \(count)")
            #expect(found?.ending == (kept == 0 ? nil : count == ends[kept] ? .whole : .torn))
        }
    }

    @Test func `with a damaged edit in the middle is to be rebuilt`() throws {
        let pieces = try chained(edits())
        var position = pieces[0].count
        for index in 1..<pieces.count {
            for bit in [0, 37, 70, 200] {
                var damaged = pieces
                damaged[index] = pieces[index].flipping(bit: bit)
                let (state, ending) = try folded(damaged)
                #expect(state.byteCount == position)
                let isLast = index == pieces.count - 1
                #expect(isLast ? ending == .torn : isDamaged(ending, at: position))
            }
            position += pieces[index].count
        }
    }

    @Test func `whose first edit does not hold says nothing`() throws {
        let pieces = try chained(edits())
        #expect(try ManifestState.decodeAll([]) == nil)
        #expect(try ManifestState.decodeAll(Array(pieces.dropFirst().joined())) == nil)
        #expect(try ManifestState.decodeAll([UInt8](repeating: 0, count: 4096)) == nil)
        let flipped = [pieces[0].flipping(bit: 300)] + pieces.dropFirst()
        #expect(try ManifestState.decodeAll(Array(flipped.joined())) == nil)
    }

    @Test func `of zeros behind its edits is torn there`() throws {
        let (state, ending) = try folded(chained(edits()) + [[UInt8](repeating: 0, count: 100)])
        #expect(ending == .torn)
        #expect(state.nextSequence == 9)
    }

    @Test func `notices edits that were lost, doubled or exchanged`() throws {
        let pieces = try chained(edits())
        let lost = Array(pieces[..<2] + pieces[3...])
        #expect(isDamaged(try folded(lost).1, at: pieces[..<2].joined().count))
        let doubled = Array(pieces[..<3] + pieces[2...])
        #expect(isDamaged(try folded(doubled).1, at: pieces[..<3].joined().count))
        let exchanged = Array(pieces[..<4]) + [pieces[5], pieces[4]]
        #expect(isDamaged(try folded(exchanged).1, at: pieces[..<4].joined().count))
    }

    @Test func `is not torn but damaged where its last edit is whole and does not follow`() throws {
        let pieces = try chained(edits())
        let end = pieces.joined().count
        let strangers: [ManifestEdit] = [.logStart(Offset(9))]
        let (stranger, _) = strangers[0].encode(sequence: 9, previous: 0xBAD)
        #expect(isDamaged(try folded(pieces + [stranger]).1, at: end))
        #expect(isDamaged(try folded(pieces + [pieces[7]]).1, at: end))
    }

    @Test func `with an edit of a newer kind is a newer format's, wherever it stands`() throws {
        let pieces = try chained(edits())
        for index in pieces.indices {
            var newer = pieces
            newer[index] = resealedEdit(
                pieces[index].setting(UInt16(40), at: ManifestEdit.Field.type))
            let bytes = Array(newer.joined())
            let found = code { () throws(WeirError) in _ = try ManifestState.decodeAll(bytes) }
            #expect(found == .newerFormat)
        }
    }

    @Test func `refuses edits that make no sense`() throws {
        let pieces = try edits()
        let wrong: [ManifestEdit] = [
            pieces[0], .segmentSealed(SegmentID(77), sealedSample),
            .segmentAdded(segment(2, base: 9)),
            .replaced(old: [SegmentID(1)], new: []), .several([.opened(Epoch(2)), pieces[0]]),
        ]
        let (state, _) = try folded(chained(pieces))
        for edit in wrong {
            var copy = state
            #expect(code { () throws(WeirError) in try copy.apply(edit) } == .damaged, "\(edit)")
        }
        var late = segment(9, base: 100)
        late.sealed = sealedSample
        var copy = state
        try copy.apply(.segmentAdded(segment(9, base: 100)))
        let sealing = ManifestEdit.segmentSealed(SegmentID(9), sealedSample)
        #expect(code { () throws(WeirError) in try copy.apply(sealing) } == .damaged)
    }

    @Test func `keeps its segments in the order of their bases`() throws {
        var (state, _) = try folded(chained([edits()[0]]))
        for (id, base) in [(1, 50), (2, 0), (3, 90), (4, 50), (5, 60)] as [(UInt64, UInt64)] {
            try state.apply(.segmentAdded(segment(id, base: base)))
        }
        #expect(state.segments.map(\.base.value) == [0, 50, 50, 60, 90])
        try state.apply(.retired([SegmentID(2), SegmentID(5), SegmentID(99)]))
        #expect(state.segments.map(\.id.value) == [1, 4, 3])
        #expect(state.retired == [SegmentID(2), SegmentID(5), SegmentID(99)])
    }

    @Test func `never moves its log start back`() throws {
        var (state, _) = try folded(chained(edits()))
        try state.apply(.logStart(Offset(1)))
        #expect(state.logStart == Offset(3))
    }

    @Test func `is continued by edits that follow`() throws {
        let pieces = try chained(edits())
        var (state, _) = try folded(pieces)
        let more = try state.encode([.opened(Epoch(2)), .deleted])
        let (again, ending) = try folded(pieces + [more])
        #expect(ending == .whole)
        #expect(again == state)
        #expect(again.isDeleted)
    }

    @Test func `written anew says the same, whichever way it had ended`() throws {
        let all = try edits() + [.opened(Epoch(2)), .deleted]
        for count in 1...all.count {
            let (state, _) = try folded(chained(Array(all[..<count])))
            let (rewritten, bytes) = try state.rewritten()
            let (again, ending) = try folded([bytes])
            #expect(ending == .whole)
            #expect(again == rewritten)
            #expect(again.segments == state.segments && again.retired == state.retired)
            #expect(again.closing == state.closing && again.logStart == state.logStart)
            #expect(again.configuration == state.configuration && again.name == state.name)
            #expect(again.isDeleted == state.isDeleted)
        }
    }

    @Test func `written anew lists any number of retired segments`() throws {
        var (state, _) = try folded(chained([edits()[0]]))
        try state.apply(.retired((0..<200_000).map { SegmentID($0) }))
        let (again, ending) = try folded([try state.rewritten().bytes])
        #expect(ending == .whole)
        #expect(again.retired.count == 200_000)
    }

    @Test func `takes no edit that its readers would refuse`() throws {
        var (state, _) = try folded(chained([edits()[0]]))
        let before = state
        let large = ManifestEdit.retired((0..<200_000).map { SegmentID($0) })
        #expect(code { () throws(WeirError) in _ = try state.encode([large]) } == .tooLarge)
        #expect(state == before)
    }

    @Test func `of scrambled bytes never traps`() throws {
        let whole = Array(try chained(edits()).joined())
        var random = SeededRandom(seed: 4)
        for _ in 0..<5_000 {
            let scrambled = whole.scrambled(&random)
            let found = code { () throws(WeirError) in
                _ = try ManifestState.decodeAll(scrambled)
            }
            #expect(found == nil || found == .newerFormat)
        }
    }
}

private struct TestFailure: Error {}
