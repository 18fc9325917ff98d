/// Columns that line up and fit a width: those that matter least go first, and a bar, if there is
/// one, takes what is left over.
struct FittedTable {
    struct Column {
        let title: String
        let cells: [String]
        /// 0 always stays; of the others the highest goes first.
        let rank: Int
        var isText = false

        var width: Int { cells.reduce(title.count) { max($0, $1.count) } }

        func padded(_ text: String) -> String {
            let gap = String(repeating: " ", count: max(0, width - text.count))
            return isText ? text + gap : gap + text
        }
    }

    /// Drawn in as many characters as there is room for.
    struct Bar {
        let title: String
        /// Of a row, so many characters wide.
        let draw: (_ row: Int, _ width: Int) -> String
    }

    private static let gap = "  "
    private static let barWidths = 10...40

    /// The heading and a line for each row; the bar stands behind the column of that number.
    static func lines(
        _ columns: [Column], bar: Bar? = nil, behind place: Int = 0, width: Int
    ) -> [String] {
        // Behind each column before a bar stands a gap; behind the last of all, none.
        let room = bar == nil ? width + gap.count : width - barWidths.lowerBound
        let kept = fitting(columns, width: room)
        let taken = kept.reduce(0) { $0 + $1.width + gap.count }
        let barWidth = min(barWidths.upperBound, max(barWidths.lowerBound, width - taken))
        // Where columns before it went, the bar moves up with the rest.
        let barIndex = columns.prefix(place + 1).filter { column in
            kept.contains { $0.title == column.title }
        }.count
        func line(_ cell: (Column) -> String, _ drawn: (Int) -> String) -> String {
            var parts = kept.map { $0.padded(cell($0)) }
            if bar != nil { parts.insert(drawn(barWidth), at: barIndex) }
            return Terminal.cut(parts.joined(separator: gap), to: width)
        }
        let head = line(
            { $0.title },
            { width in
                let title = String((bar?.title ?? "").prefix(width))
                return title + String(repeating: " ", count: width - title.count)
            })
        let rows = (columns.first?.cells.indices ?? 0..<0).map { row in
            line({ $0.cells[row] }, { bar?.draw(row, $0) ?? "" })
        }
        return [head] + rows
    }

    private static func fitting(_ columns: [Column], width: Int) -> [Column] {
        var kept = columns
        while kept.reduce(0, { $0 + $1.width + gap.count }) > width {
            guard let worst = kept.map(\.rank).max(), worst > 0,
                let index = kept.lastIndex(where: { $0.rank == worst })
            else { break }
            kept.remove(at: index)
        }
        return kept
    }
}
