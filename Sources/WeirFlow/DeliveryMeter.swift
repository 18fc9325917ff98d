import WeirBase

/// How much was delivered, in all and a second, over the last ten seconds.
package struct DeliveryMeter: Sendable {
    private static let spanSeconds: Int64 = 10

    package private(set) var records = 0
    package private(set) var bytes = 0
    private let start: Moment
    /// Records of each of the last seconds, by their number modulo how many there are.
    private var recent: [(second: Int64, records: Int)]

    package init(start: Moment) {
        self.start = start
        recent = Array(repeating: (-1, 0), count: Int(Self.spanSeconds))
    }

    package mutating func note(records: Int, bytes: Int, at now: Moment) {
        self.records += records
        self.bytes += bytes
        let second = max(0, (now - start) / 1_000_000_000)
        let place = Int(second % Self.spanSeconds)
        if recent[place].second != second { recent[place] = (second, 0) }
        recent[place].records += records
    }

    /// Of the whole seconds that have passed, ten at most, and the one that runs.
    package func recordsPerSecond(at now: Moment) -> Double {
        let second = max(0, (now - start) / 1_000_000_000)
        let sum = recent.reduce(0) {
            second - $1.second < Self.spanSeconds ? $0 + $1.records : $0
        }
        let passed = Double(max(1, now - start)) / 1e9
        return Double(sum) / min(max(passed, 1), Double(Self.spanSeconds))
    }
}
