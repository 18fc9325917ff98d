public import WeirBase
package import WeirFiles
import WeirFormat

/// How far a verification is.
public struct VerifyProgress: Sendable, Hashable {
    /// Of segments, that were read and proven.
    public let bytes: Int
    /// Zero where only headers and footers are looked at.
    public let totalBytes: Int
    public let records: Int
}

/// What a verification looked at, and what it found.
public struct VerifyReport: Sendable {
    /// By stream, then by path, then by place in the file. Not all of them are damage: `isDamage`
    /// tells. `advice` says what to do about each.
    public let findings: [DamageReport]
    /// Every byte was read, not only what tells of the bytes.
    public let isDeep: Bool
    /// Beside a live writer, the bytes were read that it had written when it began.
    public let hasLiveWriter: Bool
    public let streamCount: Int
    public let segmentCount: Int
    /// Of batches, that were read: none unless it was deep.
    public let byteCount: Int
    public let recordCount: Int
    /// Why the index was not looked at; `nil` if it was.
    public let indexTrouble: String?

    /// Everything was looked at; false where `progress` ended it early.
    public let isComplete: Bool

    /// Everything was looked at, and nothing is damaged or missing.
    public var isHealthy: Bool { isComplete && !findings.contains(where: \.isDamage) }
}

extension Store {
    /// Looks at a store from its files up: whether what was written is what stands there.
    ///
    /// ```swift
    /// let report = try Store.verify(at: "orders.weir", deep: true)
    /// for finding in report.findings { print(finding, finding.advice) }
    /// ```
    ///
    /// Changes nothing and takes no lock: it may be asked of a store that a writer has open, after
    /// a crash, and of one that cannot be opened. Damage is no error but a finding. It looks at the
    /// store's own files, each manifest and directory, each segment's header and footer, and the
    /// cursors. `deep` reads every byte: checksums, compressed bodies, each record, and whether
    /// headers and footers say what the records come to; that costs a read of all segments, by so
    /// many threads. Blocks the thread. `progress` is called some megabytes apart, by any of the
    /// threads, several at once; it ends the work early by returning false, and then the report is
    /// not complete.
    ///
    /// Throws `notFound` or `invalidArgument` where there is no store, `newerFormat`,
    /// `permissionDenied`, and what else the system said where nothing could be looked at.
    public static func verify(
        at path: String, deep: Bool = false, threads: Int = 2,
        progress: @escaping @Sendable (VerifyProgress) -> Bool = { _ in true }
    ) throws(WeirError) -> VerifyReport {
        let files = try rootToExamine(path)
        do throws(WeirError) {
            return try verify(
                files: files, host: .system(), deep: deep, threads: threads, progress: progress
            ) { (engine, isWanted) throws(WeirError) in
                try verifyIndex(of: engine, deep: deep) { _ in isWanted() }
            }
        } catch {
            throw error.located(.init(path: path))
        }
    }

    package static func verify<Files: FileSystem>(
        files: Files, host: Host, deep: Bool, threads: Int = 1, holdsLock: Bool = false,
        progress: @escaping @Sendable (VerifyProgress) -> Bool = { _ in true },
        index: (StoreEngine<Files>, () -> Bool) throws(WeirError) -> IndexFinding = { _, _ in
            .init()
        }
    ) throws(WeirError) -> VerifyReport {
        let isEnded = Lock(false)
        let tell: @Sendable (VerifyProgress) -> Bool = { figures in
            let isWanted = progress(figures)
            if !isWanted { isEnded.withLock { $0 = true } }
            return isWanted
        }
        var check = StoreCheck(files: files, host: host, threads: threads)
        let engine = try check.open(holdsLock: holdsLock)
        let figures = check.checkSegments(of: engine, isDeep: deep, tell)
        do throws(WeirError) {
            check.note(try CursorCheck.reports(of: engine))
        } catch {
            check.note(error, StoreLayout.streams)
        }
        let indexFinding = try index(engine) { tell(figures) }
        check.note(indexFinding.findings)
        let streamCount = engine.streams.count
        let isLive = engine.hasLiveWriter
        try engine.close()
        return VerifyReport(
            findings: check.findings.sorted { $0.place < $1.place }, isDeep: deep,
            hasLiveWriter: isLive, streamCount: streamCount, segmentCount: check.segmentCount,
            byteCount: figures.bytes, recordCount: figures.records,
            indexTrouble: indexFinding.trouble, isComplete: !isEnded.withLock { $0 })
    }

    package struct IndexFinding {
        package var trouble: String?
        package var findings: [DamageReport] = []
        package init() {}
    }

    static func verifyIndex(
        of engine: SystemEngine, deep: Bool, isWanted: (_ keyCount: Int) -> Bool = { _ in true }
    ) throws(WeirError) -> IndexFinding {
        var found = IndexFinding()
        switch try IndexCheck.open(engine, leavingFiles: true) {
        case .none(let reason): found.trouble = reason
        case .damaged(let finding): found.findings = [finding]
        case .check(var check):
            try check.run(deep ? .everyKey : .tables, isWanted: isWanted)
            found.findings = check.findings
            found.trouble = check.trouble
        }
        return found
    }
}

extension DamageReport {
    /// In the order of a report.
    fileprivate var place: (String, String, UInt64) { (stream, path, bytes?.lowerBound ?? 0) }
}
