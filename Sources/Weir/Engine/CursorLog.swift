package import WeirBase
package import WeirFiles
package import WeirFormat
package import WeirLog

/// The stream that keeps a store's cursors, as one walk from its first record to its last shows it.
package struct CursorLog: Sendable {
    package private(set) var standings: [CursorKey: CursorStanding] = [:]
    /// Where the next walk goes on.
    package private(set) var next = Offset.zero
    /// Commits that are missing: a cursor may stand where an earlier one had put it.
    package private(set) var gaps: [Gap] = []
    /// Records that are none of a cursor.
    package private(set) var strangers = 0
    /// Those that were there at the last walk.
    private var segments: Set<SegmentID> = []

    package init() {}

    /// The one place that makes its name.
    package static let streamName = StreamName(own: "cursors")

    /// Durable, whatever the streams are whose cursors it keeps, and in small batches.
    package static let configuration = StreamConfiguration(
        segmentBytes: Limits.segmentBytesMin, batchBytesMax: 64 << 10,
        compaction: CompactionPolicy(tombstoneSecondsMin: 0))

    /// Walks over what came since the last walk; over everything once a segment is gone. May wait
    /// for the disk.
    package mutating func walk<Files: FileSystem>(_ view: LogView<Files>) throws(WeirError) {
        // A tombstone goes together with the commits before it: a walk that has read these would
        // pass by where it stood, and believe a cursor that is no more.
        let now = Set(view.segments.map(\.id))
        if !segments.isSubset(of: now) { self = CursorLog() }
        segments = now
        var cursor = LogCursor(view: view, at: next)
        while true {
            let step = try cursor.next()
            next = cursor.nextOffset
            switch step {
            case .batch:
                var records = cursor.records
                while let record = records.next() { note(record) }
            case .gap(let gap): gaps.append(gap)
            case .end, .held:
                // What went meanwhile may have taken a tombstone that was not reached yet.
                guard now.isSubset(of: Set(view.segments.map(\.id))) else { return try walk(view) }
                return
            }
        }
    }

    private mutating func note(_ record: RecordView) {
        do throws(WeirError) {
            let key = try CursorRecord.key(of: record)
            guard !record.isTombstone else {
                standings[key] = nil
                return
            }
            do throws(WeirError) {
                standings[key] = .at(try CursorRecord.commit(of: record), lost: nil)
            } catch {
                standings[key] = .unreadable(error.located(.init(offset: record.offset)))
            }
        } catch {
            strangers += 1
        }
    }

    /// Forgets the cursors of streams that are gone.
    package mutating func keep(streams: Set<StreamID>) {
        standings = standings.filter { streams.contains($0.key.stream) }
    }

    /// Where they stand in what there is of their streams; where that cannot be looked at now, as
    /// they were committed: the trouble of one segment is not that of all cursors. `failed` is told
    /// of the first such trouble of each stream.
    package func settled<Files: FileSystem>(
        _ views: [StreamID: LogView<Files>],
        failed: (StreamID, WeirError) -> Void = { _, _ in }
    ) -> [CursorKey: CursorStanding] {
        var settled = standings
        var told: Set<StreamID> = []
        for (key, standing) in standings {
            guard let view = views[key.stream] else { continue }
            do throws(WeirError) {
                settled[key] = try standing.settled(in: view)
            } catch {
                settled[key] = standing
                if told.insert(key.stream).inserted { failed(key.stream, error) }
            }
        }
        return settled
    }
}

extension CursorStanding {
    /// A cursor beyond what power loss left of its epoch is moved back to there.
    package func settled<Files: FileSystem>(
        in view: LogView<Files>
    ) throws(WeirError) -> CursorStanding {
        guard case .at(let commit, lost: nil) = self else { return self }
        let position = commit.position
        let end = try view.end(of: position.epoch)
        guard position.offset > end else { return self }
        let moved = CursorCommit(
            position: CursorPosition(epoch: position.epoch, offset: end), time: commit.time)
        return .at(moved, lost: position.offset)
    }
}
