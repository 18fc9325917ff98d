public import WeirBase
import WeirFormat

/// How a backup is made.
public struct BackupOptions: Sendable, Hashable {
    /// Hard links in place of copies for sealed segments, where the file system can; else copies.
    /// Off by default: a link costs nothing, and what damages the store's file damages the backup.
    public var link: Bool
    /// How many snapshots stay, the new one among them, at least one; older ones go, and with them
    /// the files that only they name. `nil`, the default, keeps all.
    public var keep: Int?

    public init(link: Bool = false, keep: Int? = nil) {
        self.link = link
        self.keep = keep
    }
}

/// What a backup came to.
public struct BackupReport: Sendable {
    /// The new one, for `restore`.
    public internal(set) var snapshot = BackupSnapshot()
    /// Bytes written to the backup's directory, the snapshot itself among them.
    public internal(set) var bytesWritten = 0
    /// Bytes that the file system shares with the store instead.
    public internal(set) var bytesShared = 0
    /// Bytes of the snapshot that the directory had already.
    public internal(set) var bytesKept = 0
    public internal(set) var snapshotsRemoved = 0
    /// Files that no snapshot named any more.
    public internal(set) var segmentsRemoved = 0
    /// Files of segments that a repair or a recovery mended since they were copied, and that were
    /// copied again with the same batches. Earlier snapshots have their records, and call them
    /// altered.
    public internal(set) var segmentsRenewed: [String] = []
    /// What was found damaged; it was copied as it is.
    public internal(set) var damage: [DamageReport] = []
}

/// One of the backups in a directory.
public struct BackupSnapshot: Sendable {
    public let name: String
    /// When it was made; `nil` where it cannot be read.
    public private(set) var time: Timestamp?
    /// Names, sorted, Weir's own among them.
    public private(set) var streams: [StreamName] = []
    public private(set) var segmentCount = 0
    /// Of all its segments' files, whichever backup wrote them.
    public private(set) var bytes = 0
    /// Why it cannot be restored.
    public private(set) var trouble: WeirError?

    init() { name = "" }

    init(name: String, _ contents: Result<SnapshotFile, WeirError>) {
        self.name = name
        switch contents {
        case .success(let snapshot):
            time = snapshot.time
            streams = snapshot.streams.map(\.manifest.name)
                .sorted { $0.description < $1.description }
            let files = snapshot.streams.flatMap { $0.files.values }
            segmentCount = files.count
            bytes = files.reduce(0) { $0 + Int(clamping: $1.byteCount) }
        case .failure(let error): trouble = error
        }
    }
}

/// What of a backup is restored.
public struct RestoreOptions: Sendable, Hashable {
    /// Where the streams end; the record that stands there is not restored.
    public enum End: Sendable, Hashable {
        /// Of the one stream that is restored.
        case offset(Offset)
        /// What Weir took at this time or later stays behind, in every stream.
        case appended(Timestamp)
    }
    /// A snapshot's name; the newest without one.
    public var snapshot: String?
    /// Streams and partitioned streams; all without any. Cursors always come along.
    public var streams: [String]
    public var end: End?

    public init(snapshot: String? = nil, streams: [String] = [], end: End? = nil) {
        self.snapshot = snapshot
        self.streams = streams
        self.end = end
    }
}

/// What a restore came to.
public struct RestoreReport: Sendable {
    /// The snapshot that was restored.
    public internal(set) var snapshot = ""
    public internal(set) var streamCount = 0
    public internal(set) var recordCount = 0
    public internal(set) var bytesWritten = 0
    /// Bytes that the file system shares with the backup instead.
    public internal(set) var bytesShared = 0
    /// What was missing or damaged in the backup; the rest was restored.
    public internal(set) var damage: [DamageReport] = []
}
