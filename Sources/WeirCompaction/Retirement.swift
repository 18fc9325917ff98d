package import WeirBase
package import WeirFiles
import WeirFormat
package import WeirLog

/// Performs a retention plan: lets segments go, and says where the log begins.
///
///     edit: log start and retired ids ─▶ readers' view ─▶ files go when nobody reads them
///
/// The edit is the commit point, and is synced before any file goes: a crash before it leaves the
/// log as it was, one after it leaves files whose ids the manifest has retired, which the next
/// opening removes. The log start never goes back. Not beside a compaction: whoever calls sees to
/// it.
package struct Retirement<Files: FileSystem>: Sendable {
    let writer: LogWriter<Files>
    let leftovers: Leftovers<Files>

    package init(_ writer: LogWriter<Files>, leftovers: Leftovers<Files>) {
        self.writer = writer
        self.leftovers = leftovers
    }

    /// A segment whose footer could not be read, and why.
    package typealias Unread = (id: SegmentID, why: WeirError)
    /// A plan without what stays all the same, and the footers that could not be read for that.
    package typealias Outcome = (plan: RetentionPlan, unread: [Unread])

    /// The footers of `passed` are not read: that was in vain a moment ago. Throws what the medium
    /// said; what went by then stays gone, and the rest is as it was.
    @discardableResult
    package func perform(
        _ plan: RetentionPlan, passing passed: Set<SegmentID> = []
    ) throws(WeirError) -> Outcome {
        let outcome = try kept(plan, writer.outline, passing: passed)
        let plan = outcome.plan
        var left = plan.retired[...]
        guard let goal = plan.logStart, !left.isEmpty || goal > writer.view.logStart else {
            return outcome
        }
        // In parts, so that no edit is too large; all of them say the truth.
        repeat {
            let part = left.prefix(Limits.retiredAtOnceMax)
            left = left.dropFirst(part.count)
            try retire(part.map(\.id), logStart: left.first?.base ?? goal)
        } while !left.isEmpty
        return outcome
    }

    private func retire(_ ids: [SegmentID], logStart: Offset) throws(WeirError) {
        let start = ManifestEdit.logStart(logStart)
        try writer.commitBeside(ids.isEmpty ? [start] : [start, .retired(ids)])
        let gone = Set(ids)
        leftovers.expect(writer.view.segments.filter { gone.contains($0.id) })
        writer.view.retire(ids, logStart: logStart)
    }

    /// The footer of the newest sealed segment may be all that tells of the stream's producers: its
    /// file stays then, until another one is sealed. Where it does not tell, the files stay from
    /// the newest one on that does: it and the batches behind it are what else there is.
    package func kept(
        _ plan: RetentionPlan, _ outline: LogOutline, passing passed: Set<SegmentID> = []
    ) throws(WeirError) -> Outcome {
        var outcome: Outcome = (plan, [])
        let sealed = outline.entries.filter { $0.sealed != nil }.map(\.id)
        guard !plan.retired.isEmpty, var floor = sealed.last else { return outcome }
        for id in sealed.reversed() {
            floor = id
            guard !passed.contains(id), let rows = try rows(of: id, outline, &outcome.unread)
            else { continue }
            if rows.isEmpty, id == sealed.last { return outcome }
            break
        }
        outcome.plan.keepFiles(from: floor)
        return outcome
    }

    private func rows(
        of id: SegmentID, _ outline: LogOutline, _ unread: inout [Unread]
    ) throws(WeirError) -> [ProducerRow]? {
        if let thought = outline.thought, thought.id == id { return thought.producers }
        guard let segment = writer.view.segments.last(where: { $0.id == id }),
            let sealed = segment.sealed
        else { return nil }
        do throws(WeirError) {
            return try segment.footer(sealed)?.producers
        } catch {
            guard error.isOfOneSegment else { throw error }
            unread.append((id, error.located(.init(path: segment.path))))
            return nil
        }
    }
}
