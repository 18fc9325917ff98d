import ArgumentParser
import Weir

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Show settings of a stream or the store, and change them.",
        discussion: """
            `get` prints all settings, with their defaults where they differ. `set` changes \
            some, without a restart: the process that has the store open for writing is asked; \
            where none has, the store is opened. They hold from the next appends on and survive \
            power loss when the command ends. Of a partitioned stream all partitions are set. \
            The name . stands for the store as a whole, which has a quota for all streams together.

            Sizes are bytes or 64MiB, 8GiB …, times have a unit: 90s, 15m, 12h, 7d; `none` takes \
            a limit away. `set` prints what holds then.

            EXAMPLES
              weir config orders get
              weir config orders get --json
              weir config orders set compression=auto linger=200
              weir config orders set retention.age=7d retention.held-by=billing
              weir config states set compaction=on compaction.dirty=30
              weir config . set quota.bytes=200GiB quota.policy=wait
            """)

    private enum Action: String { case get, set }

    @OptionGroup var options: StoreOptions
    @Argument(help: "The stream's name, or . for the whole store.", completion: streamNames)
    var stream: String
    @Argument(
        help: ArgumentHelp("get (the default), or set.", valueName: "action"),
        completion: .list(["get", "set"]))
    var verb = Action.get.rawValue
    @Argument(help: ArgumentHelp("With set: what to change.", valueName: "key=value"))
    var settings: [String] = []
    @Flag(help: "Print a JSON report.") var json = false

    private var action: Action? { Action(rawValue: verb) }

    func validate() throws {
        guard action != nil else {
            // As other programs have it, and as one would have it short.
            let words =
                Action(rawValue: stream) != nil
                ? [verb, stream] + settings
                : [stream, "set"] + (verb.contains("=") ? [verb] + settings : ["KEY=VALUE"])
            throw ValidationError(
                "Behind the stream's name, get or set is expected, and not \(verb): `weir config "
                    + words.joined(separator: " ") + "`.")
        }
        if action == .set, settings.isEmpty {
            throw ValidationError("Name what to set, as KEY=VALUE.")
        }
        if action == .get, !settings.isEmpty {
            throw ValidationError("All settings are shown; name none.")
        }
    }

    /// No stream has this name.
    private var isWholeStore: Bool { stream == "." }

    func run() throws {
        guard action == .set else { return try show() }
        try change()
        do {
            try show()
        } catch let error as WeirError {
            Words.say("weir: note: the settings hold, and could not be shown: \(error)")
        } catch let request as ExitRequest where request.status == ExitStatus.damage {
            Words.say("weir: note: the settings hold, whatever the damage that was found")
        }
    }

    private func show() throws {
        let opened = try options.open(.read)
        var words =
            isWholeStore ? opened.store.settingWords : try opened.store.settings(of: stream)
        if action == .set {
            let keys = Set(settings.map { String($0.prefix { $0 != "=" }) })
            words.removeAll { !keys.contains($0.key) }
        }
        if json {
            let report = JSONReport.object(words.map { ($0.key, .text($0.value)) })
            try StandardOutput.print(report.description + "\n")
        } else if action == .set {
            try StandardOutput.print(words.map { "\($0.key)=\($0.text)\n" }.joined())
        } else {
            var table = Table(["setting", "value", "default"])
            for word in words {
                let isStandard = word.text == word.standard
                table.add([
                    word.key, word.text,
                    (isStandard ? "" : word.standard) + (word.isChangeable ? "" : " (stays)"),
                ])
            }
            try StandardOutput.print(table.text)
        }
        try opened.finish()
    }

    private func change() throws {
        if isWholeStore { return try Store.configure(storeAt: options.path, settings) }
        try Store.configure(storeAt: options.path, stream: stream, settings)
    }
}

extension Store {
    /// Of a partitioned stream, those of its first partition.
    fileprivate func settings(of name: String) throws -> [SettingWords] {
        let first = partitionedEntry(name)?.partitions.first?.description
        return try streamBlocking(first ?? name).configuration.words
    }
}
