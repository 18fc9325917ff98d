import Testing
import Weir
import WeirFiles

@Suite("A stream's settings")
struct ConfigurationTests {
    private let folder = TemporaryFolder()

    private func open() throws -> (Store, LogStream) {
        let store = try Store.openBlocking(at: folder.path)
        return (store, try store.streamBlocking("s", creating: .init()))
    }

    @Test func `can be changed, and stay changed`() async throws {
        let (store, stream) = try open()
        let settings = try await stream.configure { settings in
            settings.compression = .lz4
            settings.durability = .flushed
            settings.retention = RetentionPolicy(recordsMax: 7, heldBy: ["a", "b"])
            settings.compaction = CompactionPolicy(dirtyPercent: 3)
        }
        #expect(stream.configuration == settings)
        #expect(stream.acknowledgedLevel == .flushed)
        #expect(try await stream.append(value: bytes("x")).level == .flushed)
        try store.closeBlocking()
        let again = try Store.openBlocking(at: folder.path)
        #expect(try again.streamBlocking("s").configuration == settings)
        #expect(again.reports == [])
        try again.closeBlocking()
    }

    @Test func `hold for what is appended next`() async throws {
        let (store, stream) = try open()
        let value = [UInt8](repeating: 7, count: 50_000)
        try await stream.append(value: value)
        let before = try stream.info().logicalBytes
        try stream.configureBlocking(["compression=lz4"])
        try await stream.append(value: value)
        #expect(try stream.info().logicalBytes - before < 5_000)
        #expect(try stream.all().map(\.value) == [value, value])
        try store.closeBlocking()
    }

