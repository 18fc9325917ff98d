import Weir

/// A report on flow control as lines, for a screen or a pipe. Pure: the same report gives the same
/// lines.
struct FlowPage {
    let report: FlowReport
    /// The one before, for what came in a second.
    let previous: FlowReport?
    let stream: String?
    let store: String
    let width: Int
    /// `nil`: as many lines as it takes.
    let height: Int?

    /// A heading and what stands under it; blocks are shown whole, or counted as left out.
    struct Section {
        var head: [String]
        var blocks: [[String]]
        var foot: [String] = []

        var lineCount: Int { head.count + blocks.reduce(0) { $0 + $1.count } + foot.count }

        func lines(leavingOut count: Int) -> [String] {
            let shown = blocks.prefix(blocks.count - count).flatMap { $0 }
            return head + shown + (count > 0 ? ["  … and \(count) more"] : []) + foot
        }
    }

    var lines: [String] {
        let top = heading
        guard let height else { return top + Self.joined(sections(heatRows: 4)) }
        // The finest picture that fits.
        for heatRows in [FlowHeat.tenths + 1, 4, 0] {
            let whole = top + Self.joined(sections(heatRows: heatRows))
            if whole.count <= height { return whole }
        }
        return Array(
            (top + Self.joined(sections(heatRows: 0), height: height - top.count)).prefix(height))
    }

    private static func joined(_ sections: [Section]) -> [String] {
        sections.flatMap { [""] + $0.lines(leavingOut: 0) }
    }

    /// Leaves blocks out of the longest section, again and again, until the rest fits. The first
    /// is what people look for, and may be twice as long as another.
    private static func joined(_ sections: [Section], height: Int) -> [String] {
        var left = sections.map { _ in 0 }
        func lines(_ index: Int) -> [String] { sections[index].lines(leavingOut: left[index]) }
        while true {
            let counts = sections.indices.map { lines($0).count }
            let total = counts.reduce(0) { $0 + $1 + 1 }
            let weights = counts.indices.map { $0 == 0 ? counts[$0] / 2 : counts[$0] }
            let reducible = sections.indices.filter { sections[$0].blocks.count - left[$0] > 1 }
            guard total > height, let longest = reducible.max(by: { weights[$0] < weights[$1] })
            else { break }
            left[longest] += left[longest] == 0 ? min(2, sections[longest].blocks.count - 1) : 1
        }
        return sections.indices.flatMap { [""] + lines($0) }
    }

    // MARK: parts

    private var heading: [String] {
        let time = Self.time(report.timeMicroseconds)
        let what = stream.map { "stream " + $0 } ?? "all streams"
        let budget = report.budget
        var memory = "budget "
        if budget.totalBytes > 0 {
            memory +=
                "\(Self.bytes(budget.totalBytes))  "
                + FlowBar.draw(
                    [(budget.usedBytes, "█")], of: budget.totalBytes, width: min(20, width / 4))
                + "  "
        }
        memory += "used \(Self.bytes(budget.usedBytes)), set aside "
        memory += "\(Self.bytes(budget.reservedBytes)), \(budget.waiting) waiting"
        let title = "weir flow  \(what)  \(time)  \(Terminal.shown(store, widthMax: 200))"
        return [title, memory, partitions].compactMap { $0 }.map { Terminal.cut($0, to: width) }
    }

    /// Of a partitioned stream: how far behind its readers are in all, and where most.
    private var partitions: String? {
        guard let count = report.partitions else { return nil }
        let read = Set(report.consumers.map(\.stream)).count
        guard let last = report.consumers.max(by: { $0.lagRecords < $1.lagRecords }) else {
            return "\(count) partitions"
        }
        let lag = report.consumers.reduce(0) { $0 + $1.lagRecords }
        let most = "most in \(place(last.stream, nil)): \(Numbers.grouped(last.lagRecords))"
        return "\(count) partitions, \(read) read, \(Numbers.grouped(lag)) records behind in all"
            + (lag > 0 ? ", " + most : "")
    }

    private func sections(heatRows: Int) -> [Section] {
        [consumers(heatRows: heatRows), gates, latencies, signals].compactMap { $0 }
    }

    private func consumers(heatRows: Int) -> Section {
        let all = report.consumers
        guard !all.isEmpty else {
            return Section(
                head: [Terminal.cut("no consumer reads in the writing process", to: width)],
                blocks: [])
        }
        let total = report.budget.totalBytes
        let columns: [FittedTable.Column] = [
            .init(title: "CONSUMER", cells: all.map(name), rank: 0, isText: true),
            .init(title: "MODE", cells: all.map { Terminal.shown($0.mode) }, rank: 4, isText: true),
            .init(
                title: "VARIANT", cells: all.map { Terminal.shown($0.variant) }, rank: 6,
                isText: true),
            .init(title: "LAG", cells: all.map { Numbers.grouped($0.lagRecords) }, rank: 0),
            .init(title: "WINDOW", cells: all.map { Self.bytes($0.windowBytes) }, rank: 3),
            .init(
                title: "FULL", cells: all.map { FlowBar.percent($0.occupied, $0.windowBytes) },
                rank: 2),
            .init(
                title: "SHARE", cells: all.map { FlowBar.percent($0.shareBytes, total) }, rank: 5),
            .init(
                title: "HELD", rank: 3,
                all.map { $0.leaseMicroseconds.map(Self.duration) ?? "-" }),
            .init(title: "WAITS", cells: all.map { $0.isWaiting ? "yes" : "no" }, rank: 1),
        ]
        let bar = FittedTable.Bar(title: "QUEUED | LEASED OF WINDOW") { row, width in
            FlowBar.draw(
                [(all[row].queuedBytes, "▒"), (all[row].leasedBytes, "█")],
                of: all[row].windowBytes, width: width)
        }
        let table = FittedTable.lines(columns, bar: bar, behind: 4, width: width)
        let blocks = zip(all, table.dropFirst()).map { consumer, line in
            [line] + FlowHeat(consumer).lines(rowCount: heatRows, width: width)
        }
        return Section(
            head: [table[0]], blocks: blocks,
            foot: heatRows > 0 ? [FlowHeat.legend(all, width)] : [])
    }

