import Foundation

/// Keeps a thread to a schedule that was fixed beforehand: who comes late does not move it.
struct Pacer: Sendable {
    /// When the schedule begins, and how far its steps lie apart; a fraction, so that no rounding
    /// adds up.
    let start: Int64
    let stepNanoseconds: Double

    /// When a step is due.
    func due(_ step: Int) -> Int64 { start + Int64(Double(step) * stepNanoseconds) }

    /// How many steps are due by a moment.
    func stepsDue(by moment: Int64) -> Int {
        moment < start ? 0 : Int(Double(moment - start) / stepNanoseconds) + 1
    }

    /// Waits until a moment; at once if it is over. Blocks the thread.
    static func wait(until moment: Int64) {
        let delay = moment - nanoseconds()
        guard delay > 0 else { return }
        var time = timespec(
            tv_sec: Int(delay / 1_000_000_000), tv_nsec: Int(delay % 1_000_000_000))
        nanosleep(&time, nil)
    }

    /// Asks the system to wake this thread on time, not in company: Linux may be 50 µs late
    /// otherwise. `false` where it does not listen, which shows in the latencies only.
    static func beExact() -> Bool {
        #if os(Linux)
            do {
                let thread =
                    try FileManager.default.destinationOfSymbolicLink(
                        atPath: "/proc/thread-self"
                    ).split(separator: "/").last ?? ""
                let slack = URL(filePath: "/proc/\(thread)/timerslack_ns")
                try Data("1".utf8).write(to: slack)
                return true
            } catch {
                return false
            }
        #else
            return false
        #endif
    }
}

/// Latencies by the moment of delivery.
struct Samples: Sendable {
    private(set) var moments: [Int64] = []
    private(set) var latencies: [Int64] = []

    init(reserving count: Int) {
        moments.reserveCapacity(count)
        latencies.reserveCapacity(count)
    }

    mutating func add(_ latency: Int64, at moment: Int64) {
        moments.append(moment)
        latencies.append(latency)
    }

    /// Those that were delivered within a stretch of time.
    func during(_ stretch: Range<Int64>) -> [Int64] {
        moments.indices.filter { stretch.contains(moments[$0]) }.map { latencies[$0] }
    }
}
