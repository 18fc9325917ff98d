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

    /// Throws what the medium said; what went by then stays gone, and the rest is as it was.
    package func perform(_ plan: RetentionPlan) throws(WeirError) {
        guard let goal = plan.logStart else { return }
        var left = try kept(plan).retired[...]
        guard !left.isEmpty || goal > writer.view.logStart else { return }
        // In parts, so that no edit is too large; all of them say the truth.
        repeat {
            let part = left.prefix(Limits.retiredAtOnceMax)
            left = left.dropFirst(part.count)
            try retire(part.map(\.id), logStart: left.first?.base ?? goal)
        } while !left.isEmpty
    }

    private func retire(_ ids: [SegmentID], logStart: Offset) throws(WeirError) {
        let start = ManifestEdit.logStart(logStart)
        try writer.commitBeside(ids.isEmpty ? [start] : [start, .retired(ids)])
        let gone = Set(ids)
        leftovers.expect(writer.view.segments.filter { gone.contains($0.id) })
        writer.view.retire(ids, logStart: logStart)
    }

    /// The footer of the newest sealed segment may be all that tells of the stream's producers: its
    /// file stays then, until another one is sealed. So does one whose footer does not hold, since
    /// nobody knows.
    private func kept(_ plan: RetentionPlan) throws(WeirError) -> RetentionPlan {
        let newest = writer.view.segments.last { $0.sealed != nil }
        guard let newest, newest.id == plan.retired.last?.id, let sealed = newest.sealed
        else { return plan }
        if let footer = try newest.footer(sealed), footer.producers.isEmpty { return plan }
        var plan = plan
        plan.keepLastFile()
        return plan
    }
}
