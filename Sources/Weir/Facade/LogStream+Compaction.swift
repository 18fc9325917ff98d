public import WeirBase
import WeirCompaction
import WeirFiles
import WeirLog

/// What a compaction by hand is asked to do.
public struct CompactionOptions: Sendable, Hashable {
    /// Seals the active segment first, and rewrites every segment of which anything is of no more
    /// use, however young.
    public var isNow: Bool
    /// Finds out what would be done, and does nothing.
    public var isDryRun: Bool
    /// Memory of the map of keys: at least 32 MiB, at most 32 GiB or half of the machine's
    /// memory. What does not fit is looked at in further passes.
    public var mapBytes: Int

    public init(
        isNow: Bool = false, isDryRun: Bool = false,
        mapBytes: Int = Limits.compactionMapBytesDefault
    ) {
        self.isNow = isNow
        self.isDryRun = isDryRun
        self.mapBytes = mapBytes
    }
}

extension CompactionOptions {
    fileprivate func validate() throws(WeirError) {
        let least = Limits.compactionMapBytesMin
        let most = max(
            min(Limits.compactionMapBytesMax, Host.memoryBytes / 2),
            Limits.compactionMapBytesDefault)
        guard (least...most).contains(mapBytes) else {
            throw WeirError(
                .invalidArgument,
                "The map of keys has \(mapBytes) bytes; expected at least \(least) and at most "
                    + "\(most): 32 GiB, or half of this machine's memory if that is less.")
        }
    }
}

extension LogStream {
    /// Called now and then while a compaction runs: the phase, bytes done, and of how many. Says
    /// whether it is to go on.
    public typealias CompactionProgress = @Sendable (CompactionPhase, UInt64, UInt64) -> Bool

    /// Compacts the stream by its policy, and waits until it is done.
    ///
    /// ```swift
    /// let report = try await orders.compact()
    /// print("\(report.recordsRemoved) records are gone, \(report.bytesAfter) bytes are left")
    /// ```
    ///
    /// Of each key the latest record stays; offsets do not change, and readers notice nothing but
    /// that records are missing which a later one superseded. Runs beside appends and makes way for
    /// them. Every new segment is durable before it takes the place of old ones, so a crash at any
    /// point leaves the old or the new; what was swapped stays when it fails or is interrupted.
    ///
    /// Throws `invalidArgument` for a stream without a compaction policy, since every record of
    /// such a one is to stay; `noSpace` if there is no room for a new segment beside the old ones;
    /// `closed` if the store closes meanwhile or `progress` says no, `notFound` where segments went
    /// meanwhile, and what the medium said.
    /// Costs a walk over the keys, and the bytes of what is kept of the segments that are
    /// rewritten.
    @discardableResult
    public func compact(
        _ options: CompactionOptions = CompactionOptions(), progress: CompactionProgress? = nil
    ) async throws -> CompactionReport {
        try await waiters.call { () throws(WeirError) in
            try self.compactBlocking(options, progress: progress)
        }
    }

    /// As `compact`, and blocks the thread.
    @discardableResult
    public func compactBlocking(
        _ options: CompactionOptions = CompactionOptions(), progress: CompactionProgress? = nil
    ) throws(WeirError) -> CompactionReport {
        guard let committer else { throw SystemEngine.readOnly() }
        guard var policy = open.settings.compaction else {
            throw WeirError(
                .invalidArgument,
                "The stream \(name) is not compacted: every record of it is to stay. If only the "
                    + "latest record of each key is needed, say so first: `weir config \(name) set "
                    + "compaction=on`.",
                at: .init(stream: name.description))
        }
        try options.validate()
        if options.isNow {
            policy.lagSecondsMin = 0
            if !options.isDryRun { try committer.sealActive() }
        }
        var request = CompactionRequest(policy: policy)
        request.isDryRun = options.isDryRun
        request.mapBytes = options.mapBytes
        request.takesAll = options.isNow
        defer { parts.upkeep.countQuotas(committer) }
        return try parts.upkeep.compact(open, request, progress)
    }
}

extension LogStream {
    /// Whether the writer's thread would compact it if it looked at a time: for tests.
    package func isCompactionDue(at now: Timestamp) throws(WeirError) -> Bool {
        guard let writer = open.writer, let policy = open.settings.compaction else {
            return false
        }
        return try parts.upkeep.isDue(open, writer, policy, at: now)
    }
}

extension Store {
    /// Bytes of segments that were replaced or retired and are still read by somebody.
    public var pendingRemovalBytes: UInt64 { upkeep.leftovers.pendingBytes }

    /// Compacts and trims nothing by itself any more: for tests.
    package func pauseUpkeep() { upkeep.pause() }
}
