public import WeirBase
import WeirFiles
import WeirLog

extension LogStream {
    /// Lets go of every record before an offset or a time, for ever, whoever may want it.
    ///
    /// ```swift
    /// let report = try await orders.trim(before: .offset(Offset(1_000_000)))
    /// print("\(report.bytesRemoved) bytes are free; \(report.firstOffset) is the first record")
    /// ```
    ///
    /// The stream begins at exactly that offset; of the files, those go that hold nothing behind
    /// it. Consumers that stand before it meet a gap of reason `retention`. Durable when it
    /// returns: a crash before leaves the stream as it was. Whatever holds back retention does not
    /// hold back a trim. With `isDryRun` it says what would go, to the byte.
    ///
    /// Throws `invalidArgument` for an offset behind the stream's end, for a time that has not come
    /// and that no record bears, and for one of Weir's own streams; `closed`, `poisoned`, and what
    /// the medium said. Costs one synced edit, and a change of segment where all records go.
    @discardableResult
    public func trim(
        before start: StartPosition, isDryRun: Bool = false
    ) async throws -> TrimReport {
        try await waiters.call { () throws(WeirError) in
            try self.trimBlocking(before: start, isDryRun: isDryRun)
        }
    }

    /// As `trim`, and blocks the thread.
    @discardableResult
    public func trimBlocking(
        before start: StartPosition, isDryRun: Bool = false
    ) throws(WeirError) -> TrimReport {
        let committer = try writable()
        let offset = try trimOffset(of: start)
        let end = view.flushedEnd
        guard offset <= end else {
            throw WeirError(
                .invalidArgument,
                "The stream \(name) ends at offset \(end), before \(offset); name an offset up to "
                    + "its end.", at: .init(stream: name.description, offset: offset))
        }
        // A log never begins behind what is durable; and what ends here ends in a sealed file.
        let sealing = offset == end || offset > view.durableEnd
        defer { parts.upkeep.countQuotas(committer) }
        return try parts.upkeep.trim(
            open, committer, before: offset, sealing: sealing, isDryRun: isDryRun)
    }

    /// Where a stream begins that is trimmed before `start`. A wrong year must not empty it: a time
    /// that has not come is taken only where a record is found that stays.
    func trimOffset(of start: StartPosition) throws(WeirError) -> Offset {
        // Read before the search, which would not find what comes behind it.
        let end = view.visibleEnd
        let offset = try offset(of: start)
        let now = engine.host.now()
        switch start {
        case .time(let time), .appended(let time):
            guard time > now, offset >= end, end > view.logStart else { return offset }
            throw WeirError(
                .invalidArgument,
                "The time \(time) has not come, it is \(now), and no record of the stream \(name) "
                    + "is of then or later, so that all of them would go; give an earlier time, or "
                    + "say offset \(end) if that is meant.",
                at: .init(stream: name.description, offset: end))
        case .first, .last, .next, .offset, .cursor: return offset
        }
    }

    /// Lets go of what the stream's retention no longer keeps, now, and not at the next look of the
    /// store, which comes every 15 seconds.
    ///
    /// Throws `invalidArgument` for a stream without a retention policy, and as `trim`.
    @discardableResult
    public func retain(isDryRun: Bool = false) async throws -> TrimReport {
        try await waiters.call { () throws(WeirError) in
            try self.retainBlocking(isDryRun: isDryRun)
        }
    }

    /// As `retain`, and blocks the thread.
    @discardableResult
    public func retainBlocking(isDryRun: Bool = false) throws(WeirError) -> TrimReport {
        try parts.upkeep.retain(open, try writable(), isDryRun: isDryRun)
    }

    /// A trim, or without a place for one, what the policy says.
    func trimOrRetain(
        before start: StartPosition?, isDryRun: Bool
    ) throws(WeirError) -> TrimReport {
        guard let start else { return try retainBlocking(isDryRun: isDryRun) }
        return try trimBlocking(before: start, isDryRun: isDryRun)
    }
}
