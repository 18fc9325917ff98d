/// How full a window was, over time: milliseconds at each tenth, a row for each stretch of time.
///
/// Noted when the occupancy changes, so it needs no clock of its own and costs nothing while
/// nothing happens; the time between two notes counts for the first one's level.
package struct OccupancyRing: Sendable {
    /// Empty, up to each tenth, full, and more than full.
    package static let levelCount = 12
    private let rowNanoseconds: Int64
    private let rowCountMax: Int
    private var rows: [[Int64]] = []
    /// The number of the newest row, counted from the start.
    private var newest: Int64 = 0
    private var level = 0
    private var since: Moment

    package init(
        start: Moment, rowNanoseconds: Int64 = 1_000_000_000, rowCountMax: Int = 60
    ) {
        self.since = start
        self.rowNanoseconds = rowNanoseconds
        self.rowCountMax = rowCountMax
        self.newest = start.nanoseconds / rowNanoseconds
    }

    package var rowMilliseconds: Int { Int(rowNanoseconds / 1_000_000) }

    /// From now on, so much of the window is out.
    package mutating func note(_ occupied: Int, of window: Int, at now: Moment) {
        account(until: now)
        level = Self.level(occupied, of: window)
    }

    private static func level(_ occupied: Int, of window: Int) -> Int {
        if occupied <= 0 { return 0 }
        if occupied > window { return levelCount - 1 }
        // 1 to 10: the tenth that it lies in.
        return 1 + min(9, Int(Double(occupied) / Double(window) * 10))
    }

    private mutating func account(until now: Moment) {
        // Beyond the ring's length nothing is kept anyway.
        let length = rowNanoseconds * Int64(rowCountMax)
        if now - since > length { since = Moment(nanoseconds: now.nanoseconds - length) }
        while since < now {
            let row = since.nanoseconds / rowNanoseconds
            let end = min(now.nanoseconds, (row + 1) * rowNanoseconds)
            open(row)
            rows[rows.count - 1][level] += end - since.nanoseconds
            since = Moment(nanoseconds: end)
        }
    }

    private mutating func open(_ row: Int64) {
        if rows.isEmpty { newest = row - 1 }
        if row - newest > Int64(rowCountMax) {
            rows = []
            newest = row - 1
        }
        while newest < row {
            rows.append([Int64](repeating: 0, count: Self.levelCount))
            newest += 1
        }
        if rows.count > rowCountMax { rows.removeFirst(rows.count - rowCountMax) }
    }

    /// The rows up to now, oldest first, in milliseconds.
    package func rows(at now: Moment) -> [[Int]] {
        var copy = self
        copy.account(until: now)
        return copy.rows.map { $0.map { Int($0 / 1_000_000) } }
    }
}
