import Foundation
import Weir

/// The rows of `weir ls`: streams that stand alone, and partitioned ones folded.
struct StreamList {
    private enum Row {
        case single(StreamInfo)
        case group(PartitionedStreamEntry, [StreamInfo])

        var name: String {
            switch self {
            case .single(let info): info.name
            case .group(let entry, _): entry.name.description
            }
        }
    }
    private let rows: [Row]
    private let hasGroups: Bool

    init(_ infos: [StreamInfo], groups: [PartitionedStreamEntry]) {
        var byName: [String: StreamInfo] = [:]
        for info in infos { byName[info.name] = info }
        var rows: [Row] = []
        for group in groups {
            let members = group.partitions.compactMap { byName.removeValue(forKey: "\($0)") }
            rows.append(.group(group, members))
        }
        rows += byName.values.map { .single($0) }
        self.rows = rows.sorted { $0.name < $1.name }
        hasGroups = !groups.isEmpty
    }

    /// Stores without a partitioned stream have no column for it.
    var text: String {
        var head = ["stream", "records", "first", "end", "segments", "bytes"]
        if hasGroups { head.insert("partitions", at: 1) }
        var table = Table(head)
        for row in rows {
            var cells: [String]
            switch row {
            case .single(let info):
                cells = [
                    info.name, Numbers.grouped(info.recordCount), "\(info.firstOffset)",
                    "\(info.endOffset)", "\(info.segments.count)",
                    Numbers.bytes(info.logicalBytes),
                ]
                if hasGroups { cells.insert("-", at: 1) }
            case .group(let entry, let infos):
                cells = [
                    "\(entry.name)", entry.countText, Numbers.grouped(sum(infos, \.recordCount)),
                    "-", "-", "\(sum(infos, \.segments.count))",
                    Numbers.bytes(sum(infos, \.logicalBytes)),
                ]
            }
            table.add(cells)
        }
        return table.text
    }

    var report: JSONReport {
        .list(
            rows.map { row in
                switch row {
                case .single(let info): return info.report(withSegments: false)
                case .group(let entry, let infos):
                    return .object([
                        ("stream", .text("\(entry.name)")),
                        ("partitions", .number(entry.partitionCount)),
                        ("missing", .number(entry.partitionCount - entry.partitions.count)),
                        ("records", .number(sum(infos, \.recordCount))),
                        ("logicalBytes", .number(sum(infos, \.logicalBytes))),
                        ("allocatedBytes", .number(sum(infos, \.allocatedBytes))),
                    ])
                }
            })
    }

    private func sum(_ infos: [StreamInfo], _ figure: (StreamInfo) -> Int) -> Int {
        infos.reduce(0) { $0 + figure($1) }
    }
}

extension PartitionedStreamEntry {
    fileprivate var countText: String {
        isWhole ? "\(partitionCount)" : "\(partitions.count) of \(partitionCount)"
    }
}

extension PartitionReport {
    var text: String {
        var lines = "stream    \(name), partitioned\n"
        lines += "records   \(Numbers.grouped(records)) in \(rows.count) partitions\n"
        lines += "bytes     \(Numbers.bytes(bytes)) logical\n"
        if let hottest, records > 0 {
            lines +=
                "hottest   \(hottest.stream) with \(percent(share(hottest))) of the records; even "
                + "shares are \(percent(1 / Double(rows.count)))\n"
        }
        var table = Table(["partition", "records", "share", "first", "end", "segments", "bytes"])
        for row in rows {
            table.add([
                row.stream, Numbers.grouped(row.records), percent(share(row)),
                "\(row.firstOffset)", "\(row.endOffset)", "\(row.segments)",
                Numbers.bytes(row.bytes),
            ])
        }
        return lines + table.text
    }

    private func percent(_ share: Double) -> String { String(format: "%.1f %%", share * 100) }

    var report: JSONReport {
        .object([
            ("stream", .text(name)), ("records", .number(records)), ("bytes", .number(bytes)),
            ("hottest", hottest.map { .text($0.stream) } ?? .null),
            (
                "partitions",
                .list(
                    rows.map { row in
                        .object([
                            ("partition", .number(row.partition)), ("stream", .text(row.stream)),
                            ("first", .number(Int(clamping: row.firstOffset.value))),
                            ("end", .number(Int(clamping: row.endOffset.value))),
                            ("records", .number(row.records)), ("bytes", .number(row.bytes)),
                            ("segments", .number(row.segments)),
                        ])
                    })
            ),
        ])
    }
}
