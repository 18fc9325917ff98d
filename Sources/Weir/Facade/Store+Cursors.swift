public import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// A cursor as an operator sees it. Times are in microseconds, that of the commit since 1970.
public struct CursorInfo: Sendable, Hashable, Codable {
    public let stream: String
    public let name: String
    /// The epoch in which it was committed, and the next record wanted; `nil` where `problem` says
    /// why they cannot be read.
    public let epoch: UInt64?
    public let offset: UInt64?
    public let committedMicroseconds: Int64?
    public let lagRecords: Int?
    /// An estimate, up to 64 KiB and a batch too much.
    public let lagBytes: Int?
    /// Since the first record that waits was appended; `nil` where none waits.
    public let lagMicroseconds: Int64?
    /// Where it had stood before power loss took the records before that.
    public let lostOffset: UInt64?
    public let problem: String?
}

/// The cursors of a store, and what is known of those that it lacks.
public struct CursorList: Sendable, Hashable, Codable {
    public let cursors: [CursorInfo]
    /// What of their records does not hold, and where: cursors may be missing, or stand where an
    /// earlier commit had put them.
    public let damage: [String]
}

extension Store {
    /// The cursors of all streams, of one, or of all partitions of one, sorted by stream
    /// (partitions by their numbers) and name, with their lag. Blocks the thread: a block index and
    /// a batch are looked at for each.
    public func cursorsBlocking(of stream: String? = nil) throws(WeirError) -> [CursorInfo] {
        var infos: [CursorInfo] = []
        for stream in try streams(called: stream) {
            for (key, standing) in try cursors.all(of: stream.open.id) {
                infos.append(try stream.info(of: key.name, standing))
            }
        }
        return infos
    }

    /// The same, on a thread of Weir's.
    public func cursors(of stream: String? = nil) async throws -> [CursorInfo] {
        try await waiters.call { () throws(WeirError) in try self.cursorsBlocking(of: stream) }
    }

    /// All of them without a name; by that of a partitioned stream, its partitions.
    private func streams(called name: String?) throws(WeirError) -> [LogStream] {
        guard let name else {
            var all: [LogStream] = []
            for name in streamNames { all.append(try streamBlocking(name.description)) }
            return all
        }
        guard try isPartitioned(name) else { return [try streamBlocking(name)] }
        return try partitionedStreamBlocking(name).partitions
    }

    private func isPartitioned(_ name: String) throws(WeirError) -> Bool {
        try !engine.partitions(claiming: StreamName(name)).isEmpty
    }

    /// The one stream whose cursor is set. An offset means something else in each partition.
    private func streamToSet(_ name: String) throws(WeirError) -> LogStream {
        guard try isPartitioned(name) else { return try streamBlocking(name) }
        let partitions = try partitionedStreamBlocking(name).partitions
        throw WeirError(
            .invalidArgument,
            "\(name) is a partitioned stream, and its \(partitions.count) partitions have cursors "
                + "of their own; set that of one, such as \(partitions[0].name).",
            at: .init(stream: name))
    }

    private func removeCursors(called cursor: String, of name: String) throws(WeirError) {
        guard try isPartitioned(name) else {
            return try streamBlocking(name).savedCursor(cursor).removeBlocking()
        }
        var isKnown = false
        for stream in try streams(called: name) {
            let key = CursorKey(stream: stream.open.id, name: cursor)
            guard try cursors.standing(of: key) != nil else { continue }
            try stream.savedCursor(cursor).removeBlocking()
            isKnown = true
        }
        if !isKnown { throw CursorBook.Ledger.noCursor(cursor).located(.init(stream: name)) }
    }

    // MARK: of a store that is not open here

    /// The cursors of a store, whether a process has it open for writing or none. Blocks the
    /// thread.
    public static func cursors(
        ofStoreAt path: String, stream: String? = nil
    ) throws(WeirError) -> [CursorInfo] {
        try cursorList(ofStoreAt: path, stream: stream).cursors
    }

    /// The same, and what damage may have taken of them.
    public static func cursorList(
        ofStoreAt path: String, stream: String? = nil
    ) throws(WeirError) -> CursorList {
        let request = CursorRequest(command: .list, stream: stream)
        if let answer = try askWriter(ofStoreAt: path, request) {
            return CursorList(cursors: answer.cursors, damage: answer.damage ?? [])
        }
        return try withStore(at: path, .read) { store throws(WeirError) in
            try store.cursorList(of: stream)
        }
    }

    private func cursorList(of stream: String?) throws(WeirError) -> CursorList {
        let found = try cursorsBlocking(of: stream)
        return CursorList(cursors: found, damage: cursors.damage.map(\.description))
    }