    @Test func `are changed beside appends that never cease`() async throws {
        let (store, stream) = try open()
        try await withThrowingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<50 { try await stream.append(value: [1], level: .flushed) }
                }
            }
            for linger in 1...10 { try await stream.configure { $0.lingerMicroseconds = linger } }
            try await group.waitForAll()
        }
        #expect(stream.configuration.lingerMicroseconds == 10)
        #expect(try stream.info().flushedEnd == Offset(200))
        try store.closeBlocking()
    }

    @Test func `make durable what was appended before, if durability is asked for`() async throws {
        let (store, stream) = try open()
        try stream.configureBlocking(["durability=flushed"])
        try await stream.append(value: bytes("x"))
        try stream.configureBlocking(["durability=durable"])
        #expect(try stream.info().durableEnd == Offset(1))
        try store.closeBlocking()
    }

    @Test(arguments: [
        "batch.bytes=2MiB", "commit.alignment=4096", "segment.bytes=1k", "segment.bytes=8GiB",
        "segment.bytes=", "visibility=perhaps", "partition=1", "index.keys=off", "nothing=1",
        "retention.age", "retention.age=7", "retention.age=soon", "linger=-1", "linger=1001",
        "retention.age=9999999999999999999d",
        "compaction=perhaps", "compaction.dirty=50", "compression=zip", "durability=interval:0",
        "retention.bytes=0", "retention.held-by=.", "retention.held-by=a,b,a", "=", "",
        "retention.held-by=", "retention.held-by=,", "retention.held-by=a,", "retention.held-by=,a",
    ])
    func `refuse what cannot be`(word: String) throws {
        let (store, stream) = try open()
        let before = stream.configuration
        #expect(throws: WeirError.self) { try stream.configureBlocking([word]) }
        #expect(stream.configuration == before)
        try store.closeBlocking()
    }

    @Test(arguments: [["."], ["a b"], ["a", "a"]])
    func `of a new stream name only cursors that there can be`(names: [String]) {
        let settings = StreamConfiguration(retention: RetentionPolicy(heldBy: names))
        #expect(throws: WeirError.self) { try settings.validate() }
    }

    @Test func `that were stored with names of no cursor are read, and change`() async throws {
        let engine = try StoreEngine.open(
            files: try RealFileSystem.openRoot(folder.path, creating: true), host: .system(),
            creating: true)
        let stored = StreamConfiguration(retention: RetentionPolicy(heldBy: [".", "a", "a"]))
        try engine.create(try StreamName("old"), stored)
        try engine.close()
        let store = try Store.openBlocking(at: folder.path)
        let stream = try store.streamBlocking("old")
        #expect(stream.configuration.retention == stored.retention)
        try stream.configureBlocking(["linger=7"])
        #expect(throws: WeirError.self) { try stream.configureBlocking(["retention.held-by=.,b"]) }
        try stream.configureBlocking(["retention.held-by=b"])
        #expect(stream.configuration.retention?.heldBy == ["b"])
        try store.closeBlocking()
    }

    @Test func `that were chosen for good stay`() async throws {
        let (store, stream) = try open()
        await #expect(throws: WeirError.self) {
            try await stream.configure { $0.batchBytesMax = 2 << 20 }
        }
        try store.closeBlocking()
    }

    @Test(arguments: [
        ("retention.age=168h", "7d"), ("retention.age=90s", "90s"), ("retention.age=90m", "90m"),
        ("retention.age=none", "none"), ("quota.bytes=2048m", "2GiB"), ("quota.bytes=1000", "1000"),
        ("linger=100", "100"),
    ])
    func `are told in the largest unit that fits`(word: String, text: String) throws {
        var settings = StreamConfiguration()
        try settings.apply(word)
        #expect(settings.words.first { word.hasPrefix("\($0.key)=") }?.text == text)
    }

    @Test func `have no retention left without a limit and a name`() throws {
        var settings = StreamConfiguration()
        settings.retention = RetentionPolicy(ageSecondsMax: 7, heldBytesMax: nil)
        try settings.apply("retention.age=none")
        #expect(settings.retention == nil)
        for word in ["retention.held-bytes=none", "retention.held-by=a"] {
            try settings.apply(word)
        }
        #expect(settings.retention == RetentionPolicy(heldBy: ["a"], heldBytesMax: nil))
    }

    @Test func `read back as the words that set them`() throws {
        var settings = StreamConfiguration()
        let words = [
            "durability=interval:20", "compression=auto", "linger=5", "compaction=on",
            "compaction.dirty=9", "compaction.lag=2m", "compaction.tombstones=1h",
            "retention.age=7d", "retention.bytes=3GiB", "retention.records=5",
            "retention.held-by=a,b", "retention.held-bytes=1k", "quota.bytes=2MiB",
            "quota.policy=wait", "visibility=flushed", "segment.bytes=1GiB",
        ]
        for word in words { try settings.apply(word) }
        var again = StreamConfiguration()
        for word in settings.words where word.isChangeable {
            try again.apply("\(word.key)=\(word.value)")
            try again.apply("\(word.key)=\(word.text)")
        }
        #expect(again == settings)
        for word in StreamConfiguration().words where word.isChangeable {
            // Of a stream without a quota and not compacted there is nothing to say.
            guard !word.key.hasPrefix("compaction."), word.key != "quota.policy" else { continue }
            try again.apply("\(word.key)=\(word.value)")
        }
        #expect(again == StreamConfiguration())
        #expect(throws: WeirError.self) { try again.apply("quota.policy=wait") }
    }

    @Test func `of one of Weir's own streams are Weir's`() throws {
        let (store, stream) = try open()
        try stream.savedCursor("c").commitBlocking(upTo: .zero)
        let cursors = try store.streamBlocking("weir.cursors")
        #expect(throws: WeirError.self) { try cursors.configureBlocking(["compaction=off"]) }
        try store.closeBlocking()
    }

    @Test func `of a stream that closes are refused, not waited for`() throws {
        let (store, stream) = try open()
        try store.closeBlocking()
        #expect(throws: WeirError.self) { try stream.configureBlocking(["linger=1"]) }
    }
}
