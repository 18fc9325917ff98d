/// How long to wait before trying again: doubling, capped, and jittered, so that many who failed at
/// the same moment do not come back at the same moment.
///
/// "Full jitter": uniformly between nothing and the doubled time (M. Brooker, "Exponential Backoff
/// And Jitter", 2015).
package struct Backoff: Sendable {
    package let firstNanoseconds: Int64
    package let capNanoseconds: Int64
    package private(set) var attempts = 0

    package init(firstNanoseconds: Int64, capNanoseconds: Int64) {
        self.firstNanoseconds = max(1, firstNanoseconds)
        self.capNanoseconds = max(self.firstNanoseconds, capNanoseconds)
    }

    /// The next wait; `random` is uniform over 64 bits.
    package mutating func next(random: UInt64) -> Int64 {
        let doublings = min(attempts, 62)
        attempts += 1
        let (grown, overflow) = firstNanoseconds.multipliedReportingOverflow(by: 1 << doublings)
        let limit = overflow ? capNanoseconds : min(grown, capNanoseconds)
        return Int64(random % UInt64(limit)) + 1
    }

    /// It worked: the next failure is a first one.
    package mutating func reset() { attempts = 0 }
}
