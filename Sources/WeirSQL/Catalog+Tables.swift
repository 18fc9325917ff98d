import Weir
import WeirBase

/// The tables over the streams themselves. `Docs/SQL.md` promises them.
extension Catalog {
    static let all = [streams, segments, blocks, cursors, producers, index]

    static let streams = Catalog(
        name: "weir_streams",
        columns: [
            ("name", "TEXT"), ("table_name", "TEXT"), ("id", "TEXT"), ("system", "INTEGER"),
            ("first_offset", "INTEGER"), ("end_offset", "INTEGER"), ("flushed_end", "INTEGER"),
            ("durable_end", "INTEGER"), ("records", "INTEGER"), ("segments", "INTEGER"),
            ("bytes", "INTEGER"), ("allocated_bytes", "INTEGER"), ("raw_bytes", "INTEGER"),
            ("first_time", "TEXT"), ("first_time_us", "INTEGER"), ("last_time", "TEXT"),
            ("last_time_us", "INTEGER"), ("durability", "TEXT"), ("sync_interval_ms", "INTEGER"),
            ("visibility", "TEXT"), ("compression", "TEXT"), ("segment_bytes_max", "INTEGER"),
            ("batch_bytes_max", "INTEGER"), ("commit_alignment", "INTEGER"),
            ("linger_us", "INTEGER"), ("key_index", "INTEGER"), ("partition_group", "TEXT"),
            ("partition", "INTEGER"), ("partitions", "INTEGER"), ("indexed_headers", "TEXT"),
        ],
        parts: byStream { source, stream in
            let info = try stream.info()
            let table = source.tableNames[stream.name]
            return Step(rows: [
                [
                    .string(info.name), .string(table), .string(info.id),
                    .flag(stream.name.isSystem), .integer(info.firstOffset.value),
                    .integer(info.endOffset.value), .integer(info.flushedEnd.value),
                    .integer(info.durableEnd.value), .integer(info.recordCount),
                    .integer(info.segments.count), .integer(info.logicalBytes),
                    .integer(info.allocatedBytes), .integer(info.rawBytes),
                ] + SQLValue.times(info.segments.compactMap(\.firstTime).min())
                    + SQLValue.times(info.segments.compactMap(\.lastTime).max())
                    + values(of: info.configuration)
            ])
        })

    private static func values(of configuration: StreamConfiguration) -> Row {
        let (durability, interval): (String, UInt32?) =
            switch configuration.durability {
            case .durable: ("durable", nil)
            case .flushed: ("flushed", nil)
            case .interval(let milliseconds): ("interval", milliseconds)
            }
        let partition = configuration.partition
        return [
            .string(durability), .integer(interval.map { Int($0) }),
            .string(configuration.effectiveVisibility.rawValue),
            .string(configuration.compression.rawValue), .integer(configuration.segmentBytes),
            .integer(configuration.batchBytesMax), .integer(configuration.commitAlignment),
            .integer(configuration.lingerMicroseconds), .flag(configuration.keyIndex),
            .string(partition?.group.description), .integer(partition?.index),
            .integer(partition?.count), .text(list(configuration.indexedHeaders)),
        ]
    }

