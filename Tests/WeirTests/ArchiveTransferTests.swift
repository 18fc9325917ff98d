import Foundation
import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat

/// Two stores, and a stream in the first with records of every kind.
private struct Pair {
    let folder = TemporaryFolder()
    let source: Store
    let target: Store
    let stream: LogStream

    init(_ configuration: StreamConfiguration = .init()) throws {
        source = try Store.openBlocking(at: folder.path, .createOrWrite)
        target = try Store.openBlocking(at: folder.path + "-target", .createOrWrite)
        stream = try source.streamBlocking("s", creating: configuration)
    }

    func fill(batches: Int = 20, records: Int = 10) throws {
        let writer = try stream.syncWriter()
        for number in 0..<batches {
            var batch = Batch()
            for index in 0..<records {
                let name = "\(number)-\(index)"
                let value: [UInt8]? = index == 3 ? nil : bytes("value \(name)") + [0, 0xFF]
                _ = try batch.append(
                    key: index % 2 == 1 ? bytes("key \(name)") : nil,
                    headers: index == 5 ? ["n": .int(5), "t": .timestamp(milliseconds: 7)] : [:],
                    time: index == 7 ? Timestamp(microseconds: 1) : nil, value: value)
            }
            try writer.append(&batch)
        }
    }

    func close() throws {
        try source.closeBlocking()
        try target.closeBlocking()
        TemporaryFolder.remove(folder.path + "-target")
    }
}

private func archive(
    of stream: LogStream, from start: StartPosition = .first, to end: Offset? = nil
) throws -> [UInt8] {
    var export = try stream.exportArchive(from: start, to: end)
    return try parts(&export).flatMap { $0 }
}

private func parts(_ export: inout ArchiveExport) throws -> [[UInt8]] {
    var found: [[UInt8]] = []
    while true {
        switch try export.next() {
        case .bytes(let bytes): found.append(bytes)
        case .gap: continue
        case .end: return found
        }
    }
}

@discardableResult
private func bring(
    _ archive: [UInt8], into store: Store, _ name: String? = nil
) throws -> ImportOutcome {
    var target = try store.importArchive(into: name)
    var rest = archive[...]
    while !rest.isEmpty {
        try target.add(Array(rest.prefix(1000)))
        rest = rest.dropFirst(1000)
    }
    return try target.finish()
}

@Suite("A stream moved by an archive")
struct ArchiveTransferTests {
    @Test(arguments: [Compression.off, .lz4])
    func `has the same records at the same offsets`(_ compression: Compression) throws {
        let pair = try Pair(StreamConfiguration(compression: compression, batchBytesMax: 2 << 20))
        try pair.fill()
        let outcome = try bring(archive(of: pair.stream), into: pair.target)
        #expect(outcome.recordCount == 200 && outcome.keepsOffsets)
        #expect(outcome.batchCount == 20 && outcome.rebuiltCount == 0)
        #expect(outcome.offsets == Offset(0)..<Offset(200))
        let copy = try pair.target.streamBlocking("s")
        #expect(try copy.all() == pair.stream.all())
        #expect(copy.configuration == pair.stream.configuration)
        try pair.close()
    }

    @Test func `begins where the archive does, also after the store was opened again`() throws {
        let pair = try Pair()
        try pair.fill()
        // In the middle of batches: whole ones are in the archive, and parts of them are taken.
        let part = try archive(of: pair.stream, from: .offset(Offset(55)), to: Offset(123))
        let outcome = try bring(part, into: pair.target)
        #expect(outcome.recordCount == 68 && outcome.keepsOffsets)
        #expect(outcome.batchCount == 6 && outcome.rebuiltCount == 2)
        let expected = try pair.stream.all().filter { (55..<123).contains($0.offset.value) }
        #expect(try pair.target.streamBlocking("s").all() == expected)
        try pair.target.closeBlocking()
        let again = try Store.openBlocking(at: pair.target.path, .write)
        let copy = try again.streamBlocking("s")
        #expect(copy.firstOffset == Offset(55) && copy.endOffset == Offset(123))
        #expect(try copy.all() == expected)
        // What was left out comes later, and nothing comes twice.
        let rest = try bring(archive(of: pair.stream, from: .offset(Offset(100))), into: again)
        #expect(rest.recordCount == 77 && rest.keepsOffsets)
        #expect(try copy.all() == pair.stream.all().filter { $0.offset.value >= 55 })
        try again.closeBlocking()
        try pair.source.closeBlocking()
        TemporaryFolder.remove(again.path)
    }

