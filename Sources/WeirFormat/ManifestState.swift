package import WeirBase

/// What the edits of a manifest add up to.
package struct ManifestState: Sendable, Hashable {
    package enum Closing: Sendable, Hashable {
        case neverOpened
        case opened(Epoch)
        case clean(CleanClose)
    }

    package let streamID: StreamID
    package let name: StreamName
    package var configuration: StreamConfiguration
    package private(set) var logStart = Offset.zero
    /// Before it, compaction has looked at everything.
    package private(set) var compactedEnd = Offset.zero
    /// In the order of their bases.
    package private(set) var segments: [SegmentEntry] = []
    /// Ids whose files may be removed where they are still found.
    package private(set) var retired: Set<SegmentID> = []
    package private(set) var closing = Closing.neverOpened
    package private(set) var isDeleted = false
    /// What the next edit carries.
    package private(set) var nextSequence: UInt64 = 1
    package private(set) var lastChecksum: UInt32 = 0
    /// Bytes of the edits so far: where the next one goes.
    package private(set) var byteCount = 0

    package init(streamID: StreamID, name: StreamName, configuration: StreamConfiguration) {
        self.streamID = streamID
        self.name = name
        self.configuration = configuration
    }

    /// How the reading of a manifest ended.
    package enum Ending: Sendable, Hashable {
        /// Every byte belongs to an edit.
        case whole
        /// The last edit was not written to its end: what follows `byteCount` is to be cut.
        case torn
        /// An edit in the middle does not hold: rebuild from the segments.
        case damaged(at: FilePosition, String)
    }

    /// Folds all edits. `nil` where not even the first one holds. Throws `newerFormat`.
    ///
    /// The last edit may be torn by a crash, since it was announced to nobody. A bad one with a
    /// whole one behind it is damage, and so is a whole one that does not follow: no interrupted
    /// write makes a right checksum.
    package static func decodeAll(
        _ bytes: [UInt8]
    ) throws(WeirError) -> (state: ManifestState, ending: Ending)? {
        var state: ManifestState?
        var position = 0
        while position < bytes.count {
            do throws(WeirError) {
                let chained = try ManifestEdit.decode(bytes[position...])
                try fold(chained, into: &state)
                position += chained.byteCount
            } catch {
                if error.code == .newerFormat { throw error }
                guard let state else { return nil }
                let isTorn = !holdsEdit(bytes, from: position)
                return (
                    state,
                    isTorn ? .torn : .damaged(at: FilePosition(UInt64(position)), error.message)
                )
            }
        }
        return state.map { ($0, .whole) }
    }

    /// Whether any whole edit stands there or behind; edits begin at multiples of eight.
    private static func holdsEdit(_ bytes: [UInt8], from position: Int) -> Bool {
        var candidate = position
        while candidate + ManifestEdit.Field.end <= bytes.count {
            if ManifestEdit.isWhole(bytes[candidate...]) { return true }
            candidate += 8
        }
        return false
    }

    private static func fold(
        _ chained: ManifestEdit.Chained, into state: inout ManifestState?
    ) throws(WeirError) {
        // Taken out and put back, so that its arrays have one owner and are not copied an edit.
        if var known = state.take() {
            defer { state = known }
            guard chained.sequence == known.nextSequence, chained.previous == known.lastChecksum
            else { throw WeirError.damaged("A manifest edit does not follow the one before it.") }
            try known.apply(chained.edit)
            known.note(chained)
            return
        }
        guard case .created(let id, let name, let configuration) = chained.edit else {
            throw WeirError.damaged("The manifest does not begin with the stream's creation.")
        }
        var new = ManifestState(streamID: id, name: name, configuration: configuration)
        new.note(chained)
        state = new
    }

    private mutating func note(_ chained: ManifestEdit.Chained) {
        // The first edit may have any number, the greatest too.
        nextSequence = chained.sequence &+ 1
        lastChecksum = chained.checksum
        byteCount += chained.byteCount
    }

    /// The edits' bytes, as the next ones of this manifest; the state is moved on.
    package mutating func encode(_ edits: [ManifestEdit]) throws(WeirError) -> [UInt8] {
        var bytes: [UInt8] = []
        for edit in edits {
            let (encoded, checksum) = edit.encode(sequence: nextSequence, previous: lastChecksum)
            guard encoded.count <= Limits.manifestEditBytesMax else {
                throw WeirError(
                    .tooLarge,
                    "An edit of the manifest has \(encoded.count) bytes; at most "
                        + "\(Limits.manifestEditBytesMax) fit. Make the change in parts.")
            }
            try apply(edit)
            nextSequence &+= 1
            lastChecksum = checksum
            byteCount += encoded.count
            bytes += encoded
        }
        return bytes
    }

    /// Half of what an edit can hold, so that no number of retired segments makes one too large.
    private static let idsPerEdit = Limits.manifestEditBytesMax / 16

    /// A whole new manifest that says the same: for the rewrite by rename when it has grown.
    package func rewritten() throws(WeirError) -> (state: ManifestState, bytes: [UInt8]) {
        var state = ManifestState(
            streamID: streamID, name: name, configuration: configuration)
        let creation = ManifestEdit.created(streamID, name, configuration)
        let (first, checksum) = creation.encode(sequence: 1, previous: 0)
        state.nextSequence = 2
        state.lastChecksum = checksum
        state.byteCount = first.count
        var edits: [ManifestEdit] = []
        if logStart > .zero { edits.append(.logStart(logStart)) }
        if compactedEnd > .zero { edits.append(.compacted(compactedEnd)) }
        edits += segments.map { .segmentAdded($0) }
        let ids = retired.sorted { $0.value < $1.value }
        for start in stride(from: 0, to: ids.count, by: ManifestState.idsPerEdit) {
            edits.append(.retired(Array(ids[start...].prefix(ManifestState.idsPerEdit))))
        }
        switch closing {
        case .neverOpened: break
        case .opened(let epoch): edits.append(.opened(epoch))
        case .clean(let close): edits.append(.closed(close))
        }
        if isDeleted { edits.append(.deleted) }
        let rest = try state.encode(edits)
        return (state, first + rest)
    }

    package mutating func apply(_ edit: ManifestEdit) throws(WeirError) {
        switch edit {
        case .created: throw WeirError.damaged("The manifest creates its stream twice.")
        case .configured(let new): configuration = new
        case .segmentAdded(let entry): try insert(entry)
        case .segmentSealed(let id, let sealed):
            let index = try index(of: id)
            guard sealed.endOffset >= segments[index].base else {
                throw WeirError.damaged("The manifest seals segment \(id) before its beginning.")
            }
            segments[index].sealed = sealed
        case .replaced(let old, let new):
            for id in old {
                segments.remove(at: try index(of: id))
                retired.insert(id)
            }
            for entry in new { try insert(entry) }
        case .retired(let ids):
            let gone = Set(ids)
            segments.removeAll { gone.contains($0.id) }
            retired.formUnion(gone)
        case .logStart(let offset): logStart = max(logStart, offset)
        case .compacted(let offset): compactedEnd = offset
        case .opened(let epoch): closing = .opened(epoch)
        case .closed(let close): closing = .clean(close)
        case .deleted: isDeleted = true
        case .several(let edits): for edit in edits { try apply(edit) }
        }
    }

    /// The epoch of the writer that appended last, as far as the manifest knows.
    package var lastOpening: Epoch? {
        switch closing {
        case .neverOpened: nil
        case .opened(let epoch): epoch
        case .clean(let close): close.epoch
        }
    }

    /// Files that are gone for good: their ids need not be remembered in the next rewrite.
    package mutating func forgetRetired(except left: Set<SegmentID>) {
        retired.formIntersection(left)
    }

    /// Whether the edits have become much more than what they add up to. A rewritten manifest has
    /// one edit a segment, of about 150 bytes.
    package func isOvergrown(beyond byteCountMin: Int) -> Bool {
        byteCount > byteCountMin && byteCount > segments.count * 400
    }

    private func index(of id: SegmentID) throws(WeirError) -> Int {
        // Nearly always the last: edits speak of the newest segment.
        guard let index = segments.lastIndex(where: { $0.id == id }) else {
            throw WeirError.damaged("The manifest speaks of segment \(id), which it never added.")
        }
        return index
    }

    private mutating func insert(_ entry: SegmentEntry) throws(WeirError) {
        let index = segments.lastIndex { $0.base <= entry.base }.map { $0 + 1 } ?? 0
        let twin = segments[..<index].last { $0.base < entry.base || $0.id == entry.id }
        guard twin?.id != entry.id else {
            throw WeirError.damaged("The manifest adds segment \(entry.id) twice.")
        }
        segments.insert(entry, at: index)
    }
}
