package import WeirBase
package import WeirFiles
package import WeirFormat

/// A stream as a reader finds it beside a live writer.
package struct FollowedStream: Sendable {
    /// With the segments that the writer has begun and not yet made known.
    package var manifest: ManifestState
    /// How far the segments that are not sealed may be read.
    package var readableEnd: [SegmentID: FilePosition] = [:]

    /// `nil` where there is no stream. Throws `newerFormat`, and what the medium said.
    package static func load<Files: FileSystem>(
        _ id: StreamID, slot: TailSlot?, files: Files
    ) throws(WeirError) -> FollowedStream? {
        let directory = try StreamDirectory.list(id, files: files)
        guard let loaded = try ManifestLoader.load(directory, files: files, settling: false),
            !loaded.state.isDeleted
        else { return nil }
        var found = FollowedStream(manifest: loaded.state)
        guard let slot else { return found }
        for entry in try begun(directory, loaded.state, slot, files) {
            try found.manifest.apply(.segmentAdded(entry))
        }
        for entry in found.manifest.segments where entry.sealed == nil {
            guard let name = directory.segments[entry.id]?.name else { continue }
            found.readableEnd[entry.id] =
                entry.id == slot.segment
                ? slot.writtenEnd : try end(of: directory.path(name), files)
        }
        return found
    }

    /// Files that no edit lists, up to the one that the slot names; their headers tell the epoch.
    private static func begun<Files: FileSystem>(
        _ directory: StreamDirectory, _ state: ManifestState, _ slot: TailSlot, _ files: Files
    ) throws(WeirError) -> [SegmentEntry] {
        let listed = Set(state.segments.map(\.id)).union(state.retired)
        guard !listed.contains(slot.segment), let last = directory.segments[slot.segment]?.base
        else { return [] }
        var entries: [SegmentEntry] = []
        for (id, found) in directory.segments where !listed.contains(id) && found.base <= last {
            let entry = SegmentEntry(id: id, base: found.base, epoch: slot.epoch)
            if id == slot.segment {
                entries.append(entry)
            } else if try isOf(entry, directory.path(found.name), files) {
                entries.append(entry)
            }
        }
        return entries
    }

    private static func isOf<Files: FileSystem>(
        _ entry: SegmentEntry, _ path: String, _ files: Files
    ) throws(WeirError) -> Bool {
        let file = try files.open(path, .read)
        let head = try files.read(file, at: .zero, byteCount: SegmentHeader.byteCountMax)
        try files.close(file)
        do throws(WeirError) {
            let header = try SegmentHeader.decode(head).header
            // One that compaction made is nobody's before its edit, and then it is listed.
            return header.segmentID == entry.id && header.epoch == entry.epoch
                && header.replaced.isEmpty
        } catch {
            if error.code == .newerFormat { throw error.located(.init(path: path)) }
            return false
        }
    }

    /// A segment that was left grows by its footer only, and that no reader takes for a batch.
    private static func end<Files: FileSystem>(
        of path: String, _ files: Files
    ) throws(WeirError) -> FilePosition {
        let file = try files.open(path, .read)
        let size = try files.size(of: file)
        try files.close(file)
        return FilePosition(UInt64(size))
    }
}