    @Test func `begins where the archive does in a stream that never had a record, too`() throws {
        let pair = try Pair()
        try pair.fill()
        for (name, last) in [("trimmed", 55), ("emptied", 200)] as [(String, Offset)] {
            try pair.stream.trimBlocking(before: .offset(last))
            let made = try pair.target.streamBlocking(name, creating: StreamConfiguration())
            let archive = try archive(of: pair.stream)
            #expect(try bring(archive, into: pair.target, name).keepsOffsets)
            #expect(made.firstOffset == last && made.endOffset == 200)
            #expect(try made.all() == pair.stream.all())
            try made.syncWriter().append(value: bytes("own"))
            #expect(made.endOffset == 201)
        }
        try pair.close()
    }

    @Test func `is not appended twice, however often it is sent`() throws {
        let pair = try Pair()
        try pair.fill()
        let whole = try archive(of: pair.stream)
        for count in [0, 200, 3_000, whole.count - 1] {
            var target = try pair.target.importArchive()
            try target.add(Array(whole.prefix(count)))
            #expect(throws: WeirError.self) { try target.finish() }
        }
        #expect(try bring(whole, into: pair.target).repeatCount == 200)
        #expect(try bring(whole, into: pair.target).recordCount == 0)
        #expect(try pair.target.streamBlocking("s").all() == pair.stream.all())
        try pair.close()
    }

    @Test func `goes behind the records of a stream that has some, with their times`() throws {
        let pair = try Pair(StreamConfiguration(compression: .lz4))
        try pair.fill()
        let other = try pair.target.streamBlocking("other", creating: StreamConfiguration())
        try other.syncWriter().append(value: bytes("mine"))
        let whole = try archive(of: pair.stream)
        let outcome = try bring(whole, into: pair.target, "other")
        #expect(!outcome.keepsOffsets && outcome.rebuiltCount == 20)
        #expect(outcome.offsets == Offset(1)..<Offset(201))
        let found = try other.all().dropFirst()
        for (copy, record) in zip(found, try pair.stream.all()) {
            #expect(copy.offset == record.offset + 1)
            #expect(copy.time == record.time && copy.value == record.value)
            #expect(copy.key == record.key && copy.headers == record.headers)
        }
        #expect(found.count == 200)
        #expect(try bring(whole, into: pair.target, "other").recordCount == 0)
        try pair.close()
    }

    @Test func `is cut into the smaller batches of its target`() throws {
        let pair = try Pair()
        try pair.fill(batches: 2, records: 3_000)
        _ = try pair.target.streamBlocking(
            "s", creating: StreamConfiguration(batchBytesMax: 4 << 10))
        let outcome = try bring(archive(of: pair.stream), into: pair.target)
        #expect(outcome.keepsOffsets && outcome.rebuiltCount == 2)
        #expect(try pair.target.streamBlocking("s").all() == pair.stream.all())
        try pair.close()
    }

    @Test func `takes the named producers along with the offsets`() throws {
        let pair = try Pair()
        let loader = try pair.stream.syncWriter().producer("loader")
        try loader.append(value: bytes("x"), id: 41)
        try bring(archive(of: pair.stream), into: pair.target)
        let copy = try pair.target.streamBlocking("s").syncWriter().producer("loader")
        #expect(copy.lastPublishingID == 41)
        #expect(try copy.append(value: bytes("x"), id: 41).isDuplicate)
        try pair.close()
    }

