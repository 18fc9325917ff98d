/// Which looks are left out while they are in vain: 1 behind the first failure, then 2, 4 and so
/// on, up to a bound.
struct LookBackoff: Sendable, Hashable {
    let skippedMax: Int
    private var failureCount = 0
    private var skipsLeft = 0

    /// Of 64 looks at a stream whose compaction fails one is made, in the end.
    init(skippedMax: Int = 64) { self.skippedMax = skippedMax }

    /// Asked once at each look.
    mutating func mayLook() -> Bool {
        guard skipsLeft > 0 else { return true }
        skipsLeft -= 1
        return false
    }

    mutating func fail() {
        skipsLeft = min(1 << min(failureCount, 62), skippedMax)
        failureCount += 1
    }
}
