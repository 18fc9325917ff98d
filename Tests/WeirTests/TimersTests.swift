import Testing
import Weir
import WeirBase
import WeirFiles

@Suite("A store's timers")
struct TimersTests {
    private let timers = Timers()
    private let held = Monitor(true)

    /// Keeps the timers' thread from looking until `held` is false. Returns once it is held: a
    /// thread that came late would take what is due by then together with the call that holds it.
    private func hold() {
        let reached = Monitor(false)
        timers.schedule(after: 0) { [held] in
            reached.signal { $0 = true }
            _ = held.wait { $0 ? nil : true }
        }
        _ = reached.wait { $0 ? true : nil }
    }

    private func letGo() { held.signal { $0 = false } }

    @Test func `call back in the order of their times, and never early`() async {
        let (stream, continuation) = AsyncStream.makeStream(of: (Int, Int64).self)
        let start = Host.monotonicNanoseconds()
        hold()
        for milliseconds in [9, 1, 5, 3, 7] {
            timers.schedule(after: Int64(milliseconds) * 1_000_000) {
                continuation.yield((milliseconds, Host.monotonicNanoseconds()))
            }
        }
        letGo()
        var found: [Int] = []
        for await (milliseconds, time) in stream.prefix(5) {
            found.append(milliseconds)
            #expect(time - start >= Int64(milliseconds) * 1_000_000)
        }
        #expect(found == [1, 3, 5, 7, 9])
        timers.end()
    }

    @Test func `do not call back when they were cancelled, however many`() async {
        let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
        hold()
        for number in 0..<1000 {
            timers.cancel(timers.schedule(after: 2_000_000) { continuation.yield(number) })
        }
        timers.schedule(after: 4_000_000) { continuation.yield(-1) }
        letGo()
        var iterator = stream.makeAsyncIterator()
        #expect(await iterator.next() == -1)
        timers.end()
    }

    @Test func `are early enough for a time that comes before those that wait`() async {
        let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
        timers.schedule(after: 3_600_000_000_000) { continuation.yield(1) }
        timers.schedule(after: -5) { continuation.yield(2) }
        var iterator = stream.makeAsyncIterator()
        #expect(await iterator.next() == 2)
        timers.end()
    }

    @Test func `let go of what they hold when they end`() {
        final class Held: Sendable {}
        weak var left: Held?
        do {
            let held = Held()
            left = held
            timers.schedule(after: 3_600_000_000_000) { withExtendedLifetime(held) {} }
        }
        #expect(left != nil)
        timers.end()
        #expect(left == nil)
        timers.schedule(after: 0) { Issue.record("called back after the end") }
    }
}
