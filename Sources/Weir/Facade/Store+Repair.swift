public import WeirBase
package import WeirFiles
import WeirFormat
import WeirRecovery

extension RepairPlan {
    /// Findings of files that cannot be moved, and of headers that cannot be written anew.
    static func unfit<Files: FileSystem>(
        _ findings: [DamageReport], files: Files
    ) throws(WeirError) -> [DamageReport] {
        var found: [DamageReport] = []
        for finding in findings {
            switch finding.kind {
            case .unknownFile:
                if !isRegular(finding.path, files) { found.append(finding) }
            case .damagedSegmentHeader:
                if try !canWriteHeader(finding.path, files) { found.append(finding) }
            default: continue
            }
        }
        return found
    }

    static func quarantineCount<Files: FileSystem>(_ files: Files) throws(WeirError) -> Int {
        var count = 0
        for name in try files.list(StoreLayout.streams) {
            guard let id = StreamID(hexadecimal: name) else { continue }
            do throws(WeirError) {
                let copies = try files.list(StoreLayout.quarantine(id))
                count += copies.count { $0.hasSuffix(".bytes") }
            } catch {
                // There is none, or the stream is deleted at this moment, or told of as unreadable.
                continue
            }
        }
        return count
    }

    private static func isRegular<Files: FileSystem>(_ path: String, _ files: Files) -> Bool {
        do throws(WeirError) {
            try files.close(try files.open(path, .read))
            return true
        } catch {
            return false
        }
    }

    private static func canWriteHeader<Files: FileSystem>(
        _ path: String, _ files: Files
    ) throws(WeirError) -> Bool {
        guard let (stream, name) = StoreLayout.parse(streamPath: path),
            let segment = StoreLayout.parse(segmentName: name)?.id
        else { return false }
        let directory = try StreamDirectory.list(stream, files: files)
        guard let state = try ManifestLoader.load(directory, files: files, settling: false)?.state
        else { return false }
        return try StreamRepair.canWriteHeader(of: segment, in: state, directory, files)
    }
}

/// What a repair did.
public struct RepairReport: Sendable, Hashable {
    /// Where copies of what it removed or wrote over are; `nil` where there was nothing to copy.
    public let folder: String?
    public let stepCount: Int
}

extension Store {
    /// Verifies a store and says what a repair would do to it, and what it would leave as it is.
    ///
    /// Changes nothing; as `verify` otherwise.
    public static func repairPlan(
        at path: String, deep: Bool = false, threads: Int = 2,
        progress: @escaping @Sendable (VerifyProgress) -> Bool = { _ in true }
    ) throws(WeirError) -> RepairPlan {
        let report = try verify(at: path, deep: deep, threads: threads, progress: progress)
        return try plan(report.findings, files: try rootToExamine(path))
    }

    /// Performs a plan that was made of this store: its steps, in their order, and nothing else.
    ///
    /// ```swift
    /// let plan = try Store.repairPlan(at: "orders.weir")
    /// for step in plan.steps { print(step.description, step.loss) }
    /// let report = try Store.repair(at: "orders.weir", performing: plan)
    /// ```
    ///
    /// Holds the store's lock meanwhile. What is removed or written over is copied before, into a
    /// folder `repair-…` of the store, and listed there with its checksum. Batches are never
    /// changed. Interrupted at any moment, it can be planned and performed again. `progress` is
    /// told of each step before it is done.
    ///
    /// Throws `locked` while somebody has the store open for writing, `invalidArgument` if the
    /// store is no longer as it was when the plan was made, and what keeps a step from being done;
    /// those before it are done then. Blocks the thread.
    public static func repair(
        at path: String, performing plan: RepairPlan, deep: Bool = false, threads: Int = 2,
        progress: (_ number: Int, RepairStep) -> Void = { _, _ in }
    ) throws(WeirError) -> RepairReport {
        let files = try rootToExamine(path)
        do throws(WeirError) {
            return try repair(
                files: files, host: .system(), performing: plan, deep: deep,
                threads: threads, progress: progress
            ) { (engine, _) throws(WeirError) in
                try verifyIndex(of: engine, deep: deep)
            }
        } catch {
            throw error.located(.init(path: path))
        }
    }

    package static func plan<Files: FileSystem>(
        _ findings: [DamageReport], files: Files
    ) throws(WeirError) -> RepairPlan {
        RepairPlan(
            findings, unfit: try RepairPlan.unfit(findings, files: files),
            quarantineCount: try RepairPlan.quarantineCount(files))
    }

    package static func repair<Files: FileSystem>(
        files: Files, host: Host, performing plan: RepairPlan, deep: Bool, threads: Int = 1,
        progress: (_ number: Int, RepairStep) -> Void = { _, _ in },
        index: (StoreEngine<Files>, () -> Bool) throws(WeirError) -> IndexFinding = { _, _ in
            .init()
        }
    ) throws(WeirError) -> RepairReport {
        let lock = try StoreDirectory.takeLock(files: files, host: host)
        do throws(WeirError) {
            let now = try verify(
                files: files, host: host, deep: deep, threads: threads, holdsLock: true,
                index: index)
            guard try self.plan(now.findings, files: files).steps == plan.steps else {
                throw WeirError(
                    .invalidArgument,
                    "The store is no longer as it was when the plan was made; make it again and "
                        + "look at it.")
            }
            var run = try RepairRun(files: files, host: host)
            for (index, step) in plan.steps.enumerated() {
                progress(index + 1, step)
                try run.perform(step)
            }
            try run.end()
            try files.close(lock)
            return RepairReport(folder: run.folder, stepCount: plan.steps.count)
        } catch {
            // The kernel drops the lock with the file.
            try files.close(lock)
            throw error
        }
    }
}
