public import WeirBase
import WeirLog

extension Store {
    /// What all streams of users together may take up; `nil`: what the disk has. In a reading
    /// process, as it was when it opened the store.
    public var quota: Quota? { engine.quota }

    /// Sets the quota of the whole store, or takes it away, without a restart.
    ///
    /// ```swift
    /// try await store.setQuota(Quota(bytesMax: 200 << 30, policy: .wait))
    /// ```
    ///
    /// It is counted as a stream's own quota is, over the files of all streams but Weir's own, and
    /// refuses appends to any of them, or has them wait, when it is reached. A stream that has its
    /// own is bound by both. When this returns, the quota survives power loss; a crash before
    /// leaves the old one or the new.
    ///
    /// Throws `invalidArgument` for a size outside its range and in a reading process, `closed`,
    /// `poisoned`, `noSpace`, and what the medium said; then the old one holds. Costs one synced
    /// edit of a manifest, the first time the making of a stream, and a look at each stream.
    public func setQuota(_ quota: Quota?) async throws {
        try await waiters.call { () throws(WeirError) in try self.setQuotaBlocking(quota) }
    }

    /// As `setQuota`, and blocks the thread.
    public func setQuotaBlocking(_ quota: Quota?) throws(WeirError) {
        try configureQuota { $0 = quota }
    }

    /// Changes the quota of a store that another process may have open for writing: that process
    /// does it then. Blocks the thread.
    ///
    /// `words` are `quota.bytes=SIZE` or `none`, and `quota.policy=wait` or `fail`. Throws as
    /// `setQuota` does, and `notFound` where there is no such store.
    public static func configure(
        storeAt path: String, _ words: [String]
    ) throws(WeirError) {
        let client = try ControlClient(path: path)
        guard try client.hasWriter() else {
            return try withStore(at: path, .write) { store throws(WeirError) in
                try store.configure(words)
            }
        }
        _ = try client.ask(ConfigureStoreRequest(settings: words), for: Done.self)
    }

    /// Answers who asks the writer to change what holds for the whole store.
    func serveQuota(_ commands: ControlCommands) {
        commands.register("configureStore") {
            [weak self] (request: ConfigureStoreRequest) throws(WeirError) -> Done in
            guard let self else { throw Store.closed() }
            try self.configure(request.settings)
            return Done()
        }
    }

    /// The settings of the whole store as words.
    public var settingWords: [SettingWords] {
        StreamConfiguration(quota: quota).words.filter { $0.key.hasPrefix(Self.quotaPrefix) }
    }

    private static let quotaPrefix = "quota."

    private func configure(_ words: [String]) throws(WeirError) {
        for word in words where !word.hasPrefix(Self.quotaPrefix) {
            throw WeirError(
                .invalidArgument,
                "The whole store has the settings quota.bytes and quota.policy; \(word) is for a "
                    + "stream: name one.")
        }
        try configureQuota { quota throws(WeirError) in
            var settings = StreamConfiguration(quota: quota)
            for word in words { try settings.apply(word) }
            quota = settings.quota
        }
    }

    private func configureQuota(
        _ change: @escaping @Sendable (inout Quota?) throws(WeirError) -> Void
    ) throws(WeirError) {
        guard !isReadOnly else { throw SystemEngine.readOnly() }
        var first = quota
        try change(&first)
        // Before a stream is made for it.
        try first?.validate()
        if first == nil, engine.stream(StoreQuota.streamName) == nil { return }
        let stream = try openStream(StoreQuota.streamName, creating: StoreQuota.configuration)
        guard let committer = stream.committer else { throw SystemEngine.readOnly() }
        _ = try committer.configure { settings throws(WeirError) in try change(&settings.quota) }
        flow.loadQuota(engine)
    }
}

/// What another process asks of the writer.
///
///     {"command":"configureStore","settings":["quota.bytes=20GiB"]}  →  {}
private struct ConfigureStoreRequest: Codable {
    var command = "configureStore"
    var settings: [String]
}
