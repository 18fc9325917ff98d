import Testing
import Weir
import WeirBase

@Suite("The pace of a replay")
struct ReplayPacerTests {
    private func at(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }

    @Test func `is that of the records' times, and the first is due at once`() throws {
        var pacer = try ReplayPacer(.times(1))
        #expect(pacer.next(at(1000), at: .seconds(5)) == .now)
        #expect(pacer.next(at(1002), at: .seconds(5)) == .wait(.seconds(2)))
        #expect(pacer.next(at(1002), at: .seconds(7)) == .now)
    }

    @Test func `is scaled`() throws {
        var pacer = try ReplayPacer(.times(60))
        #expect(pacer.next(at(0), at: .zero) == .now)
        #expect(pacer.next(at(60), at: .zero) == .wait(.seconds(1)))
        pacer = try ReplayPacer(.times(0.5))
        #expect(pacer.next(at(0), at: .zero) == .now)
        #expect(pacer.next(at(60), at: .zero) == .wait(.seconds(120)))
    }

    @Test func `is none at the maximum`() throws {
        var pacer = try ReplayPacer(.max)
        #expect(pacer.next(at(0), at: .zero) == .now)
        #expect(pacer.next(at(1_000_000), at: .zero) == .now)
    }

    @Test func `lets what goes back in time come at once, and goes on as before`() throws {
        var pacer = try ReplayPacer(.times(1))
        #expect(pacer.next(at(100), at: .zero) == .now)
        #expect(pacer.next(at(40), at: .seconds(1)) == .now)
        #expect(pacer.next(at(103), at: .seconds(1)) == .wait(.seconds(2)))
    }

    @Test func `lets who was slow catch up`() throws {
        var pacer = try ReplayPacer(.times(1))
        #expect(pacer.next(at(0), at: .zero) == .now)
        #expect(pacer.next(at(1), at: .seconds(10)) == .now)
        #expect(pacer.next(at(12), at: .seconds(10)) == .wait(.seconds(2)))
    }

    /// What a clock that was set wrong for a while leaves in a stream.
    @Test func `keeps its pace around times of ten years ahead or back`() throws {
        let tenYears: Int64 = 315_576_000
        var pacer = try ReplayPacer(.times(60))
        #expect(pacer.next(at(0), at: .zero) == .now)
        let wait = Duration.seconds(tenYears / 60)
        #expect(wait > ReplayPacer.longWait)
        #expect(pacer.next(at(tenYears), at: .zero) == .wait(wait))
        #expect(pacer.next(at(-tenYears), at: .seconds(1)) == .now)
        #expect(pacer.next(at(120), at: .seconds(1)) == .wait(.seconds(1)))
    }

    @Test func `stands the farthest times`() throws {
        var pacer = try ReplayPacer(.times(0.001))
        #expect(pacer.next(.distantPast, at: .zero) == .now)
        guard case .wait(let time) = pacer.next(.distantFuture, at: .zero) else {
            Issue.record("nothing to wait for")
            return
        }
        #expect(time > ReplayPacer.longWait)
    }

    @Test(arguments: [0, -1, 0.0001, 1_000_001, .infinity, .nan])
    func `is refused outside its range`(_ factor: Double) {
        #expect(throws: WeirError.self) { _ = try ReplayPacer(.times(factor)) }
    }
}
