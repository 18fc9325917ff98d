package import WeirBase

/// Typed sections: how headers, footers and batch extensions carry what not every one of them has.
///
///      0      2       4         8
///     | type | flags | length | payload … zeros to a multiple of eight |
///
/// Flag bit 0 is *critical*: a reader that does not know the type must not go on. Unknown sections
/// that are not critical are stepped over.
package struct Section: Sendable, Hashable {
    package static let headByteCount = 8
    package static let critical: UInt16 = 1

    package var type: UInt16
    package var flags: UInt16
    package var payload: ArraySlice<UInt8>

    package init(type: UInt16, flags: UInt16 = 0, payload: [UInt8]) {
        self.type = type
        self.flags = flags
        self.payload = payload[...]
    }

    package func encode(to writer: inout ByteWriter) {
        writer.put(type)
        writer.put(flags)
        writer.put(UInt32(payload.count))
        writer.put(Array(payload))
        writer.pad(to: 8)
    }

    /// Reads all sections. Throws `newerFormat` for an unknown critical one, `damaged` for lengths
    /// that do not fit.
    package static func decodeAll(
        _ bytes: ArraySlice<UInt8>, known: Set<UInt16>, _ what: String
    ) throws(WeirError) -> [Section] {
        var reader = ByteReader(bytes, what)
        var found: [Section] = []
        while !reader.isAtEnd {
            let type: UInt16 = try reader.get()
            let flags: UInt16 = try reader.get()
            let length: UInt32 = try reader.get()
            let payload = try reader.take(Int(length))
            _ = try reader.take(roundedUp(Int(length), to: 8) - Int(length))
            if flags & critical != 0, !known.contains(type) {
                let newest = known.max() ?? 0
                throw WeirError.newerFormat(
                    "The \(what) has a part of type \(type) that must be understood; this version "
                        + "of Weir knows types up to \(newest). Use a newer one.")
            }
            var section = Section(type: type, flags: flags, payload: [])
            section.payload = payload
            found.append(section)
        }
        return found
    }
}