    /// As JSON.
    private static func list(_ names: [String]) -> [UInt8] {
        var out = [UInt8(ascii: "[")]
        for (index, name) in names.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            JSONText.append(name, to: &out)
        }
        return out + [UInt8(ascii: "]")]
    }

    static let segments = Catalog(
        name: "weir_segments",
        columns: [
            ("stream", "TEXT"), ("segment", "TEXT"), ("state", "TEXT"),
            ("first_offset", "INTEGER"), ("end_offset", "INTEGER"), ("records", "INTEGER"),
            ("bytes", "INTEGER"), ("allocated_bytes", "INTEGER"), ("raw_bytes", "INTEGER"),
            ("first_time", "TEXT"), ("first_time_us", "INTEGER"), ("last_time", "TEXT"),
            ("last_time_us", "INTEGER"), ("file", "TEXT"),
        ],
        parts: byStream { _, stream in
            let rows: [Row] = try stream.info().segments.map { segment in
                let state = segment.isMissing ? "missing" : segment.isSealed ? "sealed" : "active"
                return [
                    .string(stream.name.description), .string(segment.id), .string(state),
                    .integer(segment.base.value), .integer(segment.endOffset.value),
                    .integer(segment.recordCount), .integer(segment.logicalBytes),
                    .integer(segment.allocatedBytes), .integer(segment.rawBytes),
                ] + SQLValue.times(segment.firstTime) + SQLValue.times(segment.lastTime)
                    + [.string(segment.path)]
            }
            return Step(rows: rows)
        })

    static let blocks = Catalog(
        name: "weir_blocks",
        columns: [
            ("stream", "TEXT"), ("segment", "TEXT"), ("first_offset", "INTEGER"),
            ("append_time", "TEXT"), ("append_time_us", "INTEGER"), ("last_time_before", "TEXT"),
            ("last_time_before_us", "INTEGER"), ("position", "INTEGER"),
        ],
        parts: byStream { _, stream in
            Step(parts: try stream.info().segments.map { part(of: stream, blocksIn: $0.id) })
        })

    private static func part(of stream: LogStream, blocksIn segment: String) -> Part {
        {
            let rows: [Row] = try stream.blocks(ofSegment: segment).map { block in
                [
                    .string(stream.name.description), .string(segment),
                    .integer(block.firstOffset.value),
                ] + SQLValue.times(block.appendTime) + SQLValue.times(block.lastTimeBefore)
                    + [.integer(block.position)]
            }
            return Step(rows: rows)
        }
    }

    static let cursors = Catalog(
        name: "weir_cursors",
        columns: [
            ("stream", "TEXT"), ("name", "TEXT"), ("offset", "INTEGER"), ("epoch", "INTEGER"),
            ("committed", "TEXT"), ("committed_us", "INTEGER"), ("lag_records", "INTEGER"),
            ("lag_bytes", "INTEGER"), ("lag_us", "INTEGER"), ("lost_offset", "INTEGER"),
            ("problem", "TEXT"),
        ],
        parts: byStream { source, stream in
            let cursors = try source.store.cursorsBlocking(of: stream.name.description)
            let rows: [Row] = cursors.map { cursor in
                let committed = cursor.committedMicroseconds.map { Timestamp(microseconds: $0) }
                return [
                    .string(cursor.stream), .string(cursor.name), .integer(cursor.offset),
                    .integer(cursor.epoch),
                ] + SQLValue.times(committed) + [
                    .integer(cursor.lagRecords), .integer(cursor.lagBytes),
                    .integer(cursor.lagMicroseconds.map { Int($0) }),
                    .integer(cursor.lostOffset), .string(cursor.problem),
                ]
            }
            return Step(rows: rows)
        })

    static let producers = Catalog(
        name: "weir_producers",
        columns: [
            ("stream", "TEXT"), ("name", "TEXT"), ("publishing_id", "INTEGER"),
            ("offset", "INTEGER"),
        ],
        parts: byStream { _, stream in
            let rows: [Row] = try stream.producers().map { producer in
                [
                    .string(stream.name.description), .string(producer.name),
                    .integer(producer.publishingID), .integer(producer.offset.value),
                ]
            }
            return Step(rows: rows)
        })

    static let index = Catalog(
        name: "weir_index",
        columns: [
            ("stream", "TEXT"), ("first_offset", "INTEGER"), ("end_offset", "INTEGER"),
            ("lag_records", "INTEGER"), ("generation", "INTEGER"), ("trouble", "TEXT"),
        ],
        parts: { source, names in
            let wanted = Set(names)
            return [
                {
                    let report = source.store.indexReport()
                    let rows: [Row] = report.streams.filter { wanted.contains($0.name) }.map {
                        stream in
                        [
                            .string(stream.name.description),
                            .integer(stream.covered.lowerBound.value),
                            .integer(stream.covered.upperBound.value), .integer(stream.lag),
                            .integer(report.generation), .string(report.trouble),
                        ]
                    }
                    return Step(rows: rows)
                }
            ]
        })
}
