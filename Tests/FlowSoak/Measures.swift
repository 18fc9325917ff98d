import Foundation

/// The clock that nobody sets.
func nanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// Memory of the process's own, mapped files left out.
func ownMemoryKiB() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon") }),
        let number = line.split(whereSeparator: \.isWhitespace).dropFirst().first,
        let kibibytes = Int(number)
    else { throw Usage("/proc/self/status does not tell RssAnon; run this on Linux.") }
    return kibibytes
}

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard let last = sorted.last else { return .nan }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1
        ? sorted[middle] : (sorted[middle - 1] + min(last, sorted[middle])) / 2
}

/// Samples in nanoseconds, told in microseconds.
struct Percentiles {
    private let sorted: [Int64]

    init(_ samples: [Int64]) { sorted = samples.sorted() }

    var count: Int { sorted.count }

    /// By nearest rank: so many percent of the samples are not above it.
    func microseconds(_ percent: Double) -> Double {
        guard let last = sorted.last else { return .nan }
        let rank = Int((percent / 100 * Double(sorted.count)).rounded(.up))
        return Double(rank >= sorted.count ? last : sorted[max(0, rank - 1)]) / 1000
    }
}

/// Runs what blocks on a thread of its own, never in a task.
func onThread<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
    }
}