    private var gates: Section? {
        guard !report.gates.isEmpty else { return nil }
        let all = report.gates
        let columns: [FittedTable.Column] = [
            .init(title: "GATE", cells: all.map { place($0.stream, nil) }, rank: 0, isText: true),
            .init(
                title: "", cells: all.map { $0.isOpen ? "open" : "CLOSED" }, rank: 0, isText: true),
            .init(
                title: "BYTES OUT", rank: 2,
                all.map { "\(Self.bytes($0.usedBytes)) of \(Self.bytes($0.limitBytes))" }),
            .init(
                title: "RECORDS OUT", rank: 3,
                all.map { "\(Self.count($0.usedRecords)) of \(Self.count($0.limitRecords))" }),
            .init(title: "APPENDS WAITING", rank: 0, all.map { Numbers.grouped($0.waiting) }),
            .init(
                title: "SLOWEST", cells: all.map { Terminal.shown($0.slowestConsumer ?? "-") },
                rank: 4, isText: true),
            .init(
                title: "LAG OF BOUND", rank: 1,
                all.map { gate in
                    guard let lag = gate.lagRecords else { return "-" }
                    return Numbers.grouped(lag) + " of "
                        + (gate.lagBoundRecords.map(Self.count) ?? "-")
                }),
        ]
        return table(columns)
    }

    private var latencies: Section? {
        guard !report.latencies.isEmpty else { return nil }
        let all = report.latencies
        func times(_ title: String, _ rank: Int, _ value: (FlowReport.Latency) -> Int)
            -> FittedTable.Column
        {
            .init(title: title, rank: rank, all.map { Self.duration(value($0)) })
        }
        return table([
            .init(
                title: "LATENCY", cells: all.map { Terminal.shown($0.what) }, rank: 0,
                isText: true),
            .init(title: "STREAM", cells: all.map { place($0.stream, nil) }, rank: 3, isText: true),
            .init(
                title: "VARIANT", cells: all.map { Terminal.shown($0.variant) }, rank: 6,
                isText: true),
            .init(title: "RECORDS", rank: 5, all.map { Numbers.grouped($0.count) }),
            times("P50", 0) { $0.p50 }, times("P90", 4) { $0.p90 }, times("P99", 0) { $0.p99 },
            times("P99.9", 1) { $0.p999 }, times("P99.99", 2) { $0.p9999 },
            times("MAX", 3) { $0.max },
        ])
    }

    private var signals: Section? {
        let kinds = FlowSignals.byKind(report, previous)
        guard !kinds.isEmpty else { return nil }
        return table([
            .init(title: "SIGNAL", cells: kinds.map(\.kind), rank: 0, isText: true),
            .init(title: "COUNT", rank: 0, kinds.map { Numbers.grouped($0.count) }),
            .init(title: "A SECOND", rank: 1, kinds.map(\.rate)),
            .init(title: "LAST", rank: 2, kinds.map { Self.time($0.lastMicroseconds) }),
            .init(title: "MOSTLY", cells: kinds.map(\.who), rank: 3, isText: true),
        ])
    }

    private func table(_ columns: [FittedTable.Column]) -> Section {
        let lines = FittedTable.lines(columns, width: width)
        return Section(head: [lines[0]], blocks: lines.dropFirst().map { [$0] })
    }

    // MARK: words

    private func name(_ consumer: FlowReport.Consumer) -> String {
        let place = place(consumer.stream, consumer.partition)
        let name = Terminal.shown(consumer.name)
        return stream != nil && consumer.partition == nil ? name : name + " " + place
    }

    private func place(_ stream: String, _ partition: Int?) -> String {
        Terminal.shown(stream) + (partition.map { "[\($0)]" } ?? "")
    }

    static func bytes(_ count: Int) -> String {
        count >= Credit.unlimited.bytes ? "unlimited" : Numbers.bytes(count)
    }

    static func count(_ records: Int) -> String {
        records >= Credit.unlimited.records ? "unlimited" : Numbers.grouped(records)
    }

    /// Of microseconds.
    static func duration(_ microseconds: Int) -> String {
        func rounded(_ value: Double) -> String {
            let tenths = (value * 10).rounded() / 10
            return tenths >= 100 ? "\(Int(tenths.rounded()))" : "\(tenths)"
        }
        return switch microseconds {
        case ..<1000: "\(microseconds) µs"
        case ..<1_000_000: rounded(Double(microseconds) / 1000) + " ms"
        default: rounded(Double(microseconds) / 1_000_000) + " s"
        }
    }

    /// To the second: nobody reads more of it on a screen.
    static func time(_ microseconds: Int64) -> String {
        Timestamp(microseconds: microseconds - microseconds % 1_000_000).description
    }
}

extension FittedTable.Column {
    /// A column of numbers.
    init(title: String, rank: Int, _ cells: [String]) {
        self.init(title: title, cells: cells, rank: rank)
    }
}

extension FlowReport.Consumer {
    var occupied: Int { queuedBytes + leasedBytes }
}