    @Test func `goes on where an interrupted export ended`() throws {
        let pair = try Pair()
        try pair.fill()
        var export = try pair.stream.exportArchive()
        let whole = try parts(&export).flatMap { $0 }
        for count in stride(from: 0, to: whole.count, by: 997) {
            var part = ArchivePart()
            try part.add(Array(whole.prefix(count)))
            guard part.byteCount > 0 else {
                #expect(throws: WeirError.self) {
                    _ = try pair.stream.exportArchive(resuming: part)
                }
                continue
            }
            var rest = try pair.stream.exportArchive(resuming: part)
            #expect(whole.prefix(part.byteCount) + (try parts(&rest).flatMap { $0 }) == whole)
        }
        var complete = ArchivePart()
        try complete.add(whole)
        #expect(complete.isComplete)
        let other = try pair.source.streamBlocking("other", creating: StreamConfiguration())
        var part = ArchivePart()
        try part.add(Array(whole.prefix(5_000)))
        #expect(throws: WeirError.self) { _ = try other.exportArchive(resuming: part) }
        try pair.close()
    }

    @Test(arguments: [Offset(200), Offset(.max - 1), Offset(.max)])
    func `is not gone on with where its stream never was`(end: Offset) throws {
        let pair = try Pair()
        try pair.fill(batches: 2)
        var decoder = ArchiveDecoder()
        decoder.add(try archive(of: pair.stream))
        guard case .head(var head)? = try decoder.next() else { return }
        for (first, last) in [(Offset.zero, end), (end, end)] {
            (head.first, head.end) = (first, last)
            var encoder = ArchiveEncoder(head)
            var part = ArchivePart()
            try part.add(encoder.begin())
            let error = #expect(throws: WeirError.self) {
                _ = try pair.stream.exportArchive(resuming: part)
            }
            #expect(error?.code == .damaged)
            #expect(error?.message.contains("goes up to offset \(end)") == true)
        }
        try pair.close()
    }

    @Test func `is refused where it would use up all offsets, and leaves no stream`() throws {
        let pair = try Pair()
        try pair.fill(batches: 2)
        var decoder = ArchiveDecoder()
        decoder.add(try archive(of: pair.stream))
        guard case .head(var head)? = try decoder.next() else { return }
        (head.first, head.end) = (.zero, Offset(.max))
        var encoder = ArchiveEncoder(head)
        let bytes = encoder.begin()
        let error = #expect(throws: WeirError.self) {
            var incoming = try pair.target.importArchive(into: "moved")
            try incoming.add(bytes)
        }
        #expect(error?.code == .damaged)
        #expect(pair.target.streamNames.allSatisfy { "\($0)" != "moved" })
        try pair.close()
    }

    @Test func `has the holes of compaction, and no gaps`() throws {
        let pair = try Pair(StreamConfiguration(compaction: CompactionPolicy()))
        let writer = try pair.stream.syncWriter()
        for number in 0..<300 {
            try writer.append(key: bytes("k\(number % 7 % 5)"), value: bytes("\(number)"))
        }
        _ = try pair.stream.compactBlocking(CompactionOptions(isNow: true))
        try writer.append(key: bytes("last"), value: bytes("x"))
        let before = try pair.stream.all()
        #expect(before.count == 6)
        let outcome = try bring(archive(of: pair.stream), into: pair.target)
        #expect(outcome.keepsOffsets && outcome.recordCount == 6)
        let copy = try pair.target.streamBlocking("s")
        #expect(try copy.all() == before)
        var cursor = try copy.cursor()
        while true {
            let step = try cursor.next()
            if step == .end { break }
            #expect(step == .batch)
        }
        try pair.close()
    }

    /// Too large for the target, and so unpacked; and as it is.
    @Test(arguments: [4 << 10, 1 << 20])
    func `with more records in a batch than its header says is refused`(
        batchBytesMax: Int
    ) throws {
        let pair = try Pair()
        var batch = Batch()
        for _ in 0..<10 {
            _ = try batch.append(key: nil, value: [UInt8](repeating: 7, count: 1000))
        }
        try pair.stream.syncWriter().append(&batch)
        var decoder = ArchiveDecoder()
        decoder.add(try archive(of: pair.stream))
        guard case .head(let head)? = try decoder.next(),
            case .batch(let found)? = try decoder.next()
        else { throw WeirError.damaged("no batch") }
        var header = found.header
        (header.recordCount, header.entryCount, header.offsetSpan) = (2, 2, 2)
        var encoder = ArchiveEncoder(head)
        var forged = encoder.begin()
        forged += encoder.put(header, stored: found.bytes.span.bytes)
        forged += encoder.end()
        let target = try pair.target.streamBlocking(
            "s", creating: StreamConfiguration(batchBytesMax: batchBytesMax))
        let error = #expect(throws: WeirError.self) { try bring(forged, into: pair.target) }
        #expect(error?.code == .damaged)
        #expect(target.endOffset == .zero)
        try pair.close()
    }

    @Test func `loses nothing to somebody who goes on after an error`() throws {
        let pair = try Pair()
        try pair.fill()
        let whole = try archive(of: pair.stream)
        let target = try pair.target.streamBlocking(
            "s", creating: StreamConfiguration(quota: Quota(bytesMax: 4096, policy: .failFast)))
        var moving = try pair.target.importArchive()
        #expect(throws: WeirError.self) { try moving.add(whole) }
        #expect(target.endOffset < Offset(200))
        _ = try target.configureBlocking { $0.quota = nil }
        #expect(throws: WeirError.self) { try moving.add([]) }
        #expect(throws: WeirError.self) { try moving.finish() }
        #expect(try bring(whole, into: pair.target).stream.description == "s")
        #expect(target.endOffset == Offset(200))
        try pair.close()
    }

    @Test func `goes into no stream that it comes from`() throws {
        let pair = try Pair()
        try pair.fill(batches: 1)
        let whole = try archive(of: pair.stream)
        #expect(throws: WeirError.self) { try bring(whole, into: pair.source) }
        #expect(try bring(whole, into: pair.source, "t").recordCount == 10)
        #expect(pair.stream.endOffset == Offset(10))
        try pair.close()
    }
}

