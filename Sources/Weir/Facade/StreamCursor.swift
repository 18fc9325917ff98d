public import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// A cursor: the named, durable position of a consumer in a stream.
///
/// ```swift
/// let billing = try orders.savedCursor("billing")
/// for try await batch in try orders.subscribe(from: .cursor("billing"), as: "billing") {
///     for record in batch { try await charge(record) }
///     try await billing.commit(upTo: batch.endOffset)
/// }
/// ```
///
/// Commit after the work is done: a consumer that dies in between gets those records once more
/// (at least once). A commit that returned survives power loss, whatever the stream's own
/// durability is. The position never goes back unless it is forced to.
///
/// In a reading process commits go to the process that writes, through the store's control socket.
public struct StreamCursor: Sendable {
    public let name: String
    let stream: LogStream

    private var key: CursorKey { CursorKey(stream: stream.open.id, name: name) }
    private var book: CursorBook { stream.parts.cursors }

    /// Where it stands durably; `nil` if it never committed.
    ///
    /// Costs a look into a table; in a reading process, which follows the writer, it may wait for
    /// the disk. Throws `newerFormat` for a cursor that a newer Weir has committed.
    public var position: CursorPosition? {
        get throws(WeirError) { try stream.commit(of: key)?.commit.position }
    }

    /// Everything below `offset` is processed. Returns when that survives power loss.
    ///
    /// Commits of one cursor that wait at the same time are one record, and those of all cursors
    /// share their syncs. With `force`, the position may go back: the records from there on are
    /// processed again.
    ///
    /// Throws `unexpectedOffset` for an offset before the committed one, `invalidArgument` for one
    /// beyond the stream's end, `exhausted` where the store has as many cursors as it may,
    /// `noSpace`, `poisoned`, `closed`; in a reading process also `notFound` where no process has
    /// the store open for writing. The position is as before then.
    public func commit(upTo offset: Offset, force: Bool = false) async throws {
        if stream.engine.isReadOnly || !book.isReady {
            // What blocks does so on a thread of Weir's.
            try await stream.waiters.call { () throws(WeirError) in
                try commitBlocking(upTo: offset, force: force)
            }
        } else if let outcome = try begin(offset, force: force) {
            try await outcome.outcome().get()
            stream.tellCommitted(name)
        }
    }

    /// As `commit`, and blocks the thread: for tools, and threads of one's own.
    public func commitBlocking(upTo offset: Offset, force: Bool = false) throws(WeirError) {
        if stream.engine.isReadOnly {
            return try stream.ask(
                CursorRequest(
                    command: .set, stream: stream.name.description, cursor: name,
                    offset: offset.value, force: force))
        }
        try prepare()
        guard let outcome = try begin(offset, force: force) else { return }
        try outcome.wait().get()
        stream.tellCommitted(name)
    }

    private func prepare() throws(WeirError) {
        if !book.isReady { try book.prepare(stream.parts.openCursors) }
    }

    private func begin(
        _ offset: Offset, force: Bool
    ) throws(WeirError) -> CursorBook.Outcome? {
        try stream.expectCommittable(offset, by: name)
        let position = CursorPosition(epoch: stream.engine.epoch, offset: offset)
        do throws(WeirError) {
            return try book.commit(key, position, force: force)
        } catch {
            throw error.located(.init(stream: stream.name.description))
        }
    }

    /// Forgets the cursor. Returns when that survives power loss. Throws `notFound` where there is
    /// none, and as `commit`.
    public func remove() async throws {
        try await stream.waiters.call { () throws(WeirError) in try removeBlocking() }
    }

    /// As `remove`, and blocks the thread.
    public func removeBlocking() throws(WeirError) {
        if stream.engine.isReadOnly {
            return try stream.ask(
                CursorRequest(
                    command: .remove, stream: stream.name.description, cursor: name))
        }
        do throws(WeirError) {
            // Before anything is made for a cursor that is not there.
            let isKnown = try book.standing(of: key) != nil
            guard isKnown || book.isReady else { throw CursorBook.Ledger.noCursor(name) }
            try prepare()
            if let outcome = try book.remove(key) { try outcome.wait().get() }
        } catch {
            throw error.located(.init(stream: stream.name.description))
        }
        stream.tellCommitted(name)
    }

    /// How far it is behind the stream's end at this moment. May wait for the disk, on a thread of
    /// Weir's: it looks at a block index and one batch.
    public func lag() async throws -> CursorLag {
        try await stream.waiters.call { () throws(WeirError) in try lagBlocking() }
    }

    /// As `lag`, and blocks the thread.
    public func lagBlocking() throws(WeirError) -> CursorLag {
        let offset = try stream.commit(of: key)?.commit.position.offset
        return try stream.lag(from: offset ?? stream.firstOffset)
    }
}

