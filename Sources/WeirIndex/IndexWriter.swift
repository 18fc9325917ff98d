import GRDB
package import WeirBase

/// The writing end of an index: one a store, used by one thread.
///
/// Everything that it writes can be made anew from the log, so it syncs nothing of its own accord:
/// what a crash takes is indexed again.
package final class IndexWriter {
    private let connection: IndexConnection
    private let identity: IndexIdentity
    private var work: Work

    /// What the file holds, and what is to be done in it.
    private struct Work {
        var runs: [StreamID: [RunRow]] = [:]
        /// The last one goes on first: it is of runs that came after those of the others.
        var merges: [RunMerge] = []
        /// Numbers of runs that are no more, and whose leaves are still there.
        var leftovers: [UInt64] = []
        /// Streams that may have runs to merge.
        var unsettled: Set<StreamID> = []
        var nextNumber: UInt64 = 1
    }

    /// Makes an empty file that exists an index.
    package static func create(
        path: String, _ identity: IndexIdentity
    ) throws(WeirError) -> IndexWriter {
        let connection = try IndexConnection(path: path, isReadOnly: false)
        try connection.write { try IndexSchema.create(in: $0, identity) }
        return IndexWriter(connection, identity, Work())
    }

    /// Opens an index for the opening of the store that `identity` names.
    ///
    /// Throws `damaged` if it is no index, of another version or store, was not written by
    /// `previous`, the opening before this one, or does not hold together; then it is to be thrown
    /// away. What is `stale`, as it covers what the log no longer has, is forgotten in the same
    /// transaction that says whose the index is now: readers believe the rest from then on.
    package static func open(
        path: String, _ identity: IndexIdentity, after previous: IndexIdentity,
        forgetting stale: (StreamID, Range<Offset>) -> Bool
    ) throws(WeirError) -> IndexWriter {
        let connection = try IndexConnection(path: path, isReadOnly: false)
        do throws(WeirError) {
            let found = try connection.write { database -> Work in
                let owner = try IndexSchema.identity(in: database)
                guard owner == previous else {
                    throw WeirError.damaged(
                        "The index is of store \(owner.store) and its epoch \(owner.epoch) from "
                            + "\(owner.opened); expected store \(previous.store) and epoch "
                            + "\(previous.epoch) from \(previous.opened).")
                }
                try IndexSchema.write(identity, in: database)
                var work = try Self.work(in: database)
                for (stream, rows) in work.runs where stale(stream, Self.coverage(rows)) {
                    try Self.forget(stream, &work, in: database)
                }
                return work
            }
            return IndexWriter(connection, identity, found)
        } catch {
            try connection.close()
            throw error
        }
    }

    private static func work(in database: Database) throws -> Work {
        var work = Work()
        var numbers: Set<UInt64> = []
        for run in try IndexSchema.runs(of: nil, in: database) {
            work.runs[run.stream, default: []].append(run)
            numbers.insert(run.number)
        }
        let written = try IndexSchema.leafRuns(in: database)
        // A merge that a crash ended left leaves of a run that never was.
        work.leftovers = written.filter { !numbers.contains($0) }
        work.nextNumber = try IndexSchema.number(after: numbers.union(written))
        work.unsettled = Set(work.runs.keys)
        return work
    }

    private init(_ connection: IndexConnection, _ identity: IndexIdentity, _ work: Work) {
        self.connection = connection
        self.identity = identity
        self.work = work
    }

    /// Streams of which something is indexed.
    package var streams: [StreamID] { Array(work.runs.keys) }

    /// Which offsets of a stream are covered; `nil` if none are.
    package func coverage(of stream: StreamID) -> Range<Offset>? {
        work.runs[stream].map(Self.coverage)
    }

    /// Adds runs in one transaction; each continues its stream's coverage, or begins it.
    ///
    /// A run that is there already is left out. Throws `noSpace`, `locked` if another process
    /// writes the store now; then nothing was added.
    package func append(_ added: [KeyRun]) throws(WeirError) {
        try change { database, work in
            for run in added {
                if let last = work.runs[run.stream]?.last {
                    if run.end <= last.end { continue }
                    precondition(run.first == last.end, "a run of keys leaves a hole")
                }
                let row = run.row(number: work.nextNumber)
                work.nextNumber += 1
                var writer = try LeafWriter(database, run: row)
                for entry in run.entries { try writer.add(entry) }
                try writer.finish()
                try IndexSchema.insert(row, in: database)
                work.runs[run.stream, default: []].append(row)
                work.unsettled.insert(run.stream)
            }
        }
    }

    /// Forgets all that is known of streams.
    package func forget(_ streams: [StreamID]) throws(WeirError) {
        guard !streams.isEmpty else { return }
        try change { database, work in
            for stream in streams { try Self.forget(stream, &work, in: database) }
        }
    }

    private static func forget(
        _ stream: StreamID, _ work: inout Work, in database: Database
    ) throws {
        for row in work.runs.removeValue(forKey: stream) ?? [] {
            try IndexSchema.delete(row, in: database)
            work.leftovers.append(row.number)
        }
        work.leftovers += work.merges.filter { $0.output.stream == stream }.map(\.output.number)
        work.merges.removeAll { $0.output.stream == stream }
    }

    /// Of the runs of one stream, at least one.
    private static func coverage(_ rows: [RunRow]) -> Range<Offset> {
        rows[0].first..<rows[rows.count - 1].end
    }

    /// Merges runs, and removes what merged ones left, as much as one short transaction should
    /// take. `false` where nothing is to be done.
    ///
    /// Throws `damaged` if what is merged does not hold, and as `append` does; then nothing was
    /// changed.
    package func tidy(_ calm: IndexCalm) throws(WeirError) -> Bool {
        plan(calm)
        guard !work.merges.isEmpty || !work.leftovers.isEmpty else { return false }
        try change { database, work in
            var left = IndexLimits.pieceEntriesMax
            while left > 0 {
                if let number = work.leftovers.last {
                    let (count, isGone) = try IndexSchema.deleteLeaves(
                        of: number, max: left / KeyLeaf.entriesMax + 1, in: database)
                    if isGone { work.leftovers.removeLast() }
                    left -= (count + 1) * KeyLeaf.entriesMax
                } else if var merge = work.merges.popLast() {
                    left -= try merge.advance(left, in: database) + KeyLeaf.entriesMax
                    if merge.isWhole {
                        try Self.adopt(merge, &work, in: database)
                    } else {
                        work.merges.append(merge)
                    }
                } else {
                    break
                }
            }
        }
        return true
    }

    /// Begins merges: one a stream, and a small one of what came while a large one is under way,
    /// so that runs stay few meanwhile.
    private func plan(_ calm: IndexCalm) {
        var under: [StreamID: [RunMerge]] = [:]
        for merge in work.merges { under[merge.output.stream, default: []].append(merge) }
        for stream in work.unsettled {
            guard let rows = work.runs[stream] else { continue }
            var open = rows
            if let merges = under[stream] {
                guard calm != .idle, merges.count == 1, let last = merges[0].inputs.last,
                    let index = rows.firstIndex(where: { $0.number == last.number })
                else { continue }
                open = Array(rows[(index + 1)...])
            }
            guard let found = MergePlan.rows(open, calm) else {
                if calm == .idle { work.unsettled.remove(stream) }
                continue
            }
            let merge = RunMerge(Array(open[found]), number: work.nextNumber)
            let isBeside = under[stream] != nil
            if isBeside, merge.output.entryCount > IndexLimits.besideEntriesMax { continue }
            work.merges.append(merge)
            work.nextNumber += 1
        }
    }

    /// The merged run takes the place of its inputs, in the transaction of its last leaves.
    private static func adopt(
        _ merge: RunMerge, _ work: inout Work, in database: Database
    ) throws {
        let stream = merge.output.stream
        guard var rows = work.runs[stream],
            let start = rows.firstIndex(where: { $0.number == merge.inputs[0].number })
        else { return }
        for row in merge.inputs {
            try IndexSchema.delete(row, in: database)
            work.leftovers.append(row.number)
        }
        try IndexSchema.insert(merge.output, in: database)
        rows.replaceSubrange(start..<start + merge.inputs.count, with: [merge.output])
        work.runs[stream] = rows
        work.unsettled.insert(stream)
    }

    /// Changes the file and what is known of it together, or neither.
    private func change(_ body: (Database, inout Work) throws -> Void) throws(WeirError) {
        work = try connection.write { database in
            try expectOwnership(in: database)
            var changed = work
            try body(database, &changed)
            return changed
        }
    }

    /// A process that stood still while another became the writer must not write on: what it
    /// would add is of a log that is no longer the store's.
    private func expectOwnership(in database: Database) throws {
        let owner = try IndexSchema.identity(in: database)
        guard owner != identity else { return }
        // What an earlier opening says of itself was written over: nobody has taken that back.
        guard owner.epoch >= identity.epoch else {
            throw WeirError.damaged(
                "The index tells that epoch \(owner.epoch) wrote it last, and that was epoch "
                    + "\(identity.epoch).")
        }
        throw WeirError(
            .locked,
            "The index was taken over by epoch \(owner.epoch) of the store, and this process is of "
                + "epoch \(identity.epoch): another process is the writer.")
    }

    /// Moves what was written lately into the file itself, and cuts the write-ahead log to nothing:
    /// for quiet moments. `false` if somebody looks in that log: it is to be asked again.
    package func checkpoint() throws(WeirError) -> Bool { try connection.checkpoint() }

    /// Ends the connection; the last one takes the write-ahead log away.
    package func close() throws(WeirError) { try connection.close() }
}
