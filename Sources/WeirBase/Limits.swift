/// Every bound of Weir, in one place. Each is checked before memory is taken.
public enum Limits {
    /// A record as it is stored: annotations, headers and value together.
    public static let recordBytesMax = 8 << 20
    /// A record's key.
    public static let keyBytesMax = 64 << 10
    /// A header's name, and all headers of a record together.
    public static let headerNameBytesMax = 255
    public static let headersBytesMax = 1 << 20
    public static let streamNameBytesMax = 128
    /// Cursors of a store, of all its streams together: they are kept in memory.
    public static let cursorsMax = 100_000
    /// Of a partitioned stream.
    public static let partitionsMax = 1_024
    /// Of a consumer group; those beyond the partitions wait.
    public static let groupMembersMax = 4_096

    /// Entries of a batch; the number has 16 bits in a chunk of the stream protocol.
    public static let batchEntriesMax = 65_535
    /// A batch's raw (decompressed) body unless the stream says otherwise, and at most.
    public static let batchBytesDefault = 1 << 20
    public static let batchBytesMax = 16 << 20
    /// What decoders accept: bytes of a stored body, and of everything in it decompressed.
    package static let decodedBodyBytesMax = 16 << 20
    package static let decodedRawBytesMax = 64 << 20
    package static let extensionBytesMax = 1 << 20
    package static let footerBytesMax = 64 << 20
    package static let manifestEditBytesMax = 1 << 20
    package static let manifestBytesMax = 1 << 30
    /// A manifest whose edits take much more than what they add up to is written anew beyond so
    /// many bytes: when the stream is opened, and in between.
    package static let manifestRewriteBytesAtOpening = 64 << 10
    package static let manifestRewriteBytes = 1 << 20
    /// What one backup says of its store, and pieces in which files are copied.
    package static let snapshotBytesMax = 1 << 30
    package static let copyBytes = 1 << 20
    /// How often a backup waits a tenth of a second for a writer that is opening the store.
    package static let backupWaitsMax = 100

    /// A segment unless the stream says otherwise, and the range that a user may choose.
    public static let segmentBytesDefault = 256 << 20
    public static let segmentBytesMin = 64 << 20
    public static let segmentBytesMax = 4 << 30
    /// Tests go lower, so that a roll takes a few records.
    package static let segmentBytesMinInTests = 4 << 10

    /// The block index has an entry at least every so many bytes.
    package static let blockIndexStride = 64 << 10
    /// Steps in which an active file is written ahead with zeros.
    package static let growthStepMin = 64 << 10
    package static let growthStepMax = 16 << 20
    /// What is appended without a sync is sent to the medium in pieces of so many bytes.
    package static let writeBackBytes = 128 << 10
    /// A consumer at the end of its log reads what was appended itself, if it has at most so many
    /// bytes, stored and unpacked, and they are in memory. Tens of microseconds of work.
    package static let lookBytesMax = 64 << 10
    /// Where it is in vain, it looks once in so many times.
    package static let looksSkippedMax = 1024
    /// Streams of a store whose segment is open for appending: beyond it, and in good time before,
    /// those that were appended to longest ago are put to rest.
    package static let openFilesMax = 512
    /// Segments that a stream may have left without having sealed them.
    package static let rollsMax = 4
    /// Bytes and records that a stream's producers may have under way unless its policy says
    /// otherwise, and the longest that a policy may let anybody wait.
    public static let producerBytesDefault = 8 << 20
    public static let producerRecordsDefault = 1 << 20
    public static let producerSecondsMax: Int64 = 86_400
    /// Consumers whose lag a stream's producers can be bound to.
    public static let boundConsumersMax = 4_096
    /// Names of headers that a stream may have in the index, and bytes of each.
    public static let indexedHeadersMax = 8
    public static let indexedHeaderNameBytesMax = 128
    /// What a delay or age of compaction or retention may be: a hundred years.
    public static let upkeepSecondsMax = 3_155_760_000
    /// Memory of a compaction's map of keys unless it is told otherwise, and at least.
    public static let compactionMapBytesDefault = 128 << 20
    public static let compactionMapBytesMin = 32 << 20
    /// No more than half of the machine's memory either: what cannot be had ends the process.
    public static let compactionMapBytesMax = 32 << 30
    /// Marks of a compaction, three bits a record: what lies behind is looked at in another round.
    package static let compactionMarkBytesMax = 32 << 20
    /// Room on the disk that a store keeps for cursors and manifests.
    package static let reserveBytes = 4 << 20
    /// Bytes and records that a retention policy may name, and cursors that may hold it back.
    package static let retentionMax = 1 << 60
    public static let retentionCursorsMax = 16
    /// What cursors hold back at most, unless a policy says otherwise.
    public static let retentionHeldBytesDefault = 64 << 30
    /// Segments that one edit of the manifest retires.
    package static let retiredAtOnceMax = 1_024
    /// A writer believes at its opening that the clock went on by no more than so much since the
    /// newest append; what it shows beyond is gained at double speed. See `RetentionClock`.
    package static let clockDoubtSeconds: Int64 = 7 * 86_400
    /// How often a writer looks whether a stream is to be compacted, or lets records go.
    package static let upkeepMilliseconds = 15_000
    /// While appends are under way, compaction works for one part of the time and rests for so
    /// many.
    package static let upkeepRestShare = 3
    /// What compaction writes goes to the medium in pieces of so many bytes.
    package static let compactionSyncBytes = 8 << 20
    /// Streams that are recovered at once when a store is opened.
    package static let openingThreadsMax = 8
    /// Mapped segments of a store; beyond it readers use `pread`.
    package static let mapsMax = 4_096
    /// Of these, how many stay mapped when no reader stands in them.
    package static let recentMapsMax = 512
    /// Memory of unpacked bodies that a store keeps for the next ones.
    package static let spareBodyBytesMax = 16 << 20
    /// What one read-ahead asks of the kernel.
    package static let prefetchBytes = 4 << 20
    /// Behind damage, a subscription's reader looks for the next batch in steps of so many bytes:
    /// that much may be read beyond its credit.
    package static let headerSearchBytes = 4 << 10
    /// So many bytes at once: then others that wait for its thread have their turn. No more than
    /// what is in memory for a consumer that looks.
    package static let headerSearchBytesMax = 2 * lookBytesMax
    /// Named producers whose last publishing id a stream remembers, bytes of a name as the stream
    /// protocol has it, and how many of them may share a batch.
    public static let producersMax = 4_096
    public static let producerNameBytesMax = 255
    package static let batchProducersMax = 256

    /// What all subscriptions of a store may hold, in bytes of records, unless it is opened with
    /// another budget; and the range of that.
    public static let subscriptionBytesDefault = 256 << 20
    public static let subscriptionBytesMin = 1 << 20
    public static let subscriptionBytesMax = 1 << 50

    /// Consumers whose signals are counted apart, and events that wait for a listener.
    package static let signalSourcesMax = 4_096
    package static let signalFeedMax = 1_024

    /// The writer's socket: who may ask at once, a request, an answer, and how long either side
    /// waits for the other's line.
    package static let controlConnectionsMax = 16
    package static let controlRequestBytesMax = 64 << 10
    package static let controlAnswerBytesMax = 16 << 20
    package static let controlDeadlineMilliseconds = 5_000
}
