/// How long a stream keeps its records. What no limit lets go stays for ever.
///
/// Whole segments go, the oldest first, and never the one that is written to: a stream keeps at
/// least what its limits say, and up to a segment more.
public struct RetentionPolicy: Sendable, Hashable {
    /// Records go once they were appended so many seconds ago: 1 to 3,155,760,000 (100 years).
    public var ageSecondsMax: Int?
    /// Records go once the stream holds so many bytes behind them.
    public var bytesMax: Int?
    /// Records go once so many offsets lie behind them.
    public var recordsMax: Int?
    /// Cursors of consumers for whom records are held back until they have committed them. A name
    /// that has not committed yet holds back everything.
    public var heldBy: [String]
    /// Bytes up to which they hold records back; beyond it, records go all the same, with an alarm.
    /// 64 GiB by default. `nil`: without a bound, so that a consumer that has died may fill the
    /// disk.
    public var heldBytesMax: Int?

    public init(
        ageSecondsMax: Int? = nil, bytesMax: Int? = nil, recordsMax: Int? = nil,
        heldBy: [String] = [], heldBytesMax: Int? = Limits.retentionHeldBytesDefault
    ) {
        self.ageSecondsMax = ageSecondsMax
        self.bytesMax = bytesMax
        self.recordsMax = recordsMax
        self.heldBy = heldBy
        self.heldBytesMax = heldBytesMax
    }

    func validate() throws(WeirError) {
        for (what, value, limit) in [
            ("age of retention", ageSecondsMax, Limits.upkeepSecondsMax),
            ("size of retention", bytesMax, Limits.retentionMax),
            ("number of records of retention", recordsMax, Limits.retentionMax),
            ("size that cursors hold back", heldBytesMax, Limits.retentionMax),
        ] {
            guard let value else { continue }
            try StreamConfiguration.expect(
                (1...limit).contains(value), what, value, "1 to \(limit)")
        }
        try StreamConfiguration.expect(
            heldBy.count <= Limits.retentionCursorsMax, "number of cursors that hold back",
            heldBy.count, "at most \(Limits.retentionCursorsMax)")
        for name in heldBy {
            try StreamConfiguration.expect(
                (1...128).contains(name.utf8.count), "name of a cursor that holds back",
                name.utf8.count, "1 to 128 bytes")
        }
    }

    /// For settings that somebody makes. Stored ones are read and copied without it: a store that
    /// was given such names before they were refused is to open all the same.
    ///
    /// Throws `invalidArgument` for a name that no cursor can have, which would hold back for ever,
    /// and for one that is there twice.
    package func validateNames() throws(WeirError) {
        for (index, name) in heldBy.enumerated() {
            let name = try StreamName(name, what: "cursor").description
            guard !heldBy[..<index].contains(name) else {
                throw WeirError(
                    .invalidArgument,
                    "The cursor \(name) is to hold back retention twice; name each cursor once.")
            }
        }
    }
}