@Suite("A stream with settings that nobody could make any more")
struct OldSettingsTransferTests {
    private let folder = TemporaryFolder()
    private let target = TemporaryFolder()
    /// No cursor can have the first name, and the second is there twice.
    private let retention = RetentionPolicy(heldBy: [".", "a", "a"])

    @Test(arguments: ["s", "p"])
    func `is moved with them, with partitions and without`(name: String) throws {
        let engine = try StoreEngine.open(
            files: try RealFileSystem.openRoot(folder.path, creating: true), host: .system(),
            creating: true)
        let stored = StreamConfiguration(retention: retention)
        try engine.create(try StreamName("s"), stored)
        _ = try engine.createPartitions(try StreamName("p"), count: 2, stored)
        try engine.close()
        let source = try Store.openBlocking(at: folder.path)
        let store = try Store.openBlocking(at: target.path)
        var export =
            try name == "s"
            ? source.streamBlocking("s").exportArchive()
            : source.partitionedStreamBlocking("p").exportArchive()
        try bring(parts(&export).flatMap { $0 }, into: store)
        let moved =
            try name == "s"
            ? [store.streamBlocking("s")] : store.partitionedStreamBlocking("p").partitions
        #expect(moved.map(\.configuration.retention) == moved.map { _ in retention })
        // Whoever makes one by hand is told.
        #expect(throws: WeirError.self) { try store.streamBlocking("t", creating: stored) }
        #expect(throws: WeirError.self) {
            try store.partitionedStreamBlocking(
                "q", creating: PartitionedConfiguration(partitions: 2, stored))
        }
        try source.closeBlocking()
        try store.closeBlocking()
    }
}

@Suite("A partitioned stream moved by an archive")
struct PartitionedTransferTests {
    private let pair: Pair
    let group: PartitionedStream

    init() throws {
        pair = try Pair()
        group = try pair.source.partitionedStreamBlocking(
            "p",
            creating: PartitionedConfiguration(
                partitions: 3, StreamConfiguration(compression: .lz4)))
        for (index, partition) in group.partitions.enumerated() {
            for number in 0..<(index + 1) * 10 {
                try partition.syncWriter().append(
                    key: bytes("k\(number)"), value: bytes("\(index)-\(number)"))
            }
        }
    }

    private func whole(total: Int = 60) throws -> [UInt8] {
        var export = try group.exportArchive()
        #expect(export.offsetsTotal == total)
        let found = try parts(&export).flatMap { $0 }
        #expect(export.recordCount == total && export.offsetsDone == total)
        return found
    }

