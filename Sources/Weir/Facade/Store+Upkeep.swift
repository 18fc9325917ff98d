public import WeirBase
import WeirFiles
import WeirFormat

extension Store {
    /// Streams that have a compaction policy, sorted by name.
    public var compactedStreamNames: [StreamName] {
        engine.streams.filter { $0.settings.compaction != nil }.map(\.name)
    }

    /// Compacts a stream of a store that another process may have open for writing: that process
    /// does it then, and is asked how far it is. Blocks the thread.
    ///
    /// ```swift
    /// let report = try Store.compact(storeAt: "orders.weir", stream: "orders")
    /// ```
    ///
    /// Throws as `LogStream.compact` does, and `notFound` where there is no such store or stream.
    /// If the caller dies meanwhile, the writer goes on alone.
    public static func compact(
        storeAt path: String, stream: String, _ options: CompactionOptions = CompactionOptions(),
        progress: LogStream.CompactionProgress? = nil
    ) throws(WeirError) -> CompactionReport {
        let client = try ControlClient(path: path)
        guard try client.hasWriter() else {
            return try withStore(at: path, .write) { store throws(WeirError) in
                try store.streamBlocking(stream).compactBlocking(options, progress: progress)
            }
        }
        let request = CompactRequest(
            stream: stream, isNow: options.isNow, isDryRun: options.isDryRun,
            mapBytes: options.mapBytes)
        return try client.result(of: request, \.report) { job in
            progress?(job.phase ?? .looking, job.done, job.all) ?? true
        }
    }

    /// Trims a stream of a store that another process may have open for writing: that process does
    /// it then. Without `start`, lets go of what the stream's retention no longer keeps. Blocks the
    /// thread.
    ///
    /// Throws as `LogStream.trim` and `retain` do, and `notFound` where there is no such store or
    /// stream.
    @discardableResult
    public static func trim(
        storeAt path: String, stream: String, before start: StartPosition?, isDryRun: Bool = false
    ) throws(WeirError) -> TrimReport {
        let client = try ControlClient(path: path)
        guard try client.hasWriter() else {
            return try withStore(at: path, .write) { store throws(WeirError) in
                try store.streamBlocking(stream).trimOrRetain(before: start, isDryRun: isDryRun)
            }
        }
        var request = TrimRequest(stream: stream, isDryRun: isDryRun)
        if let start {
            request.before = try withStore(at: path, .read) { store throws(WeirError) in
                try store.streamBlocking(stream).trimOffset(of: start).value
            }
        }
        return try client.result(of: request, \.trimmed) { _ in true }
    }

    func startUpkeep() {
        upkeep.start { [weak self] (name) throws(WeirError) in
            guard let self else { throw Store.closed() }
            return try self.openStream(name, creating: nil)
        }
    }

    /// Answers who asks the writer for a compaction: the work goes on without them.
    func serveUpkeep(_ commands: ControlCommands) {
        let jobs = UpkeepJobs()
        commands.register("compact") {
            [weak self] (request: CompactRequest) throws(WeirError) -> UpkeepJob in
            guard let self else { throw Store.closed() }
            let stream = try self.streamBlocking(request.stream)
            let options = CompactionOptions(
                isNow: request.isNow, isDryRun: request.isDryRun, mapBytes: request.mapBytes)
            return try jobs.start { progress throws(WeirError) in
                let report = try stream.compactBlocking(options, progress: progress)
                return { $0.report = report }
            }
        }
        commands.register("trim") {
            [weak self] (request: TrimRequest) throws(WeirError) -> UpkeepJob in
            guard let self else { throw Store.closed() }
            let stream = try self.streamBlocking(request.stream)
            return try jobs.start { _ throws(WeirError) in
                let report = try stream.trimOrRetain(
                    before: request.before.map { .offset(Offset($0)) }, isDryRun: request.isDryRun)
                return { $0.trimmed = report }
            }
        }
        commands.register("job") { (request: JobRequest) throws(WeirError) in
            try jobs.standing(of: request.job)
        }
    }
}

