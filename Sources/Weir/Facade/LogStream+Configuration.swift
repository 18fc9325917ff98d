public import WeirBase
import WeirFormat
import WeirLog

extension LogStream {
    /// Changes the stream's settings, and gives those that hold then.
    ///
    /// ```swift
    /// try await orders.configure { $0.retention = RetentionPolicy(ageSecondsMax: 30 * 86_400) }
    /// ```
    ///
    /// Durability, visibility, compression, linger, compaction, retention and quota can be changed,
    /// and hold from the next group of appends on, without a restart; the size of segments holds
    /// from the next segment on. How far readers see follows at once, also in other processes; what
    /// they have seen is made durable before they see less. The other settings were chosen at the
    /// creation and stay. `change` is called between two groups, so two callers lose nothing of
    /// each other's. When it returns, the settings survive power loss; a crash before leaves the
    /// old ones or the new.
    ///
    /// Throws `invalidArgument` for a value outside its range, for a setting that stays, and for
    /// one of Weir's own streams; what `change` throws; `closed`, `poisoned`, `noSpace`, and what
    /// the medium said. Then the old settings hold. Costs one synced edit of the manifest, a sync,
    /// and for smaller segments the change to another one.
    @discardableResult
    public func configure(
        _ change: @escaping @Sendable (inout StreamConfiguration) throws(WeirError) -> Void
    ) async throws -> StreamConfiguration {
        try await waiters.call { () throws(WeirError) in try self.configureBlocking(change) }
    }

    /// As `configure`, and blocks the thread.
    @discardableResult
    public func configureBlocking(
        _ change: @escaping @Sendable (inout StreamConfiguration) throws(WeirError) -> Void
    ) throws(WeirError) -> StreamConfiguration {
        try writable().configure(change)
    }

    /// The same by words, as `weir config` takes them: `["retention.age=7d", "compression=lz4"]`.
    @discardableResult
    public func configureBlocking(
        _ words: [String]
    ) throws(WeirError) -> StreamConfiguration {
        try configureBlocking { settings throws(WeirError) in
            for word in words { try settings.apply(word) }
        }
    }
}

extension Store {
    /// Changes settings of a stream, or of all partitions of a partitioned one, in a store that
    /// another process may have open for writing: that process does it then. Blocks the thread.
    ///
    /// `words` are as `LogStream.configureBlocking` takes them. Throws as it does, and `notFound`
    /// where there is no such store or stream. Partitions are changed one after the other.
    public static func configure(
        storeAt path: String, stream: String, _ words: [String]
    ) throws(WeirError) {
        let client = try ControlClient(path: path)
        guard try client.hasWriter() else {
            return try withStore(at: path, .write) { store throws(WeirError) in
                try store.configureAll(stream, words)
            }
        }
        _ = try client.ask(ConfigureRequest(stream: stream, settings: words), for: Done.self)
    }

    /// Answers who asks the writer to change settings.
    func serveConfiguration(_ commands: ControlCommands) {
        commands.register("configure") {
            [weak self] (request: ConfigureRequest) throws(WeirError) -> Done in
            guard let self else { throw Store.closed() }
            try self.configureAll(request.stream, request.settings)
            return Done()
        }
    }

    private func configureAll(_ name: String, _ words: [String]) throws(WeirError) {
        let group = partitionedStreams.first { $0.name.description == name }
        let names = group?.partitions.map(\.description) ?? [name]
        for name in names { try streamBlocking(name).configureBlocking(words) }
    }
}

/// What another process asks of the writer.
///
///     {"command":"configure","stream":"orders","settings":["retention.age=7d"]}  →  {}
private struct ConfigureRequest: Codable {
    var command = "configure"
    var stream: String
    var settings: [String]
}

/// What the writer answers where there is nothing to say.
struct Done: Codable {}
