import WeirBase

/// What an edit's payload holds, by its type; whole numbers are little-endian.
///
///      type               payload
///      1  created         stream id  name length u64  name  settings
///      2  configured      settings
///      3  segment added   segment
///      4  segment sealed  segment id  seal
///      5  replaced        count u64  segment ids  count u64  segments
///      6  retired         count u64  segment ids
///      7  log start       offset
///      8  opened          epoch
///      9  closed          epoch  has segment u64  segment id  position  end  durable end
///                         last append time
///     10  deleted         nothing
///     11  several         for each: type u32  length u32  payload
///     12  compacted       offset
///
///      segment   0 id  8 base offset  16 epoch  24 generation u32  28 is sealed u32  32 seal, if
///      seal      0 end offset  8 where batches end  16 file bytes  24 records  32 raw bytes
///                40 first and 48 last append time  56 least and 64 greatest record time
///                72 footer checksum u64
extension ManifestEdit {
    func encodePayload() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .created(let id, let name, let configuration):
            writer.put(id)
            writer.put(UInt64(name.description.utf8.count))
            writer.put(Array(name.description.utf8))
            writer.put(ConfigurationCoding.encode(configuration))
        case .configured(let configuration):
            writer.put(ConfigurationCoding.encode(configuration))
        case .segmentAdded(let entry): writer.put(entry)
        case .segmentSealed(let id, let sealed):
            writer.put(id)
            writer.put(sealed)
        case .replaced(let old, let new):
            writer.put(UInt64(old.count))
            for id in old { writer.put(id) }
            writer.put(UInt64(new.count))
            for entry in new { writer.put(entry) }
        case .retired(let ids):
            writer.put(UInt64(ids.count))
            for id in ids { writer.put(id) }
        case .logStart(let offset), .compacted(let offset): writer.put(offset)
        case .opened(let epoch): writer.put(epoch)
        case .closed(let close):
            writer.put(close.epoch)
            writer.put(UInt64(close.segment == nil ? 0 : 1))
            writer.put(close.segment ?? SegmentID(0))
            writer.put(close.position)
            writer.put(close.end)
            writer.put(close.durableEnd)
            writer.put(close.lastAppendTime)
        case .deleted: break
        case .several(let edits):
            for edit in edits {
                let payload = edit.encodePayload()
                writer.put(UInt32(edit.type))
                writer.put(UInt32(payload.count))
                writer.put(payload)
            }
        }
        return writer.bytes
    }

    static func decode(
        _ type: UInt16, _ reader: inout ByteReader
    ) throws(WeirError) -> ManifestEdit {
        switch type {
        case 1:
            let id = try reader.id(StreamID.self)
            let name = try reader.streamName(byteCount: try reader.count(reader.left))
            return .created(
                id, name, try ConfigurationCoding.decode(try reader.take(reader.left)))
        case 2: return .configured(try ConfigurationCoding.decode(try reader.take(reader.left)))
        case 3: return .segmentAdded(try reader.segmentEntry())
        case 4: return .segmentSealed(try reader.id(SegmentID.self), try reader.sealedSegment())
        case 5:
            let old = try reader.segmentIDs()
            let count = try reader.count(reader.left)
            var new: [SegmentEntry] = []
            for _ in 0..<count { new.append(try reader.segmentEntry()) }
            return .replaced(old: old, new: new)
        case 6: return .retired(try reader.segmentIDs())
        case 7: return .logStart(try reader.offset())
        case 8: return .opened(try reader.epoch())
        case 9: return .closed(try reader.cleanClose())
        case 10: return .deleted
        case 12: return .compacted(try reader.offset())
        default: return .several(try decodeSeveral(&reader))
        }
    }

    /// One level deep: an edit of several holds none of several.
    private static func decodeSeveral(
        _ reader: inout ByteReader
    ) throws(WeirError) -> [ManifestEdit] {
        var edits: [ManifestEdit] = []
        while !reader.isAtEnd {
            let type: UInt32 = try reader.get()
            let length = Int(try reader.get(UInt32.self))
            var payload = ByteReader(try reader.take(length), "manifest edit")
            guard let type = UInt16(exactly: type), type > 0, type != severalType else {
                throw WeirError.damaged("A manifest edit holds one of type \(type).")
            }
            guard knownTypes.contains(type) else { throw unknown(type, version: version) }
            edits.append(try decode(type, &payload))
        }
        return edits
    }
}

extension ByteWriter {
    fileprivate mutating func put(_ entry: SegmentEntry) {
        put(entry.id)
        put(entry.base)
        put(entry.epoch)
        put(entry.generation)
        put(UInt32(entry.sealed == nil ? 0 : 1))
        if let sealed = entry.sealed { put(sealed) }
    }

    fileprivate mutating func put(_ sealed: SealedSegment) {
        put(sealed.endOffset)
        put(sealed.batchesEnd)
        put(sealed.fileBytes)
        put(sealed.recordCount)
        put(sealed.rawBytes)
        put(sealed.firstAppendTime)
        put(sealed.lastAppendTime)
        put(sealed.minRecordTime)
        put(sealed.maxRecordTime)
        put(UInt64(sealed.footerChecksum))
    }
}

extension ByteReader {
    fileprivate mutating func segmentIDs() throws(WeirError) -> [SegmentID] {
        let count = try count(left / 8)
        var ids: [SegmentID] = []
        for _ in 0..<count { ids.append(try id(SegmentID.self)) }
        return ids
    }

    fileprivate mutating func segmentEntry() throws(WeirError) -> SegmentEntry {
        var entry = SegmentEntry(
            id: try id(SegmentID.self), base: try offset(), epoch: try epoch(),
            generation: try get())
        if try get(UInt32.self) != 0 { entry.sealed = try sealedSegment() }
        return entry
    }

    fileprivate mutating func sealedSegment() throws(WeirError) -> SealedSegment {
        var summary = SegmentSummary(base: .zero)
        summary.endOffset = try offset()
        let batchesEnd = try place()
        let fileBytes: UInt64 = try get()
        summary.recordCount = try get()
        summary.rawBytes = try get()
        summary.firstAppendTime = try time()
        summary.lastAppendTime = try time()
        summary.minRecordTime = try time()
        summary.maxRecordTime = try time()
        return SealedSegment(
            summary: summary, batchesEnd: batchesEnd, fileBytes: fileBytes,
            footerChecksum: UInt32(truncatingIfNeeded: try get(UInt64.self)))
    }

    fileprivate mutating func cleanClose() throws(WeirError) -> CleanClose {
        let epoch = try epoch()
        let hasSegment = try get(UInt64.self) != 0
        let segment = try id(SegmentID.self)
        return CleanClose(
            epoch: epoch, segment: hasSegment ? segment : nil, position: try place(),
            end: try offset(), durableEnd: try offset(), lastAppendTime: try time())
    }
}