/// A stream's settings as bytes: number, length and value of each; unknown numbers are skipped.
package enum ConfigurationCoding {
    private enum Tag {
        static let durability: UInt16 = 1, compression: UInt16 = 2, visibility: UInt16 = 3
        static let segmentBytes: UInt16 = 4, batchBytesMax: UInt16 = 5, commitAlignment: UInt16 = 6
        static let lingerMicroseconds: UInt16 = 7, partition: UInt16 = 8, keyIndex: UInt16 = 9
        static let indexedHeaders: UInt16 = 10, compaction: UInt16 = 11
        static let retention: UInt16 = 12, quota: UInt16 = 13
    }

    package static func encode(_ configuration: StreamConfiguration) -> [UInt8] {
        var writer = ByteWriter(capacity: 96)
        func field(_ tag: UInt16, _ value: UInt64) {
            writer.put(tag)
            writer.put(UInt16(8))
            writer.put(value)
        }
        let durability: UInt64 =
            switch configuration.durability {
            case .durable: 0
            case .flushed: 1
            case .interval(let milliseconds): UInt64(milliseconds) << 8 | 2
            }
        field(Tag.durability, durability)
        let compression: UInt64 =
            switch configuration.compression {
            case .off: 0
            case .lz4: 1
            case .automatic: 2
            }
        field(Tag.compression, compression)
        if let visibility = configuration.visibility {
            field(Tag.visibility, visibility == .durable ? 0 : 1)
        }
        field(Tag.segmentBytes, UInt64(configuration.segmentBytes))
        field(Tag.batchBytesMax, UInt64(configuration.batchBytesMax))
        field(Tag.commitAlignment, UInt64(configuration.commitAlignment))
        if configuration.lingerMicroseconds > 0 {
            field(Tag.lingerMicroseconds, UInt64(configuration.lingerMicroseconds))
        }
        if let partition = configuration.partition {
            let name = Array(partition.group.description.utf8)
            writer.put(Tag.partition)
            writer.put(UInt16(partitionHeadByteCount + name.count))
            writer.put(UInt32(partition.index))
            writer.put(UInt32(partition.count))
            writer.put(name)
        }
        if !configuration.keyIndex { field(Tag.keyIndex, 0) }
        if !configuration.indexedHeaders.isEmpty {
            let names = configuration.indexedHeaders.map { Array($0.utf8) }
            writer.put(Tag.indexedHeaders)
            writer.put(UInt16(names.reduce(0) { $0 + 2 + $1.count }))
            put(names, to: &writer)
        }
        if let policy = configuration.compaction {
            writer.put(Tag.compaction)
            writer.put(UInt16(24))
            writer.put(UInt64(policy.dirtyPercent))
            writer.put(UInt64(policy.lagSecondsMin))
            writer.put(UInt64(policy.tombstoneSecondsMin))
        }
        if let policy = configuration.retention { put(policy, to: &writer) }
        if let quota = configuration.quota {
            writer.put(Tag.quota)
            writer.put(UInt16(16))
            writer.put(UInt64(quota.bytesMax))
            writer.put(UInt64(quota.policy == .wait ? 0 : 1))
        }
        return writer.bytes
    }

    private static func put(_ policy: RetentionPolicy, to writer: inout ByteWriter) {
        let names = policy.heldBy.map { Array($0.utf8) }
        writer.put(Tag.retention)
        writer.put(UInt16(names.reduce(32) { $0 + 2 + $1.count }))
        // No limit is stored as zero, which none can be.
        for limit in [
            policy.ageSecondsMax, policy.bytesMax, policy.recordsMax, policy.heldBytesMax,
        ] {
            writer.put(UInt64(limit ?? 0))
        }
        put(names, to: &writer)
    }

    private static func put(_ names: [[UInt8]], to writer: inout ByteWriter) {
        for name in names {
            writer.put(UInt16(name.count))
            writer.put(name)
        }
    }

    package static func decode(
        _ bytes: ArraySlice<UInt8>
    ) throws(WeirError) -> StreamConfiguration {
        var reader = ByteReader(bytes, "stream configuration")
        var configuration = StreamConfiguration()
        while !reader.isAtEnd {
            let tag: UInt16 = try reader.get()
            let length: UInt16 = try reader.get()
            var field = ByteReader(try reader.take(Int(length)), "stream configuration")
            if tag == Tag.partition {
                configuration.partition = try partition(&field)
            } else if tag == Tag.indexedHeaders {
                configuration.indexedHeaders = try names(&field)
            } else if tag == Tag.compaction {
                configuration.compaction = CompactionPolicy(
                    dirtyPercent: try field.count(.max), lagSecondsMin: try field.count(.max),
                    tombstoneSecondsMin: try field.count(.max))
            } else if tag == Tag.retention {
                configuration.retention = try retention(&field)
            } else if tag == Tag.quota {
                configuration.quota = try quota(&field)
            } else if length == 8 {
                try apply(tag, try field.get(), to: &configuration)
            }
        }
        do throws(WeirError) {
            try configuration.validate(segmentBytesMin: Limits.segmentBytesMinInTests)
        } catch {
            throw WeirError.damaged("A stream's stored settings do not hold. \(error.message)")
        }
        return configuration
    }

    /// Index and count as u32, and the group's name.
    private static let partitionHeadByteCount = 8

    private static func partition(_ field: inout ByteReader) throws(WeirError) -> Partition {
        let index: UInt32 = try field.get()
        let count: UInt32 = try field.get()
        let name = try field.take(field.left)
        do throws(WeirError) {
            return try Partition(
                of: StreamName(String(decoding: name, as: UTF8.self)), index: Int(index),
                count: Int(count))
        } catch {
            throw WeirError.damaged(
                "What a stream is a partition of does not hold. \(error.message)")
        }
    }

    private static func retention(
        _ field: inout ByteReader
    ) throws(WeirError) -> RetentionPolicy {
        var policy = RetentionPolicy()
        policy.ageSecondsMax = try limit(&field)
        policy.bytesMax = try limit(&field)
        policy.recordsMax = try limit(&field)
        policy.heldBytesMax = try limit(&field)
        policy.heldBy = try names(&field)
        return policy
    }

    private static func quota(_ field: inout ByteReader) throws(WeirError) -> Quota {
        let bytesMax = try field.count(.max)
        switch try field.get(UInt64.self) {
        case 0: return Quota(bytesMax: bytesMax, policy: .wait)
        case 1: return Quota(bytesMax: bytesMax, policy: .failFast)
        case let policy: throw unknown(Tag.quota, policy)
        }
    }

    private static func unknown(_ tag: UInt16, _ value: UInt64) -> WeirError {
        WeirError.newerFormat(
            "The stream's setting \(tag) has the value \(value), which this version does not "
                + "know; use a newer version of Weir.")
    }

    private static func limit(_ field: inout ByteReader) throws(WeirError) -> Int? {
        let value: UInt64 = try field.get()
        return value == 0 ? nil : Int(clamping: value)
    }

    private static func names(_ field: inout ByteReader) throws(WeirError) -> [String] {
        var names: [String] = []
        while !field.isAtEnd {
            let length: UInt16 = try field.get()
            names.append(String(decoding: try field.take(Int(length)), as: UTF8.self))
        }
        return names
    }

    private static func apply(
        _ tag: UInt16, _ value: UInt64, to configuration: inout StreamConfiguration
    ) throws(WeirError) {
        switch (tag, value) {
        case (Tag.durability, 0): configuration.durability = .durable
        case (Tag.durability, 1): configuration.durability = .flushed
        case (Tag.durability, _) where value & 0xFF == 2 && value >> 8 <= UInt64(UInt32.max):
            configuration.durability = .interval(milliseconds: UInt32(value >> 8))
        case (Tag.compression, 0): configuration.compression = .off
        case (Tag.compression, 1): configuration.compression = .lz4
        case (Tag.compression, 2): configuration.compression = .automatic
        case (Tag.visibility, 0): configuration.visibility = .durable
        case (Tag.visibility, 1): configuration.visibility = .flushed
        case (Tag.segmentBytes, _): configuration.segmentBytes = Int(clamping: value)
        case (Tag.batchBytesMax, _): configuration.batchBytesMax = Int(clamping: value)
        case (Tag.commitAlignment, _): configuration.commitAlignment = Int(clamping: value)
        case (Tag.lingerMicroseconds, _): configuration.lingerMicroseconds = Int(clamping: value)
        case (Tag.keyIndex, _): configuration.keyIndex = value != 0
        case (Tag.durability, _), (Tag.compression, _), (Tag.visibility, _):
            throw unknown(tag, value)
        default: break
        }
    }
}
