import Foundation
import Testing
import WeirBase
import WeirFormat

private let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/v1")

/// What stands in the tree; only a person who means it writes the files anew.
private func fixture(_ name: String, made: [UInt8]) throws -> [UInt8] {
    let url = folder.appending(path: name)
    if ProcessInfo.processInfo.environment["WEIR_WRITE_FIXTURES"] == "1" {
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(made).write(to: url)
    }
    return Array(try Data(contentsOf: url))
}

private func golden(_ name: String) throws -> [UInt8] {
    let all = try Golden.files
    let path = try #require(all.keys.first { $0.hasSuffix(name) })
    return Array(try Data(contentsOf: folder.appending(path: path)))
}

private func isEnd(_ step: SegmentScanner.Step?) -> Bool {
    if case .end? = step { true } else { false }
}

@Suite("A golden file of version 1")
struct GoldenTests {
    @Test func `is what this version writes, byte for byte`() throws {
        for (name, made) in try Golden.files {
            let kept = try fixture(name, made: made)
            #expect(kept == made, "\(name)")
            #expect(kept.count <= 20 << 10, "\(name)")
        }
    }

    @Test func `is what the document shows byte by byte`() throws {
        let bytes = try golden("small.segment")
        let page = folder.deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Docs/FORMAT.md")
        var shown = 0
        for line in try String(contentsOf: page, encoding: .utf8).split(separator: "\n") {
            guard line.prefix(6).hasSuffix("  "), let place = Int(line.prefix(4), radix: 16)
            else { continue }
            let row = [UInt8](hexadecimal: String(line.dropFirst(6).prefix(47)))
            #expect(Array(bytes[place..<place + row.count]) == row, "byte \(place)")
            shown += row.count
        }
        // All but the zeros between header and first batch.
        #expect(shown == bytes.count - (4096 - 192))
    }

    @Test func `of a store is read`() throws {
        let header = try StoreHeader.decode(try golden("WEIR"))
        #expect(header.storeID == Golden.store)
        #expect(header.creationTime == Golden.time(-60))
        let history = EpochRecord.decodeAll(try golden("EPOCHS"))
        #expect(history.records.map(\.epoch.value) == [1, 1, 2])
        #expect(history.records[1].kind == .closedClean)
        #expect(history.records[2].bootID == Golden.boot)
        #expect(!history.isDamaged)
        let note = LockNote.decode(try golden("LOCK"))
        #expect(note?.processID == 4711)
        let tail = try golden("tail")
        let slots = (1...2).map {
            TailSlot.decode(tail.span.bytes.extracting($0 * 64..<($0 + 1) * 64))
        }
        guard case .slot(let slot) = slots[0] else { throw WeirError.damaged("no slot") }
        #expect(slot.streamID == Golden.stream)
        #expect(slot.segment == Golden.unsealedID)
        #expect(slots[1] == .empty)
    }

    @Test func `of a manifest adds up`() throws {
        let decoded = try ManifestState.decodeAll(try golden("/MANIFEST"))
        let (state, ending) = try #require(decoded)
        #expect(ending == .whole)
        #expect(state.name.description == "golden.v1")
        #expect(state.configuration == Golden.configuration)
        #expect(state.segments.map(\.id) == [Golden.sealedID, Golden.unsealedID])
        #expect(state.segments[0].sealed == (try Parts().sealed))
        #expect(state.retired == [SegmentID(0xAAAA), SegmentID(0xBBBB)])
        #expect(state.logStart == Offset(1))
        #expect(state.closing == .opened(Epoch(2)))
    }

    @Test func `of a backup is read, and its damaged twin is not`() throws {
        let snapshot = try SnapshotFile.decode(try golden("\(Golden.snapshotName).snapshot"))
        #expect(snapshot.storeID == Golden.store && snapshot.epoch == Epoch(2))
        #expect(BackupLayout.snapshotName(snapshot.time) == Golden.snapshotName)
        #expect(snapshot.streams.map(\.manifest.name.description) == ["golden.v1", "empty"])
        let stream = snapshot.streams[0]
        #expect(stream.manifest.segments.map(\.id) == [Golden.sealedID, Golden.unsealedID])
        #expect(stream.manifest.logStart == Offset(1))
        for (id, stored) in stream.files {
            let bytes = try golden("-\(id).segment").prefix(Int(stored.byteCount))
            #expect(bytes.count == Int(stored.byteCount))
            #expect(crc32c(Array(bytes)) == stored.checksum)
        }
        let twin = try golden("snapshot-bit.snapshot")
        #expect(code { () throws(WeirError) in _ = try SnapshotFile.decode(twin) } == .damaged)
    }

