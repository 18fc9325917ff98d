/// Which looks at a stream are left out when the work at it fails: 1 behind the first failure, then
/// 2, 4 and so on up to 64.
struct LookBackoff: Sendable, Hashable {
    private var failureCount = 0
    private var skipsLeft = 0
    private static let doublingsMax = 6

    /// Asked once at each look.
    mutating func mayLook() -> Bool {
        guard skipsLeft > 0 else { return true }
        skipsLeft -= 1
        return false
    }

    mutating func fail() {
        skipsLeft = 1 << min(failureCount, Self.doublingsMax)
        failureCount += 1
    }
}
