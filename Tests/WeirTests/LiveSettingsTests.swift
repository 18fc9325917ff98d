import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@testable import Weir

@Suite("Settings of files and readers")
struct LiveSettingsTests {
    private let folder = TemporaryFolder()

    private func open(_ configuration: StreamConfiguration) throws -> (Store, LogStream) {
        let store = try Store.openBlocking(at: folder.path)
        return (store, try store.streamBlocking("s", creating: configuration))
    }

    /// What another process sees, or this one as one.
    private func seen(by reader: Store) throws -> Int {
        let stream = try reader.streamBlocking("s")
        try reader.engine.refresh(stream.open)
        return try stream.all().count
    }

    @Test func `show what was appended at once, here and in reading processes`() async throws {
        let (store, stream) = try open(.init(durability: .flushed, visibility: .durable))
        store.pauseUpkeep()
        let writer = try stream.syncWriter()
        let reader = try Store.openBlocking(at: folder.path, .read)
        try writer.append(value: [1])
        #expect(stream.endOffset == .zero)
        #expect(try seen(by: reader) == 0)
        try await stream.configure { $0.visibility = nil }
        #expect(stream.endOffset == Offset(1))
        #expect(try seen(by: reader) == 1)
        #expect(try reader.streamBlocking("s").configuration == stream.configuration)
        try reader.closeBlocking()
        try store.closeBlocking()
    }

    @Test func `wake who waits for records that are shown now`() async throws {
        let (store, stream) = try open(.init(durability: .flushed, visibility: .durable))
        try stream.syncWriter().append(value: [1])
        let waiting = Task { () -> Offset in
            for try await batch in try stream.subscribe(from: .first) { return batch.endOffset }
            return .zero
        }
        try await stream.configure { $0.visibility = .flushed }
        #expect(try await waiting.value == Offset(1))
        try store.closeBlocking()
    }

    @Test func `take back no record that readers have seen`() async throws {
        let (store, stream) = try open(.init(durability: .flushed))
        store.pauseUpkeep()
        let writer = try stream.syncWriter()
        try writer.append(value: [1])
        let reader = try Store.openBlocking(at: folder.path, .read)
        #expect(try seen(by: reader) == 1)
        try await stream.configure { $0.visibility = .durable }
        #expect(stream.endOffset == Offset(1))
        #expect(try seen(by: reader) == 1)
        try writer.append(value: [1])
        #expect(stream.endOffset == Offset(1))
        #expect(try seen(by: reader) == 1)
        try reader.closeBlocking()
        try store.closeBlocking()
    }

    @Test func `follow a change of durability`() async throws {
        let (store, stream) = try open(.init())
        store.pauseUpkeep()
        let writer = try stream.syncWriter()
        let reader = try Store.openBlocking(at: folder.path, .read)
        try stream.configureBlocking(["durability=flushed"])
        try writer.append(value: [1])
        #expect(stream.endOffset == Offset(1))
        #expect(try seen(by: reader) == 1)
        try stream.configureBlocking(["durability=durable"])
        try writer.append(value: [1], level: .flushed)
        #expect(stream.endOffset == Offset(1))
        #expect(try seen(by: reader) == 1)
        try reader.closeBlocking()
        try store.closeBlocking()
    }

    @Test func `are found by a reader that was there before its writer`() throws {
        let (store, stream) = try open(.init())
        try store.closeBlocking()
        _ = stream
        let reader = try Store.openBlocking(at: folder.path, .read)
        #expect(try seen(by: reader) == 0)
        try Store.configure(storeAt: folder.path, stream: "s", ["linger=7"])
        let again = try Store.openBlocking(at: folder.path)
        #expect(try seen(by: reader) == 0)
        #expect(try reader.streamBlocking("s").configuration.lingerMicroseconds == 7)
        try reader.closeBlocking()
        try again.closeBlocking()
    }
}

/// Segments of 8 KiB take two batches each.
@Suite("Another size of segments")
struct SegmentSizeTests {
    private let folder = TemporaryFolder()

    private func engine() throws -> StoreEngine<RealFileSystem> {
        try StoreEngine.open(
            files: RealFileSystem.openRoot(folder.path, creating: true), host: Host.system(),
            creating: true)
    }

    private func reader() throws -> StoreEngine<RealFileSystem> {
        try StoreEngine.openReadOnly(
            files: RealFileSystem.openRoot(folder.path, creating: false), host: Host.system())
    }

    static func resize<Files: FileSystem>(
        _ writer: LogWriter<Files>, to byteCount: Int
    ) throws(WeirError) {
        var settings = writer.configuration
        settings.segmentBytes = byteCount
        try writer.configure(settings)
    }

    private static func showDurable<Files: FileSystem>(
        _ writer: LogWriter<Files>
    ) throws(WeirError) {
        var settings = writer.configuration
        settings.visibility = .durable
        try writer.configure(settings)
    }

    /// How many batches each segment holds.
    private func batches(_ writer: LogWriter<RealFileSystem>) throws -> [Int] {
        try writer.view.segments.map { Int(try $0.summary().batchCount) }
    }

    @Test func `larger, holds from the next segment on`() throws {
        let engine = try engine()
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(1, to: writer)
        try Self.resize(writer, to: 64 << 10)
        try SmallStream.append(60, to: writer)
        let counts = try batches(writer)
        #expect((1...2).contains(counts[0]))
        #expect((20...42).contains(counts[1]))
        #expect(try SmallStream.offsets(writer.view).count == 61)
        try engine.close()
    }