    @Test func `of named producers is read`() throws {
        let bytes = try golden("producers.segment")
        let (header, start) = try SegmentHeader.decode(bytes)
        let trailer = Array(bytes.suffix(SegmentFooter.Trailer.end))
        let length = try SegmentFooter.byteCount(trailer: trailer, segment: header.segmentID)
        let end = bytes.count - (try #require(length))
        let footer = try SegmentFooter.decode(
            Array(bytes[end...]), segment: header.segmentID, at: FilePosition(UInt64(end))
        ).footer
        var table = ProducerTable([
            .init(name: "before", lastPublishingID: 3, offset: Offset(99))
        ])
        var extensions = 0
        let found = steps(bytes, header.segmentID, from: start, to: end)
        for case .batch(let batch, let place) in found where batch.extensionLength > 0 {
            extensions += 1
            let first = Int(place.value) + BatchHeader.byteCount
            let sections = Array(bytes[first..<first + batch.extensionLength])
            for row in BatchExtension.producers(in: sections.span.bytes) { table.note(row) }
        }
        #expect(extensions == 3)
        #expect(table == ProducerTable(footer.producers ?? []))
        #expect(table["loader"] == .init(lastPublishingID: 12, offset: Offset(107)))
        #expect(table["zähler"] == .init(lastPublishingID: .max, offset: Offset(103)))
    }

    @Test func `of merged segments tells where each epoch began, and its damaged twin does not`()
        throws
    {
        let bytes = try golden("merged.segment")
        let (header, start) = try SegmentHeader.decode(bytes)
        #expect(header.epoch == Epoch(4) && header.lastEpoch == Epoch(7))
        #expect(header.epochStarts.map(\.epoch.value) == [5, 7])
        #expect(header.epochStarts.map(\.offset.value) == [202, 203])
        let found = steps(bytes, header.segmentID, from: start, to: bytes.count)
        var epochs: [UInt64] = []
        for case .batch(let batch, _) in found { epochs.append(batch.epoch.value) }
        #expect(epochs == [4, 5, 7])
        let twin = try golden("merged-bit.segment")
        #expect(code { () throws(WeirError) in _ = try SegmentHeader.decode(twin) } == .damaged)
    }

    @Test func `of a sealed segment is read`() throws {
        let parts = try Parts()
        let bytes = try golden("-\(Golden.sealedID).segment")
        let (header, start) = try SegmentHeader.decode(bytes)
        #expect(header.configuration == Golden.configuration)
        let end = parts.sealed.batchesEnd
        let footer = try SegmentFooter.decode(
            Array(bytes[Int(end.value)...]), segment: header.segmentID, at: end
        ).footer
        #expect(footer.producers?.map(\.name) == ["sensor-7", "zähler"])
        let found = steps(bytes, header.segmentID, from: start, to: Int(end.value))
        var summary = SegmentSummary(base: .zero)
        for case .batch(let batch, let position) in found { summary.add(batch, at: position) }
        #expect(found.count == parts.sealedPositions.count + 1)
        #expect(found.last == .end(at: end))
        #expect(summary == footer.summary)
        #expect(summary.recordCount == 48)
        #expect(summary.endOffset == Offset(55))
    }

    @Test func `of an unsealed segment is read`() throws {
        let parts = try Parts()
        let bytes = try golden("-\(Golden.unsealedID).segment")
        let found = steps(bytes, Golden.unsealedID, from: FilePosition(4096))
        #expect(found.count == 4)
        #expect(found.last == .end(at: parts.unsealed.position))
    }
}

@Suite("A damaged twin")
struct DamagedTwinTests {
    private func positions() throws -> [UInt64] { try Parts().sealedPositions.map(\.value) }

    private func walk(_ name: String) throws -> [SegmentScanner.Step] {
        let end = Int(try Parts().sealed.batchesEnd.value)
        return steps(
            try golden(name), Golden.sealedID, from: FilePosition(4096), to: end)
    }

    @Test func `with a flipped bit in a header costs that batch`() throws {
        let places = try positions()
        let found = try walk("damaged/header-bit.segment")
        #expect(found.count == places.count + 1)
        #expect(found[1] == .damage(places[1]..<places[2], lost: nil))
        #expect(isEnd(found.last))
    }

    @Test func `with a flipped bit in a body costs that batch and tells its offsets`() throws {
        let places = try positions()
        let found = try walk("damaged/body-bit.segment")
        #expect(found.count == places.count + 1)
        guard case .damage(let range, let lost?) = found[1] else {
            Issue.record("\(found[1])")
            return
        }
        #expect(range == places[1]..<places[2])
        #expect(lost.firstOffset == Offset(5))
        #expect(lost.endOffset == Offset(10))
    }

    @Test func `with a torn tail ends before it`() throws {
        let parts = try Parts()
        let bytes = try golden("damaged/torn-tail.segment")
        let found = steps(bytes, Golden.unsealedID, from: FilePosition(4096))
        let last = try #require(parts.unsealed.positions.last)
        // The zeros let the batch fit: its header holds, its body does not.
        guard case .damage(let range, let lost?) = found[2] else {
            Issue.record("\(found)")
            return
        }
        #expect(range.lowerBound == last.value)
        #expect(lost.recordCount == 1)
        #expect(found.count == 4)
        // Without the room it ends in the middle of the batch.
        let cut = steps(
            bytes, Golden.unsealedID, from: FilePosition(4096), to: bytes.count - 512)
        #expect(cut.last == .end(at: last))
    }

    @Test func `with a damaged footer is refused, and its batches are read`() throws {
        let parts = try Parts()
        let bytes = try golden("damaged/footer.segment")
        let end = parts.sealed.batchesEnd
        let refusal = code { () throws(WeirError) in
            _ = try SegmentFooter.decode(
                Array(bytes[Int(end.value)...]), segment: Golden.sealedID, at: end)
        }
        #expect(refusal == .damaged)
        let found = steps(bytes, Golden.sealedID, from: FilePosition(4096))
        #expect(found.count == parts.sealedPositions.count + 1)
        #expect(found.last == .end(at: end))
    }

    @Test func `of a manifest is torn, or damaged in the middle`() throws {
        let torn = try #require(try ManifestState.decodeAll(try golden("MANIFEST-torn")))
        #expect(torn.ending == .torn)
        #expect(torn.state.segments.map(\.id) == [Golden.sealedID])
        #expect(torn.state.closing == .opened(Epoch(2)))
        let middle = try #require(try ManifestState.decodeAll(try golden("MANIFEST-middle")))
        guard case .damaged(let position, _) = middle.ending else {
            Issue.record("\(middle.ending)")
            return
        }
        #expect(position == FilePosition(120))
        #expect(middle.state.configuration == StreamConfiguration())
    }
}
