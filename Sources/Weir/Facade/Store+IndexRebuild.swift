public import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

extension Store {
    /// Throws the index of keys away and makes it anew, until it covers what was there when this
    /// was called: in the process that has the store open for writing, or, where there is none, by
    /// opening it. Blocks the thread.
    ///
    /// Loses nothing: the index is derived, and meanwhile look-ups read the log. A process that is
    /// killed in the middle leaves an index that the next writer goes on with. `progress` is called
    /// ten times a second, and ends the waiting, not the making, by returning false.
    ///
    /// Throws what opening a store throws, and what keeps the index from being made.
    public static func rebuildIndex(
        ofStoreAt path: String, progress: (IndexProgress) -> Bool = { _ in true }
    ) throws(WeirError) -> IndexProgress {
        let client = try ControlClient(path: path)
        guard try client.hasWriter() else {
            return try withStore(at: path, .write) { store throws(WeirError) in
                try store.rebuildIndex(progress)
            }
        }
        let request = IndexRequest(rebuild: true)
        return try wait(from: try client.ask(request, for: IndexProgress.self), progress) {
            () throws(WeirError) in
            try client.ask(IndexRequest(rebuild: false), for: IndexProgress.self)
        }
    }

    private func rebuildIndex(
        _ progress: (IndexProgress) -> Bool
    ) throws(WeirError) -> IndexProgress {
        let before = try indexProgress()
        index.discard()
        return try Self.wait(from: before, progress) { () throws(WeirError) in
            try indexProgress()
        }
    }

    private static func wait(
        from before: IndexProgress, _ progress: (IndexProgress) -> Bool,
        _ look: () throws(WeirError) -> IndexProgress
    ) throws(WeirError) -> IndexProgress {
        var rebuild = IndexRebuild(before)
        while true {
            SystemThread.pause(microseconds: 100_000)
            let now = try look()
            switch rebuild.look(now) {
            case .done: return now
            case .fail(let trouble):
                throw WeirError(.system, "The index cannot be made: \(trouble)")
            case .wait: if !progress(now) { return now }
            }
        }
    }

    /// Of a writer's index.
    private func indexProgress() throws(WeirError) -> IndexProgress {
        let figures = index.figures
        // Before the first look at it, the file itself tells which one is not to be waited for.
        var generation = figures?.generation
        if generation == nil {
            generation = try IndexFiles(files: engine.files).generations().last
        }
        let streams = engine.streams.filter(IndexFeeder.isIndexed).map { stream in
            let start = stream.view.logStart
            let covered = figures?.coverage[stream.id]?.upperBound ?? start
            return IndexProgress.Stream(
                name: stream.name.description, first: start.value,
                coveredEnd: max(start, covered).value,
                end: max(stream.view.visibleEnd, covered, start).value)
        }
        return IndexProgress(
            generation: generation, trouble: figures?.failure, streams: streams)
    }

    func serveIndex(_ commands: ControlCommands) {
        commands.register("index") { [weak self] (request: IndexRequest) throws(WeirError) in
            guard let self else { throw Self.closed() }
            guard index.figures != nil else {
                throw WeirError(
                    .invalidArgument,
                    "The writer of the store keeps no index: it was opened without one.")
            }
            let before = try indexProgress()
            // Of one that was made anew meanwhile, there is nothing to be said any more.
            if request.rebuild, request.generation ?? before.generation == before.generation {
                index.discard()
            }
            return before
        }
    }
}

struct IndexRequest: Codable {
    var command = "index"
    var rebuild: Bool
    /// That of the file which somebody met damage in; any without.
    var generation: UInt64?
}
