import ArgumentParser
import Foundation
import Weir

struct CreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a stream, and the store if there is none.",
        discussion: """
            EXAMPLES
              weir create orders
              weir create clicks --durability interval:200 --compression auto
              weir create orders --partitions 8
              weir create flights --index-header carrier --index-header origin
              weir create states --set compaction=on --set retention.age=30d
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "The stream's name.") var stream: String
    @Option(
        help: """
            Make so many streams under one name, 1 to 1024: `append` chooses one by the record's \
            key, `read` and `tail` merge them by time. What a crash left out is made by the same \
            command again.
            """)
    var partitions: Int?
    @OptionGroup var settings: StreamSettings

    func validate() throws {
        guard let partitions else { return }
        do {
            try PartitionedConfiguration(partitions: partitions).validate()
        } catch {
            throw ValidationError(error.message)
        }
    }

    func run() throws {
        if let partitions, !stream.hasPrefix("weir.") {
            try Store.expectUserName("\(stream)-\(partitions - 1)")
        }
        let opened = try options.open(making: stream)
        let configuration = try settings.configuration()
        if let partitions {
            try opened.store.createPartitionedStreamBlocking(
                stream, PartitionedConfiguration(partitions: partitions, configuration))
        } else {
            try opened.store.createStreamBlocking(stream, configuration)
        }
        try opened.finish()
    }
}

/// A stream's settings, for `create` and for an `append` that makes its stream.
struct StreamSettings: ParsableArguments {
    @Option(help: "off (the default), lz4, or auto: LZ4 for batches that shrink by a tenth.")
    var compression: Compression?
    @Option(
        help: ArgumentHelp(
            "durable (the default: survives power loss), flushed (survives the process), or "
                + "interval:MS (flushed, and synced every 1 to 3600000 ms).",
            valueName: "level"),
        completion: .list(["durable", "flushed", "interval:"]))
    var durability: DurabilityArgument?
    @Option(help: "Size at which a segment is sealed: 64MiB to 4GiB (default: 256MiB).")
    var segmentBytes: ByteSizeArgument?
    @Option(help: "Bytes that a batch may have: up to 16MiB (default: 1MiB).")
    var maxBatchBytes: ByteSizeArgument?
    @Option(
        help: "8 (the default), or 4096 where an interrupted write may damage its neighbours.")
    var commitAlignment: Int?
    @Option(
        help: "Microseconds that a sync waits for more appends to join it: 0 (the default) to 1000."
    )
    var linger: Int?
    @Flag(name: .customLong("no-key-index"), help: "Leave the records' keys out of the index.")
    var noKeyIndex = false
    @Option(
        help: ArgumentHelp(
            "Have the index find records by this header's values, too; up to 8 times.",
            valueName: "name"))
    var indexHeader: [String] = []
    @Flag(help: "Keep of each key the latest record only, and drop older ones by and by.")
    var compact = false
    @Option(
        help: "With --compact: rewrite a segment of which so many percent are of no more use (50).")
    var compactDirty: Int?
    @Option(
        help: ArgumentHelp(
            "With --compact: leave records alone that are younger: 90s, 15m, 12h, 7d (0).",
            valueName: "time"))
    var compactLag: String?
    @Option(
        help: ArgumentHelp(
            "With --compact: keep tombstones for so long: 90s, 15m, 12h, 7d (1d).",
            valueName: "time"))
    var compactTombstones: String?
    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "Any setting of `weir config`, such as retention.age=7d; as often as you like.",
            valueName: "key=value"))
    var words: [String] = []

    /// Whether any of them was named, but for the durability, which an append may choose.
    var areGiven: Bool {
        compression != nil || segmentBytes != nil || maxBatchBytes != nil
            || commitAlignment != nil || linger != nil || noKeyIndex
            || !indexHeader.isEmpty || compact || !words.isEmpty
    }

    /// What `--compact` and those with it say, as settings. A time without a unit is in seconds.
    private var compactionWords: [String] {
        guard compact else { return [] }
        func time(_ text: String) -> String { Int(text) == nil ? text : text + "s" }
        return ["compaction=on"]
            + (compactDirty.map { ["compaction.dirty=\($0)"] } ?? [])
            + (compactLag.map { ["compaction.lag=\(time($0))"] } ?? [])
            + (compactTombstones.map { ["compaction.tombstones=\(time($0))"] } ?? [])
    }

    func validate() throws {
        if !compact, compactDirty != nil || compactLag != nil || compactTombstones != nil {
            throw ValidationError(
                "--compact-dirty, --compact-lag and --compact-tombstones say how to compact; give "
                    + "--compact with them.")
        }
        do {
            try configuration().validate()
        } catch {
            throw ValidationError(error.message)
        }
    }

    func configuration() throws(WeirError) -> StreamConfiguration {
        var configuration = StreamConfiguration(
            durability: durability?.durability ?? .durable, compression: compression ?? .off,
            segmentBytes: segmentBytes?.bytes ?? Limits.segmentBytesDefault,
            batchBytesMax: maxBatchBytes?.bytes ?? Limits.batchBytesDefault,
            commitAlignment: commitAlignment ?? 8, lingerMicroseconds: linger ?? 0,
            keyIndex: !noKeyIndex, indexedHeaders: indexHeader)
        for word in compactionWords + words { try configuration.apply(word) }
        return configuration
    }
}

extension StreamConfiguration {
    func withDurability(of other: StreamConfiguration) -> StreamConfiguration {
        var copy = self
        copy.durability = other.durability
        copy.visibility = other.visibility
        return copy
    }
}

struct DeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Remove a stream and all its records, for ever.",
        discussion: """
            A partitioned stream goes with all its partitions; none of them goes alone.

            EXAMPLES
              weir delete orders
              weir delete orders --yes
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "The stream's name.", completion: streamNames) var stream: String
    @Flag(help: "Do not ask.") var yes = false

    func run() throws {
        let opened = try options.open(.write)
        let group = opened.store.partitionedEntry(stream)
        let what = try group.map { try text(of: $0, opened.store) } ?? text(of: opened.store)
        if !yes {
            guard isatty(0) == 1 else {
                Words.say("weir: Deleting needs a terminal to ask on, or --yes.")
                throw ExitRequest(status: ExitStatus.usage)
            }
            Words.show("Delete \(what)? [y/N] ")
            guard try Interrupt.line()?.lowercased() == "y\n" else {
                Words.say("Nothing was deleted.")
                throw ExitRequest(status: ExitStatus.failed)
            }
        }
        if group != nil {
            try opened.store.deletePartitionedStreamBlocking(stream)
        } else {
            try opened.store.deleteStreamBlocking(stream)
        }
        try opened.store.closeBlocking()
    }

    /// A stream that cannot be opened can be deleted all the same: it may be what fills the disk.
    private func text(of store: Store) throws -> String {
        do {
            let found = try store.streamBlocking(stream)
            return "stream \(stream) with " + Numbers.records(try found.info().recordCount)
        } catch {
            if error.code == .notFound { throw error }
            return "stream \(stream) with records that cannot be read"
        }
    }

    private func text(of group: PartitionedStreamEntry, _ store: Store) throws -> String {
        let counts = try group.partitions.map { name in
            try store.streamBlocking(name.description).info().recordCount
        }
        return "partitioned stream \(stream) with \(counts.count) partitions and "
            + Numbers.records(counts.reduce(0, +))
    }
}

extension Store {
    /// Whether the name is a partitioned stream's, whole or not.
    func partitionedEntry(_ name: String) -> PartitionedStreamEntry? {
        partitionedStreams.first { $0.name.description == name }
    }

    /// Whether there is a stream of this name.
    func has(_ name: String) -> Bool {
        streamNames.contains { $0.description == name }
    }
}
