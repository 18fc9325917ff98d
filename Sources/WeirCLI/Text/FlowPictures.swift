import Weir

/// A bar whose parts add up to some of a whole.
enum FlowBar {
    /// `▒▒▒████···`: each part in its own mark. A part that is not zero has a character at least;
    /// what goes beyond the whole is cut.
    static func draw(_ parts: [(amount: Int, mark: Character)], of whole: Int, width: Int) -> String
    {
        var text = ""
        for part in parts where part.amount > 0 {
            let share = whole > 0 ? Double(part.amount) / Double(whole) : 1
            let cells = max(1, Int((min(share, 1) * Double(width)).rounded()))
            text += String(repeating: part.mark, count: min(cells, max(0, width - text.count)))
        }
        return text + String(repeating: "·", count: max(0, width - text.count))
    }

    static func percent(_ part: Int, _ whole: Int) -> String {
        guard whole > 0 else { return "-" }
        return "\(Int((Double(part) / Double(whole) * 100).rounded())) %"
    }
}

/// Time × occupancy, darker where more of the time was spent.
struct FlowHeat {
    static let tenths = 10
    private static let shades: [Character] = ["░", "▒", "▓", "█"]
    private static let labelWidth = 12
    private let columns: [[Int]]

    init(_ consumer: FlowReport.Consumer) { columns = consumer.occupancy }

    /// From the fullest down; nothing where nothing was counted, or no room is given.
    func lines(rowCount: Int, width: Int) -> [String] {
        let levels = columns.map(\.count).max() ?? 0
        let room = width - Self.labelWidth
        guard rowCount > 1, levels > 2, room > 0 else { return [] }
        let shown = columns.suffix(room)
        return Self.bands(levels: levels, rowCount: rowCount).reversed().map { band, label in
            let gap = String(repeating: " ", count: max(0, Self.labelWidth - 1 - label.count))
            let cells = shown.map { Self.shade($0, band) }
            return gap + label + "▏" + String(cells)
        }
    }

    /// The levels that each row stands for, from below. The first level is empty, and has no row;
    /// the last is what is over the window.
    private static func bands(levels: Int, rowCount: Int) -> [(Range<Int>, String)] {
        let within = levels - 2
        let rows = min(rowCount - 1, within)
        let inside = (0..<rows).map { row -> (Range<Int>, String) in
            let range = (row * within / rows)..<((row + 1) * within / rows)
            let (low, high) = (range.lowerBound * 100 / within, range.upperBound * 100 / within)
            return ((range.lowerBound + 1)..<(range.upperBound + 1), "\(low)–\(high) %")
        }
        return inside + [((levels - 1)..<levels, "over")]
    }

    private static func shade(_ stretch: [Int], _ band: Range<Int>) -> Character {
        let total = stretch.reduce(0, +)
        let part = band.reduce(0) { $0 + ($1 < stretch.count ? stretch[$1] : 0) }
        guard part > 0, total > 0 else { return " " }
        return shades[min(shades.count - 1, part * shades.count / total)]
    }

    static func legend(_ consumers: [FlowReport.Consumer], _ width: Int) -> String {
        let milliseconds = consumers.map(\.occupancyMilliseconds).max() ?? 0
        let stretch = milliseconds > 0 ? ", \(FlowPage.duration(milliseconds * 1000)) a column" : ""
        return Terminal.cut(
            "  how full the window was, over time\(stretch): ░▒▓█ the more of it, the darker",
            to: width)
    }
}

/// Signals of a report, counted together by their kind.
enum FlowSignals {
    struct Kind {
        let kind: String
        let count: Int
        /// Since the report before.
        let rate: String
        let lastMicroseconds: Int64
        /// The two who had the most of it.
        let who: String
    }

    static func byKind(_ report: FlowReport, _ previous: FlowReport?) -> [Kind] {
        let before = previous.map { counts($0.signals) }
        let seconds = previous.map {
            Double(report.timeMicroseconds - $0.timeMicroseconds) / 1_000_000
        }
        let groups = Dictionary(grouping: report.signals, by: \.kind)
        return groups.map { kind, lines in
            let count = lines.reduce(0) { $0 + $1.count }
            return Kind(
                kind: Terminal.shown(kind), count: count,
                rate: rate(count - (before?[kind] ?? 0), seconds),
                lastMicroseconds: lines.map(\.lastMicroseconds).max() ?? 0,
                who: lines.sorted { $0.count > $1.count }.prefix(2).map(name).joined(
                    separator: ", "))
        }.sorted { $0.count == $1.count ? $0.kind < $1.kind : $0.count > $1.count }
    }

    private static func counts(_ lines: [FlowReport.SignalLine]) -> [String: Int] {
        lines.reduce(into: [:]) { $0[$1.kind, default: 0] += $1.count }
    }

    private static func rate(_ count: Int, _ seconds: Double?) -> String {
        guard let seconds, seconds > 0 else { return "-" }
        let tenths = (Double(count) / seconds * 10).rounded() / 10
        return tenths >= 100 ? Numbers.grouped(Int(tenths.rounded())) : "\(tenths)"
    }

    private static func name(_ line: FlowReport.SignalLine) -> String {
        let place = Terminal.shown(line.stream) + (line.partition.map { "[\($0)]" } ?? "")
        let who = line.consumer.isEmpty ? place : Terminal.shown(line.consumer) + " " + place
        return who + " " + Numbers.grouped(line.count)
    }
}
