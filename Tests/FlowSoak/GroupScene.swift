import Foundation
import Weir

/// Two members of a group that work through a partitioned stream called `jobs`, in a store that is
/// there, and say on standard output what they do: made to be killed at any place, and begun again.
///
///     got a 2 30 40       the member a got records 30 to 39 of partition 2
///     did 2 30            it has processed one
///     commits 2 40        it begins to commit up to there
///     committed 2 40      that was acknowledged
///
/// Each line is one write, so a kill cuts none.
struct GroupScene {
    private let folder: String
    private let output = FileHandle.standardOutput

    init(_ arguments: Arguments) throws {
        guard let folder = arguments.folder else {
            throw Usage("group works in a store that is there; name it by --dir.")
        }
        self.folder = folder
    }

    func play() async throws -> ReportLine {
        let store = try await Store.open(at: folder, .write)
        let jobs = try await store.partitionedStream("jobs")
        let group = try jobs.group("workers")
        // Members of this life alone: what a killed one had goes to others.
        let life = ProcessInfo.processInfo.processIdentifier
        let members = [try await group.join("a-\(life)"), try await group.join("b-\(life)")]
        let batches = try await withThrowingTaskGroup(of: Int.self) { tasks in
            for member in members {
                tasks.addTask { try await work(member, members, jobs) }
            }
            return try await tasks.reduce(0, +)
        }
        try await store.close()
        var line = ReportLine("group", isOkay: true)
        line.add("batches", batches)
        return line
    }

    /// Returns how many batches the member had when everything was committed.
    private func work(
        _ member: GroupMember, _ members: [GroupMember], _ jobs: PartitionedStream
    ) async throws -> Int {
        var count = 0
        if try isDone(jobs) { for member in members { member.leave() } }
        while let batch = try await member.nextBatch() {
            count += 1
            let partition = batch.partition
            say("got \(member.name) \(partition) \(batch.firstOffset) \(batch.endOffset)")
            for record in batch {
                try await Task.sleep(for: .milliseconds(1))
                say("did \(partition) \(record.offset)")
            }
            // Some batches are covered by the commit of a later one.
            let isLast = batch.endOffset == jobs.partitions[partition].endOffset
            if !isLast, count % 3 == 0 {
                try member.release(batch)
                continue
            }
            say("commits \(partition) \(batch.endOffset)")
            try await member.commit(batch)
            say("committed \(partition) \(batch.endOffset)")
            if try isDone(jobs) { for member in members { member.leave() } }
        }
        return count
    }

    private func isDone(_ jobs: PartitionedStream) throws -> Bool {
        try jobs.partitions.allSatisfy {
            try $0.savedCursor("workers").position?.offset == $0.endOffset
        }
    }

    private func say(_ line: String) { output.write(Data((line + "\n").utf8)) }
}
