import WeirBase

/// What a consumer did since the last step of its window, and what is known of it from all steps.
///
/// A batch of `b` bytes is held for a time of mean `b × m` and variance `b × v`: then a window of
/// `w` bytes takes `w × m` on average, with a deviation of `√(w × v)`, however large batches are.
struct WindowMeter: Sendable {
    /// A step's weight in what is known: eight steps, 64 batches or more, are what it remembers.
    private static let stepWeight = 1.0 / 8
    /// A step this many deviations slower than known is no chance. The second in a row is no pause
    /// either: the consumer has become slower.
    private static let slowerDeviations = 4.0
    private static let slowerSteps = 2
    /// A step whose largest batch is smaller lowers what is known of it by one part in sixteen.
    private static let largestDecay = 16

    // Since the last step.
    private(set) var releases = 0
    private(set) var starvedNanoseconds: Int64 = 0
    private(set) var waitingBytesMax = 0
    private var released = Credit.zero
    private var lateRecords = 0
    private var largestNow = Credit.zero
    private var leaseNanoseconds = 0.0
    private var squares = 0.0

    // From all steps.
    private(set) var largest = Credit.zero
    private(set) var recordBytes = 0.0
    private(set) var nanosecondsPerByte = 0.0
    private(set) var variancePerByte = 0.0
    private var isFirst = true
    private var slowSteps = 0

    /// The share of the released records that were late.
    var lateShare: Double {
        released.records > 0 ? Double(lateRecords) / Double(released.records) : 0
    }
    var hasEvents: Bool { releases > 0 || starvedNanoseconds > 0 }

    mutating func starved(nanoseconds: Int64) { starvedNanoseconds += max(0, nanoseconds) }

    mutating func queued(bytes: Int) { waitingBytesMax = max(waitingBytesMax, bytes) }

    mutating func released(_ size: Credit, leaseNanoseconds lease: Double, isLate: Bool) {
        releases += 1
        released += size
        if isLate { lateRecords += size.records }
        largestNow.bytes = max(largestNow.bytes, size.bytes)
        largestNow.records = max(largestNow.records, size.records)
        let bytes = Double(max(size.bytes, 1))
        let surprise = lease - bytes * nanosecondsPerByte
        leaseNanoseconds += lease
        squares += surprise * surprise / bytes
    }

    /// Adds the step to what is known, and starts the next.
    mutating func endStep() {
        if released.bytes > 0 { learn(bytes: Double(released.bytes)) }
        largest.bytes = max(largestNow.bytes, largest.bytes - largest.bytes / Self.largestDecay)
        largest.records = max(
            largestNow.records, largest.records - largest.records / Self.largestDecay)
        releases = 0
        starvedNanoseconds = 0
        waitingBytesMax = 0
        released = .zero
        lateRecords = 0
        largestNow = .zero
        leaseNanoseconds = 0
        squares = 0
    }

    private mutating func learn(bytes: Double) {
        let mean = leaseNanoseconds / bytes
        // Surprises were counted from the mean as it was known; the first step knew none.
        let square = squares / Double(releases)
        let variance = isFirst ? spread(around: mean, bytes: bytes) : square
        let size = bytes / Double(max(released.records, 1))
        let deviation = (variancePerByte / bytes).squareRoot()
        let isSlow = mean > nanosecondsPerByte + Self.slowerDeviations * deviation
        slowSteps = isSlow ? slowSteps + 1 : 0
        if isFirst || slowSteps >= Self.slowerSteps {
            nanosecondsPerByte = mean
        } else {
            nanosecondsPerByte += (mean - nanosecondsPerByte) * Self.stepWeight
        }
        variancePerByte += (variance - variancePerByte) * (isFirst ? 1 : Self.stepWeight)
        recordBytes += (size - recordBytes) * (isFirst ? 1 : Self.stepWeight)
        isFirst = false
    }

    /// Σ (lease − b·m)² / b from the sums that were taken with m = 0.
    private func spread(around mean: Double, bytes: Double) -> Double {
        max(0, squares - mean * mean * bytes) / Double(releases)
    }
}
