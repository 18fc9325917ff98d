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

    /// The footers of `passed` are not read: that was in vain a moment ago. Gives those that could
    /// not be. Throws what the medium said; what went by then stays gone, and the rest is as it
    /// was.
    @discardableResult
    package func perform(
        _ plan: RetentionPlan, passing passed: Set<SegmentID> = []
    ) throws(WeirError) -> [Unread] {
        guard let goal = plan.logStart else { return [] }
        var unread: [Unread] = []
        var left = try kept(plan, passing: passed, &unread).retired[...]
        guard !left.isEmpty || goal > writer.view.logStart else { return unread }
        // In parts, so that no edit is too large; all of them say the truth.
        repeat {
            let part = left.prefix(Limits.retiredAtOnceMax)
            left = left.dropFirst(part.count)
            try retire(part.map(\.id), logStart: left.first?.base ?? goal)
        } while !left.isEmpty
        return unread
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
    private func kept(
        _ plan: RetentionPlan, passing passed: Set<SegmentID>, _ unread: inout [Unread]
    ) throws(WeirError) -> RetentionPlan {
        let sealed = writer.view.segments.filter { $0.sealed != nil }
        guard !plan.retired.isEmpty, var floor = sealed.last else { return plan }
        for segment in sealed.reversed() {
            floor = segment
            guard !passed.contains(segment.id),
                let rows = try rows(of: segment, &unread)
            else { continue }
            if rows.isEmpty, segment === sealed.last { return plan }
            break
        }
        var plan = plan
        plan.keepFiles(from: floor.id)
        return plan
    }

    private func rows(
        of segment: ReadableSegment<Files>, _ unread: inout [Unread]
    ) throws(WeirError) -> [ProducerRow]? {
        guard let sealed = segment.sealed else { return nil }
        do throws(WeirError) {
            return try segment.footer(sealed)?.producers
        } catch {
            guard error.isOfOneSegment else { throw error }
            unread.append((segment.id, error.located(.init(path: segment.path))))
            return nil
        }
    }
}