/// What another process asks of the writer.
///
///     {"command":"compact","stream":"orders","isNow":false,…}  →  {"id":7,"done":0,"all":0}
///     {"command":"trim","stream":"orders","before":70,"isDryRun":false}  →  {"id":8,…}
///     {"command":"job","job":7}          →  {"id":7,"phase":"looking","done":10,"all":70}
///                                        →  {"id":7,…,"report":{…}}, or {"id":7,…,"error":"…"}
private struct CompactRequest: Codable {
    var command = "compact"
    var stream: String
    var isNow: Bool
    var isDryRun: Bool
    var mapBytes: Int
}

private struct TrimRequest: Codable {
    var command = "trim"
    var stream: String
    /// `nil`: what the stream's policy lets go.
    var before: UInt64?
    var isDryRun: Bool
}

private struct JobRequest: Codable {
    var command = "job"
    var job: UInt64
}

/// How far a job is.
private struct UpkeepJob: Codable, Sendable {
    var id: UInt64
    var phase: CompactionPhase?
    var done: UInt64 = 0
    var all: UInt64 = 0
    var report: CompactionReport?
    var trimmed: TrimReport?
    var code: String?
    var error: String?
}

extension ControlClient {
    /// Starts a job of the writer, and asks until it is done, or `progress` says that nobody waits.
    fileprivate func result<Result>(
        of request: some Encodable, _ result: KeyPath<UpkeepJob, Result?>,
        progress: (UpkeepJob) -> Bool
    ) throws(WeirError) -> Result {
        var job = try ask(request, for: UpkeepJob.self)
        var pauseMicroseconds = 1000
        while true {
            if let failure = job.error {
                throw WeirError(WeirError.Code(job.code ?? "system"), failure)
            }
            if let found = job[keyPath: result] { return found }
            guard progress(job) else {
                throw WeirError(
                    .closed, "Nobody waits for the work any more; the writer goes on with it.")
            }
            SystemThread.pause(microseconds: pauseMicroseconds)
            pauseMicroseconds = min(2 * pauseMicroseconds, 200_000)
            job = try ask(JobRequest(job: job.id), for: UpkeepJob.self)
        }
    }
}

/// Jobs that other processes asked for; the newest are remembered.
private final class UpkeepJobs: Sendable {
    private let jobs = Lock<(all: [UInt64: UpkeepJob], next: UInt64)>(([:], 1))
    /// Who asks later than so many others began is not told any more.
    private static let countMax = 64

    func start(
        _ body:
            @escaping @Sendable (@escaping LogStream.CompactionProgress) throws(WeirError)
            -> (inout UpkeepJob) -> Void
    ) throws(WeirError) -> UpkeepJob {
        let job = jobs.withLock { jobs -> UpkeepJob in
            let job = UpkeepJob(id: jobs.next)
            jobs.next += 1
            jobs.all[job.id] = job
            if jobs.all.count > Self.countMax, let oldest = jobs.all.keys.min() {
                jobs.all[oldest] = nil
            }
            return job
        }
        try SystemThread.start {
            SystemThread.yieldToOthers(.modest)
            do throws(WeirError) {
                let finish = try body { phase, done, all in
                    self.change(job.id) { job in
                        job.phase = phase
                        job.done = done
                        job.all = all
                    }
                    return true
                }
                self.change(job.id, finish)
            } catch {
                self.change(job.id) {
                    $0.code = error.code.description
                    $0.error = error.description
                }
            }
        }
        return job
    }

    func standing(of id: UInt64) throws(WeirError) -> UpkeepJob {
        guard let job = jobs.withLock({ $0.all[id] }) else {
            throw WeirError(
                .notFound,
                "This writer knows of no job \(id); what it was to do may be done: ask again for "
                    + "the command itself.")
        }
        return job
    }

    private func change(_ id: UInt64, _ body: (inout UpkeepJob) -> Void) {
        jobs.withLock { jobs in
            guard var job = jobs.all[id] else { return }
            body(&job)
            jobs.all[id] = job
        }
    }
}