    @Test func `smaller, holds at once`() throws {
        let engine = try engine()
        let writer = try SmallStream.create(in: engine)
        try Self.resize(writer, to: 64 << 10)
        try SmallStream.append(30, to: writer)
        try Self.resize(writer, to: 8 << 10)
        #expect(try batches(writer).last == 0)
        try SmallStream.append(9, to: writer)
        #expect(try batches(writer).suffix(4).allSatisfy { $0 <= 3 })
        #expect(try SmallStream.offsets(writer.view).count == 39)
        try engine.close()
        let again = try self.engine()
        #expect(try SmallStream.offsets(SmallStream.view(again)).count == 39)
        try again.close()
    }

    @Test func `costs no segment where there is none yet`() throws {
        let engine = try engine()
        let writer = try SmallStream.create(in: engine)
        try Self.resize(writer, to: 8 << 12)
        try Self.resize(writer, to: 8 << 10)
        #expect(writer.view.segments.isEmpty)
        try engine.close()
    }

    /// Maps are made early: a reader that has one must never be led beyond it.
    @Test func `is followed by readers that came before, between and after`() throws {
        let engine = try engine()
        let writer = try SmallStream.create(in: engine)
        var readers: [StoreEngine<RealFileSystem>] = []
        var count = 0
        for byteCount in [8 << 10, 64 << 10, 8 << 10, 32 << 10, 16 << 10] {
            for part in [1, 11, 1] {
                try SmallStream.append(part, to: writer)
                count += part
                readers.append(try reader())
                for reader in readers {
                    let stream = try #require(reader.streams.first)
                    try reader.refresh(stream)
                    #expect(try SmallStream.offsets(stream.view).count == count)
                }
            }
            try Self.resize(writer, to: byteCount)
        }
        for reader in readers { try reader.close() }
        try engine.close()
    }

    @Test func `smaller and larger again, leaves no reader with a map that is too short`() throws {
        let engine = try engine()
        let writer = try SmallStream.create(in: engine)
        try Self.resize(writer, to: 64 << 10)
        try SmallStream.append(20, to: writer)
        // The segment that is begun now was made with maps for the larger size.
        try Self.resize(writer, to: 8 << 10)
        let reader = try reader()
        let stream = try #require(reader.streams.first)
        #expect(try SmallStream.offsets(stream.view).count == 20)
        try Self.resize(writer, to: 64 << 10)
        try SmallStream.append(10, to: writer)
        try reader.refresh(stream)
        let own = try #require(writer.view.segments.last)
        let seen = try #require(stream.view.segments.last)
        #expect(seen.id == own.id && seen.mapByteCount >= own.mapByteCount)
        #expect(try SmallStream.offsets(stream.view).count == 30)
        try reader.close()
        try engine.close()
    }

    @Test func `stays as it was where the disk has no room for what comes before it`() throws {
        let files = FaultyFileSystem(SimulatedFileSystem(seed: 8))
        let engine = try StoreEngine.open(
            files: files, host: SimulatedMachine(seed: 8).host, creating: true)
        let writer = try SmallStream.create(in: engine, durability: .flushed)
        try SmallStream.append(3, to: writer)
        files.follow { operation, path in
            operation == .write && path.hasSuffix(".segment") ? .fails(.noSpace) : nil
        }
        let before = writer.configuration
        let error = #expect(throws: WeirError.self) { try Self.showDurable(writer) }
        #expect(error?.code == .noSpace && files.hits > 0)
        #expect(writer.configuration == before && writer.manifest.state.configuration == before)
        files.follow { _, _ in nil }
        try Self.showDurable(writer)
        #expect(writer.view.visibleEnd == Offset(3) && writer.durableEnd == Offset(3))
        try engine.close()
    }

    /// Each operation of a life with changes of size, and of visibility, is the machine's last one.
    @Test func `loses nothing in a crash between the edit and its use`() throws {
        var operation = 1
        var isOver = false
        while !isOver {
            let machine = SimulatedMachine(seed: 1)
            let disk = SimulatedFileSystem(seed: 3)
            disk.stop(after: operation)
            let (reached, sizes) = live(disk, machine)
            isOver = reached == nil
            for seed in 0..<4 {
                let left = disk.afterPowerLoss(seed: UInt64(seed * 7919 + operation))
                machine.restart()
                let engine = try StoreEngine.open(files: left, host: machine.host, creating: true)
                #expect(!engine.reports.contains { $0.isDamage }, "\(operation)")
                if let stream = engine.streams.first {
                    let found = try SmallStream.offsets(stream.view).count
                    #expect(found >= reached ?? 21, "operation \(operation): \(found) of \(sizes)")
                    #expect(sizes.contains(stream.settings.segmentBytes))
                    let writer = try SmallStream.writer(engine)
                    try SmallStream.append(3, to: writer)
                    try writer.sync()
                    #expect(try SmallStream.offsets(stream.view).count == found + 3)
                } else {
                    #expect(reached == 0)
                }
                try engine.close()
            }
            operation += 1
        }
        #expect(operation > 50, "it was over before it was interrupted")
    }

    /// How many records were durable, `nil` for all, and the sizes that may hold then.
    private func live(
        _ disk: SimulatedFileSystem, _ machine: SimulatedMachine
    ) -> (reached: Int?, sizes: [Int]) {
        var reached = 0
        var sizes = [8 << 10]
        do {
            let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
            let writer = try SmallStream.create(in: engine)
            for byteCount in [32 << 10, 8 << 10, 16 << 10] {
                try SmallStream.append(7, to: writer, needsSync: true)
                try writer.sync()
                reached += 7
                sizes = [sizes[sizes.count - 1], byteCount]
                var settings = writer.configuration
                settings.segmentBytes = byteCount
                settings.visibility = byteCount == 8 << 10 ? .durable : .flushed
                try writer.configure(settings)
            }
            try engine.close()
            return (nil, sizes)
        } catch {
            return (reached, sizes)
        }
    }
}
