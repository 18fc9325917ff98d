package import WeirBase
package import WeirFiles
package import WeirFormat

/// A stream's directory as it was found.
package struct StreamDirectory: Sendable {
    package let id: StreamID
    /// Segment files by id. A second file with the same id is a copy somebody made.
    package var segments: [SegmentID: (name: String, base: Offset)] = [:]
    package var copies: [String] = []
    package var unknown: [String] = []
    package var hasManifest = false
    package var hasNewManifest = false
    /// A file that was made for a segment to come; it holds nothing.
    package var hasNextSegment = false
    /// What an interrupted compaction left; all that it holds stands elsewhere.
    package var hasCompacting = false

    package static func list<Files: FileSystem>(
        _ id: StreamID, files: Files
    ) throws(WeirError) -> StreamDirectory {
        var found = StreamDirectory(id: id)
        for name in try files.list(StoreLayout.stream(id)).sorted() {
            switch name {
            case StoreLayout.manifestName: found.hasManifest = true
            case StoreLayout.manifestNewName: found.hasNewManifest = true
            case StoreLayout.nextSegmentName: found.hasNextSegment = true
            case StoreLayout.compactingName: found.hasCompacting = true
            case StoreLayout.quarantineName: break
            default:
                guard let (base, segment) = StoreLayout.parse(segmentName: name) else {
                    found.unknown.append(name)
                    continue
                }
                if found.segments[segment] != nil {
                    found.copies.append(name)
                } else {
                    found.segments[segment] = (name, base)
                }
            }
        }
        return found
    }

    package func path(_ name: String) -> String { StoreLayout.stream(id) + "/" + name }
}

extension ManifestState {
    /// Whom a directory's manifest says it belongs to; `nil` where its first edit does not hold.
    package static func creation<Files: FileSystem>(
        in directory: StreamID, files: Files
    ) throws(WeirError) -> (id: StreamID, name: StreamName)? {
        do throws(WeirError) {
            let file = try files.open(StoreLayout.manifest(directory), .read)
            // The creation is the first edit, and small.
            let bytes = try files.read(file, at: .zero, byteCount: 4096)
            try files.close(file)
            guard case .created(let id, let name, _) = try ManifestEdit.decode(bytes[...]).edit
            else { return nil }
            return (id, name)
        } catch {
            if error.code == .notFound || error.code == .damaged { return nil }
            throw error
        }
    }
}