    private func expectSame(_ copy: PartitionedStream) throws {
        #expect(copy.partitions.count == 3)
        for (copy, partition) in zip(copy.partitions, group.partitions) {
            #expect(try copy.all() == partition.all())
            #expect(copy.configuration.compression == .lz4)
        }
    }

    @Test(arguments: [nil, "q"])
    func `has the same partitions, records and offsets`(_ name: String?) throws {
        let outcome = try bring(whole(), into: pair.target, name)
        #expect(outcome.stream.description == name ?? "p" && outcome.source.description == "p")
        #expect(outcome.recordCount == 60 && outcome.keepsOffsets)
        #expect(outcome.partitions.map(\.recordCount) == [10, 20, 30])
        try expectSame(pair.target.partitionedStreamBlocking(name ?? "p"))
        #expect(try bring(whole(), into: pair.target, name).repeatCount == 60)
        try pair.close()
    }

    @Test func `goes on where an interrupted export or import ended`() throws {
        let whole = try whole()
        for count in stride(from: 500, to: whole.count, by: 997) {
            var part = ArchivePart()
            try part.add(Array(whole.prefix(count)))
            var rest = try group.exportArchive(resuming: part)
            let archive = whole.prefix(part.byteCount) + (try parts(&rest).flatMap { $0 })
            #expect(rest.recordCount == 60)
            var cut = try pair.target.importArchive(into: "at\(count)")
            try cut.add(Array(archive.prefix(count)))
            #expect(throws: WeirError.self) { try cut.finish() }
            let outcome = try bring(Array(archive), into: pair.target, "at\(count)")
            #expect(outcome.keepsOffsets)
            try expectSame(pair.target.partitionedStreamBlocking("at\(count)"))
        }
        try pair.close()
    }

    @Test func `begins where its partitions do, and gives no offset out anew`() throws {
        for (partition, offset) in zip(group.partitions, [3, 20, 15] as [Offset]) {
            try partition.trimBlocking(before: .offset(offset))
        }
        let ends = group.partitions.map(\.endOffset)
        #expect(try bring(whole(total: 22), into: pair.target).keepsOffsets)
        #expect(try bring(whole(total: 22), into: pair.target).repeatCount == 22)
        try pair.target.closeBlocking()
        let store = try Store.openBlocking(at: pair.folder.path + "-target", .write)
        let copy = try store.partitionedStreamBlocking("p")
        #expect(copy.partitions.map(\.firstOffset) == [3, 20, 15])
        #expect(copy.partitions.map(\.endOffset) == ends)
        try expectSame(copy)
        for (partition, end) in zip(copy.partitions, ends) {
            #expect(try partition.syncWriter().append(value: bytes("new")).offset == end)
        }
        try store.closeBlocking()
        try pair.source.closeBlocking()
        TemporaryFolder.remove(pair.folder.path + "-target")
    }

    @Test func `is refused by streams with another number, or none, of partitions`() throws {
        let whole = try whole()
        _ = try pair.target.streamBlocking("alone", creating: StreamConfiguration())
        _ = try pair.target.partitionedStreamBlocking(
            "four", creating: PartitionedConfiguration(partitions: 4))
        for name in ["alone", "four"] {
            #expect(throws: WeirError.self) { try bring(whole, into: pair.target, name) }
        }
        #expect(throws: WeirError.self) { try bring(whole, into: pair.source) }
        #expect(throws: WeirError.self) { _ = try group.exportArchive(from: .offset(Offset(3))) }
        try pair.close()
    }

    @Test func `is not taken for the archive of one partition`() throws {
        var part = ArchivePart()
        try part.add(Array(whole().prefix(1_500)))
        #expect(throws: WeirError.self) {
            _ = try group.partitions[0].exportArchive(resuming: part)
        }
        var alone = ArchivePart()
        try alone.add(Array(archive(of: group.partitions[0]).prefix(1_500)))
        #expect(throws: WeirError.self) { _ = try group.exportArchive(resuming: alone) }
        try pair.close()
    }
}