    /// Commits a cursor of a store: through the process that has it open for writing, or, where
    /// there is none, by opening it. Blocks the thread.
    ///
    /// `goal` is looked up first: `.first`, `.next` for the end, an offset, a time. Errors as
    /// `StreamCursor.commit`, those of opening a store, and `invalidArgument` for a partitioned
    /// stream.
    public static func setCursor(
        _ name: String, of stream: String, to goal: StartPosition, force: Bool = false,
        ofStoreAt path: String
    ) throws(WeirError) {
        var request = CursorRequest(command: .set, stream: stream, cursor: name, force: force)
        if try hasWriter(path) {
            request.offset = try withStore(at: path, .read) { store throws(WeirError) in
                try store.streamToSet(stream).offset(of: goal).value
            }
            if try askWriter(ofStoreAt: path, request) != nil { return }
        }
        try withStore(at: path, .write) { store throws(WeirError) in
            let stream = try store.streamToSet(stream)
            let offset = try stream.offset(of: goal)
            try stream.savedCursor(name).commitBlocking(upTo: offset, force: force)
        }
    }

    /// Removes a cursor of a store, in the same two ways; by the name of a partitioned stream,
    /// those of that name in all its partitions, of which a crash in the middle leaves some.
    /// Throws `notFound` where there is none.
    public static func removeCursor(
        _ name: String, of stream: String, ofStoreAt path: String
    ) throws(WeirError) {
        let request = CursorRequest(command: .remove, stream: stream, cursor: name)
        if try askWriter(ofStoreAt: path, request) != nil { return }
        try withStore(at: path, .write) { store throws(WeirError) in
            try store.removeCursors(called: name, of: stream)
        }
    }

    private static func hasWriter(_ path: String) throws(WeirError) -> Bool {
        try ControlClient(path: path).hasWriter()
    }

    /// `nil` where no process has the store open for writing.
    private static func askWriter(
        ofStoreAt path: String, _ request: CursorRequest
    ) throws(WeirError) -> CursorAnswer? {
        let client = try ControlClient(path: path)
        guard try client.hasWriter() else { return nil }
        return try client.ask(request, for: CursorAnswer.self)
    }

    /// Opens a store for as long as the body takes.
    static func withStore<Result>(
        at path: String, _ access: Access, _ body: (Store) throws(WeirError) -> Result
    ) throws(WeirError) -> Result {
        let store = try openBlocking(at: path, access)
        let result: Result
        do throws(WeirError) {
            result = try body(store)
        } catch {
            try store.closeBlocking()
            throw error
        }
        try store.closeBlocking()
        return result
    }

    // MARK: of this one, for others

    /// Answers what other processes ask of the cursors.
    func serveCursors(_ commands: ControlCommands) {
        for command in CursorRequest.Command.allCases {
            commands.register(command.rawValue) {
                [weak self] (request: CursorRequest) throws(WeirError) in
                guard let self else { throw Store.closed() }
                return try self.answer(request)
            }
        }
    }

    private func answer(_ request: CursorRequest) throws(WeirError) -> CursorAnswer {
        if request.command == .list {
            let list = try cursorList(of: request.stream)
            return CursorAnswer(
                cursors: list.cursors, damage: list.damage.isEmpty ? nil : list.damage)
        }
        guard let stream = request.stream, let name = request.cursor else {
            throw WeirError(
                .malformedInput,
                "The members stream and cursor are expected with \(request.command.rawValue).")
        }
        if request.command == .remove {
            try removeCursors(called: name, of: stream)
        } else if let offset = request.offset {
            try streamToSet(stream).savedCursor(name).commitBlocking(
                upTo: Offset(offset), force: request.force ?? false)
        } else {
            throw WeirError(
                .malformedInput,
                "The member offset is expected with \(request.command.rawValue), a number.")
        }
        return CursorAnswer(cursors: [])
    }
}

/// What another process asks of the writer.
///
///     {"command":"cursors","stream":"orders"}                  →  {"cursors":[…],"damage":["…"]}
///     {"command":"cursor.set","stream":"orders","cursor":"billing","offset":7}   →  {"cursors":[]}
///     {"command":"cursor.remove","stream":"orders","cursor":"billing"}           →  {"cursors":[]}
struct CursorRequest: Codable {
    enum Command: String, Codable, CaseIterable {
        case list = "cursors"
        case set = "cursor.set"
        case remove = "cursor.remove"
    }
    var command: Command
    var stream: String?
    var cursor: String?
    var offset: UInt64?
    /// Back, if need be.
    var force: Bool?
}

struct CursorAnswer: Codable {
    var cursors: [CursorInfo]
    /// Where there is any.
    var damage: [String]?
}

extension LogStream {
    fileprivate func info(
        of cursor: String, _ standing: CursorStanding
    ) throws(WeirError) -> CursorInfo {
        switch standing {
        case .unreadable(let error):
            return CursorInfo(
                stream: name.description, name: cursor, epoch: nil, offset: nil,
                committedMicroseconds: nil, lagRecords: nil, lagBytes: nil, lagMicroseconds: nil,
                lostOffset: nil, problem: error.description)
        case .at(let commit, let lost):
            let lag = try lag(from: commit.position.offset)
            return CursorInfo(
                stream: name.description, name: cursor, epoch: commit.position.epoch.value,
                offset: commit.position.offset.value,
                committedMicroseconds: commit.time.microseconds, lagRecords: lag.records,
                lagBytes: lag.bytes, lagMicroseconds: lag.time.map { $0.nanoseconds / 1000 },
                lostOffset: lost?.value, problem: nil)
        }
    }
}