/// Reads a stream's manifest, or makes it anew from the segments when it is lost.
package enum ManifestLoader {
    package struct Loaded: Sendable {
        package var state: ManifestState
        /// Where the file's good part ends; what follows is cut before the next edit.
        package var isTorn: Bool
        /// The file must be written anew: it is lost, or damaged in the middle.
        package var isRebuilt: Bool
        package var reports: [DamageReport]
    }

    /// `nil` for a directory that holds no stream: neither a manifest nor a segment. A writer
    /// settles the file first; a reader, which changes nothing, takes it as it is.
    package static func load<Files: FileSystem>(
        _ directory: StreamDirectory, files: Files, settling: Bool
    ) throws(WeirError) -> Loaded? {
        let path = StoreLayout.manifest(directory.id)
        guard directory.hasManifest else {
            return try rebuild(directory, files, .missingManifest, "the manifest is missing")
        }
        let bytes = try read(path, files: files, settling: settling)
        guard let (state, ending) = try ManifestState.decodeAll(bytes),
            state.streamID == directory.id
        else {
            return try rebuild(
                directory, files, .damagedManifest, "the manifest does not hold from its start")
        }
        switch ending {
        case .whole:
            return Loaded(state: state, isTorn: false, isRebuilt: false, reports: [])
        case .torn:
            return Loaded(state: state, isTorn: true, isRebuilt: false, reports: [])
        case .damaged(let position, let why):
            return try rebuild(
                directory, files, .damagedManifest,
                "the manifest is damaged at byte \(position): \(why)", name: state.name,
                configuration: state.configuration)
        }
    }

    private static func read<Files: FileSystem>(
        _ path: String, files: Files, settling: Bool
    ) throws(WeirError) -> [UInt8] {
        let file = try files.open(path, settling ? .readWrite : .read)
        if settling { try files.settle(file) }
        let size = try files.size(of: file)
        guard size <= Limits.manifestBytesMax else {
            throw WeirError.damaged(
                "The manifest has \(size) bytes; at most \(Limits.manifestBytesMax) are expected",
                path: path)
        }
        let bytes = try files.read(file, at: .zero, byteCount: size)
        try files.close(file)
        return bytes
    }

    /// Law: the manifest can be rebuilt from the segments, and losing it deletes none of them.
    private static func rebuild<Files: FileSystem>(
        _ directory: StreamDirectory, _ files: Files, _ kind: DamageReport.Kind, _ why: String,
        name knownName: StreamName? = nil, configuration: StreamConfiguration? = nil
    ) throws(WeirError) -> Loaded? {
        var entries: [SegmentEntry] = []
        var replaced: Set<SegmentID> = []
        var newest: SegmentHeader?
        var logStart = Offset.zero
        for (id, found) in directory.segments.sorted(by: { $0.value.name < $1.value.name }) {
            let (entry, header, footer) = try examine(
                id, base: found.base, path: directory.path(found.name), files: files)
            entries.append(entry)
            if let header {
                replaced.formUnion(header.replaced)
                logStart = max(logStart, header.logStart)
                if newest.map({ $0.lastEpoch <= header.lastEpoch }) ?? true { newest = header }
            }
            if let footer { logStart = max(logStart, footer.logStart) }
        }
        guard newest != nil || knownName != nil || !entries.isEmpty else { return nil }
        let nameless = try StreamName("recovered-\(directory.id)")
        let name = newest?.name ?? knownName ?? nameless
        var state = ManifestState(
            streamID: directory.id, name: name,
            configuration: newest?.configuration ?? configuration ?? StreamConfiguration())
        var edits: [ManifestEdit] =
            entries.filter { !replaced.contains($0.id) }.map { .segmentAdded($0) }
        if !replaced.isEmpty { edits.append(.retired(Array(replaced))) }
        if logStart > .zero { edits.append(.logStart(logStart)) }
        // Nobody closed it, as far as can be known: its tail is scanned.
        edits.append(.opened(newest?.lastEpoch ?? Epoch(0)))
        for edit in edits { try state.apply(edit) }
        let report = DamageReport(
            kind: kind, stream: name.description, path: StoreLayout.manifest(directory.id),
            detail: "\(why); it was rebuilt from \(entries.count) segments")
        return Loaded(state: state, isTorn: false, isRebuilt: true, reports: [report])
    }

    private static func examine<Files: FileSystem>(
        _ id: SegmentID, base: Offset, path: String, files: Files
    ) throws(WeirError) -> (SegmentEntry, SegmentHeader?, SegmentFooter?) {
        let file = try files.open(path, .read)
        let size = try files.size(of: file)
        var header: SegmentHeader?
        let head = try files.read(
            file, at: .zero, byteCount: min(size, SegmentHeader.byteCountMax))
        do throws(WeirError) {
            let decoded = try SegmentHeader.decode(head).header
            if decoded.segmentID == id { header = decoded }
        } catch {
            if error.code == .newerFormat { throw error.located(.init(path: path)) }
        }
        var entry = SegmentEntry(
            id: id, base: base, epoch: header?.epoch ?? Epoch(0),
            generation: header?.generation ?? 0)
        var footer: SegmentFooter?
        if let (found, checksum, position) = try readFooter(file, size, id, files) {
            footer = found
            entry.sealed = SealedSegment(
                summary: found.summary, batchesEnd: position, fileBytes: UInt64(size),
                footerChecksum: checksum)
        }
        try files.close(file)
        return (entry, header, footer)
    }

    static func readFooter<Files: FileSystem>(
        _ file: Files.File, _ size: Int, _ id: SegmentID, _ files: Files
    ) throws(WeirError) -> (SegmentFooter, UInt32, FilePosition)? {
        let trailerStart = size - SegmentFooter.Trailer.end
        guard trailerStart >= 0 else { return nil }
        let trailer = try files.read(
            file, at: FilePosition(UInt64(trailerStart)), byteCount: SegmentFooter.Trailer.end)
        guard let length = try SegmentFooter.byteCount(trailer: trailer, segment: id),
            length <= size
        else { return nil }
        let position = FilePosition(UInt64(size - length))
        let bytes = try files.read(file, at: position, byteCount: length)
        do throws(WeirError) {
            let (footer, checksum) = try SegmentFooter.decode(bytes, segment: id, at: position)
            return (footer, checksum, position)
        } catch {
            if error.code == .newerFormat { throw error }
            return nil
        }
    }
}