/// What a cursor, or whoever stands at an offset, has before it.
public struct CursorLag: Sendable, Hashable {
    /// Records that readers see from there on.
    public let records: Int
    /// About what these occupy in the segments, as they are stored. Counted from the block that
    /// holds the first of them, so it is too much by up to 64 KiB and a batch; what is written and
    /// not shown yet is in it.
    public let bytes: Int
    /// Since the first of them was appended; `nil` where nothing waits.
    public let time: Duration?
}

extension LogStream {
    /// A cursor of this stream by its name, of the same characters as a stream's. It is there with
    /// its first commit. Throws `invalidArgument` for a name outside the allowed set, and for one
    /// of Weir's own streams.
    public func savedCursor(_ name: String) throws(WeirError) -> StreamCursor {
        let name = try StreamName(name, what: "cursor").description
        guard !self.name.isSystem else {
            throw WeirError(
                .invalidArgument,
                "The stream \(self.name) is one of Weir's own and has no cursors; name a stream of "
                    + "your own.")
        }
        return StreamCursor(name: name, stream: self)
    }

    /// `nil` for a cursor that never committed.
    func commit(
        of key: CursorKey
    ) throws(WeirError) -> (commit: CursorCommit, lost: Offset?)? {
        switch try parts.cursors.standing(of: key) {
        case .at(let commit, let lost)?: return (commit, lost)
        case .unreadable(let error)?:
            throw error.located(.init(stream: CursorLog.streamName.description))
        case nil: return nil
        }
    }

    func begin(atCursor name: String) throws(WeirError) -> ReadingStart {
        let cursor = try savedCursor(name)
        let found = try commit(of: CursorKey(stream: open.id, name: cursor.name))
        if engine.isReadOnly { try engine.refresh(open) }
        guard let found else { return ReadingStart(offset: view.logStart) }
        let offset = found.commit.position.offset
        var start = ReadingStart(offset: offset)
        if let lost = found.lost {
            start.gap = Gap(
                expected: lost, next: offset, reason: .unsynced,
                detail: "the cursor \(name) stood at offset \(lost) in epoch "
                    + "\(found.commit.position.epoch), of which power loss left the records "
                    + "before \(offset)")
        }
        return start
    }

    func expectCommittable(_ offset: Offset, by cursor: String) throws(WeirError) {
        guard !isClosed else {
            throw WeirError(
                .closed,
                "The stream \(name) was deleted or its store closed; the cursor \(cursor) was not "
                    + "committed.")
        }
        let end = view.visibleEnd
        guard offset <= end else {
            throw WeirError(
                .invalidArgument,
                "The cursor \(cursor) cannot stand at offset \(offset), as the stream \(name) "
                    + "shows records up to before \(end); commit the offset behind the last "
                    + "record that was processed.", at: .init(stream: name.description, offset: end)
            )
        }
    }

    /// Producers that wait for the cursor's name look again.
    func tellCommitted(_ cursor: String) { committer?.cursorMoved(cursor, committed(cursor)) }

    /// Has the writing process do it. Blocks the thread.
    func ask(_ request: CursorRequest) throws(WeirError) {
        let client = try ControlClient(path: engine.files.rootPath)
        _ = try client.ask(request, for: CursorAnswer.self)
    }

    /// May wait for the disk.
    func lag(from offset: Offset) throws(WeirError) -> CursorLag {
        if engine.isReadOnly { try engine.refresh(open) }
        let records = view.visibleEnd - offset
        guard records > 0 else { return CursorLag(records: 0, bytes: 0, time: nil) }
        var cursor = LogCursor(view: view, at: offset, mode: .copied)
        var time: Duration?
        search: while true {
            switch try cursor.next() {
            case .batch(let header):
                let passed = engine.host.now().microseconds - header.appendTime.microseconds
                time = .microseconds(max(0, passed))
                break search
            case .gap: continue
            case .end, .held: break search
            }
        }
        return CursorLag(records: records, bytes: try bytes(from: offset), time: time)
    }

    private func bytes(from offset: Offset) throws(WeirError) -> Int {
        let start = FilePosition(UInt64(SegmentHeader.alignment))
        let first = view.segment(for: offset)
        var sum = 0
        for segment in view.segments where segment.base >= first?.base ?? .zero {
            var begin = start
            if segment === first, offset > segment.base {
                do throws(WeirError) {
                    begin = try segment.summary().position(forOffset: offset) ?? start
                } catch {
                    // A file that is gone has no bytes to wait for.
                    if error.code != .notFound { throw error }
                    begin = segment.readableEnd
                }
            }
            sum += segment.readableEnd - begin
        }
        return sum
    }
}
