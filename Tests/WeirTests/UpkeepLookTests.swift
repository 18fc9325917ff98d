import Foundation
import Logging
import Testing
import WeirBase
import WeirFormat

@testable import Weir

/// What upkeep says.
private final class Words: LogHandler, @unchecked Sendable {
    // @unchecked: neither level nor metadata is changed after it was made.
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]
    private let said = Lock<[String]>([])

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { said.withLock { $0.append("\(event.message)") } }

    func count(_ start: String) -> Int {
        said.withLock { $0.count { $0.hasPrefix(start) } }
    }

    var all: [String] { said.withLock { $0 } }
}

/// A store whose looks are made by hand, one after the other.
private struct LookedAfter {
    let folder = TemporaryFolder()
    let store: Store
    let words = Words()
    let upkeep: Upkeep

    init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) throws {
        store = try Store.openBlocking(at: folder.path)
        store.pauseUpkeep()
        let words = words
        upkeep = Upkeep(
            engine: store.engine, flow: store.flow, cursors: store.cursors,
            logger: Logger(label: "upkeep", factory: { _ in words }), now: now)
    }

    func stream(_ name: String, _ configuration: StreamConfiguration) throws -> LogStream {
        try store.streamBlocking(name, creating: configuration)
    }

    /// A segment of three records of one key, and an active one.
    func append(to stream: LogStream) throws {
        let writer = try stream.syncWriter()
        var batch = Batch()
        for _ in 0..<3 { _ = try batch.append(key: bytes("k"), value: bytes("needle")) }
        try writer.append(&batch)
        try stream.committer?.sealActive()
    }

    func look() {
        let store = store
        upkeep.look { (name) throws(WeirError) in try store.openStream(name, creating: nil) }
    }

    func path(_ stream: LogStream) -> String { folder.path + "/" + stream.directory }
}

extension LogStream {
    fileprivate var directory: String { StoreLayout.stream(open.id) }
}

@Suite("A look of upkeep")
struct UpkeepLookTests {
    private static let compacted = StreamConfiguration(
        durability: .flushed, compaction: CompactionPolicy(dirtyPercent: 1))

    @Test func `lets go what is too old before it compacts, and in a compaction's middle`() throws {
        // Each time that somebody asks it is a minute later, and new records are past retention.
        let asked = Lock((count: 0, body: { @Sendable () throws -> Void in }))
        let start = ContinuousClock.now
        let place = try LookedAfter {
            let (count, body) = asked.withLock { asked in
                asked.count += 1
                return (asked.count, asked.body)
            }
            do { try body() } catch { Issue.record(error) }
            return start + .seconds(60 * count)
        }
        let compacted = try place.stream("a", Self.compacted)
        try place.append(to: compacted)
        let retained = try place.stream(
            "b",
            StreamConfiguration(durability: .flushed, retention: RetentionPolicy(recordsMax: 1)))
        asked.withLock { $0.body = { try place.append(to: retained) } }
        place.look()
        let order = place.words.all.map { String($0.prefix { $0 != ":" }) }
        #expect(order.first == "retention")
        #expect(order.last == "compacted a")
        #expect(order.count > 2)
        try place.store.closeBlocking()
    }
}
