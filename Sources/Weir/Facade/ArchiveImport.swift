public import WeirBase
import WeirFormat
import WeirLog

/// An archive on its way into a stream.
///
/// ```swift
/// var archive = try store.importArchive(into: "orders")
/// while let bytes = try file.read(upToCount: 1 << 20), !bytes.isEmpty {
///     try archive.add(Array(bytes))
/// }
/// let outcome = try archive.finish()
/// ```
///
/// **Where it goes.** A stream that does not exist is made with the archive's settings, and its
/// records keep their offsets. Into one that exists they are appended at its end; the offsets are
/// kept where the archive goes on exactly there. Batches go in as they are, packed or not. One is
/// unpacked only where it must be: where a part of it is wanted, where it is larger than the
/// stream's batches, or where append times would go back; its records then get times of their own,
/// the same that they had.
///
/// The archive of a partitioned stream goes into one, made if there is none, each partition into
/// that of its number.
///
/// **What survives.** Each batch says, as an append of a named producer, how far the archive's
/// stream has come. So the same archive, or a later one of that stream, can be imported again after
/// a crash or at any time, and what is there is not appended twice. `finish` makes all of it
/// durable.
///
/// **What is refused.** A batch with an altered byte, and everything behind it; what came before is
/// kept. Only `finish` tells whether the archive was whole.
public struct ArchiveImport: ~Copyable {
    private let store: Store
    private let wantedName: String?
    private var decoder = ArchiveDecoder()
    private var lane: ImportLane?
    /// Of the partitions before this one.
    private var whole: [ImportOutcome] = []
    private var group: (target: PartitionedStream, source: StreamName)?
    /// Nothing behind it goes in, whoever goes on.
    private var failure: WeirError?

    init(_ store: Store, into name: String?) {
        self.store = store
        wantedName = name
    }

    /// What was done so far; `nil` before the archive's head was read.
    public var outcome: ImportOutcome? {
        guard let group else { return lane?.outcome }
        return ImportOutcome(
            group.target.name, group.source,
            partitions: whole + (lane.map { [$0.outcome] } ?? []))
    }

    /// Takes the next bytes in, pieces of any size. Blocks the thread.
    ///
    /// Throws `damaged` for an archive that was altered, `newerFormat`, `tooLarge` for a record or
    /// a packed part that no batch of the stream can hold, and as an append. After an error it
    /// throws that one again: import the archive anew, and what is there is not appended twice.
    public mutating func add(_ bytes: [UInt8]) throws(WeirError) {
        if let failure { throw failure }
        do throws(WeirError) {
            try take(bytes)
        } catch {
            failure = error
            throw error
        }
    }

    private mutating func take(_ bytes: [UInt8]) throws(WeirError) {
        decoder.add(bytes)
        while let item = try decoder.next() {
            switch item {
            case .head(let head): try begin(head)
            case .batch(let batch): try lane?.add(batch)
            case .trailer: try lane?.end()
            }
        }
    }

    private mutating func begin(_ head: ArchiveHead) throws(WeirError) {
        guard head.isInSeries, let partition = head.configuration.partition else {
            lane = try ImportLane(head, store, into: wantedName)
            return
        }
        try lane?.sync()
        if let last = lane.take() { whole.append(last.outcome) }
        let group = try store.partitionedStreamBlocking(
            wantedName ?? partition.group.description,
            copying: PartitionedConfiguration(
                partitions: partition.count, head.configuration.placed(in: nil)))
        self.group = (group, partition.group)
        lane = try ImportLane(
            head, store, into: group.partitions[partition.index].name.description)
    }

    /// Makes durable what was imported, whether or not the archive was whole. Throws `damaged` if
    /// it was cut, what the medium said, and what `add` threw.
    public mutating func finish() throws(WeirError) -> ImportOutcome {
        try lane?.sync()
        if let failure { throw failure }
        try decoder.expectEnd()
        guard let outcome else { throw WeirError.damaged("The archive has no head.") }
        return outcome
    }
}

extension ArchiveImport {
    /// What every archive begins with: "WEIRARC1".
    public static let magic = (0..<8).map {
        UInt8(truncatingIfNeeded: ArchiveHead.magic >> ($0 * 8))
    }
    /// No head is longer.
    public static let headBytesMax = ArchiveHead.byteCountMax

    /// Proves an archive's head before a store is opened, or made, for it. `beginning` is the first
    /// `headBytesMax` bytes of the input, or all that it has.
    ///
    /// Throws `damaged` for what is no archive, was cut within its head or altered there, and
    /// `newerFormat`.
    public static func expectHead(_ beginning: some Sequence<UInt8>) throws(WeirError) {
        var decoder = ArchiveDecoder()
        decoder.add(Array(beginning))
        guard case .head(let head)? = try decoder.next() else { return try decoder.expectEnd() }
        try ImportLane.expectEnd(of: head)
    }
}

/// What became of an archive.
public struct ImportOutcome: Sendable, Hashable {
    public let stream: StreamName
    /// The archive's own name for it.
    public let source: StreamName
    /// Records that were appended, and those of batches that were there already.
    public internal(set) var recordCount = 0
    public internal(set) var repeatCount = 0
    /// Batches that went in as they are, and those that were unpacked.
    public internal(set) var batchCount = 0
    public internal(set) var rebuiltCount = 0
    /// The offsets of what was appended, from the first to behind the last.
    public internal(set) var offsets: Range<Offset>?
    /// Whether every record has the offset that it had.
    public internal(set) var keepsOffsets = true
    /// How far the source has come here.
    public internal(set) var sourceEnd: Offset
    /// Of a partitioned stream: what became of each partition, whose sum this is. Offsets and the
    /// source's end are those of the last one then.
    public private(set) var partitions: [ImportOutcome] = []
}

extension ImportOutcome {
    init(stream: StreamName, source: StreamName, sourceEnd: Offset) {
        (self.stream, self.source, self.sourceEnd) = (stream, source, sourceEnd)
    }

    init(_ group: StreamName, _ source: StreamName, partitions: [ImportOutcome]) {
        self.init(stream: group, source: source, sourceEnd: partitions.last?.sourceEnd ?? .zero)
        self.partitions = partitions
        offsets = partitions.last?.offsets
        keepsOffsets = partitions.allSatisfy(\.keepsOffsets)
        for partition in partitions {
            recordCount += partition.recordCount
            repeatCount += partition.repeatCount
            batchCount += partition.batchCount
            rebuiltCount += partition.rebuiltCount
        }
    }
}

extension Store {
    /// Imports an archive into a stream, by default one of its own name.
    public func importArchive(into name: String? = nil) throws(WeirError) -> ArchiveImport {
        guard !isReadOnly else { throw SystemEngine.readOnly() }
        if let name { _ = try StreamName(name) }
        return ArchiveImport(self, into: name)
    }

    /// How far a stream, of this store or another, has been imported or copied into one of this
    /// store: the offset that comes next; `nil` if nothing was.
    public func importedEnd(
        of source: LogStream, into name: String
    ) throws(WeirError) -> Offset? {
        let name = try StreamName(name)
        guard engine.stream(name) != nil else { return nil }
        let known = ImportLane.producer(source.engine.header.storeID, source.open.id)
        return try streamBlocking(name.description).producers().first { $0.name == known }.map {
            Offset($0.publishingID)
        }
    }
}
