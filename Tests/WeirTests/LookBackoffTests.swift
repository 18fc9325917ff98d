import Testing

@testable import Weir

@Suite("A look at a stream whose work fails")
struct LookBackoffTests {
    @Test func `is left out twice as often with each failure, up to a bound`() {
        var backoff = LookBackoff()
        var skipped: [Int] = []
        for _ in 0..<9 {
            var count = 0
            while !backoff.mayLook() { count += 1 }
            skipped.append(count)
            backoff.fail()
        }
        #expect(skipped == [0, 1, 2, 4, 8, 16, 32, 64, 64])
    }

    @Test func `is never left out where nothing failed`() {
        var backoff = LookBackoff()
        for _ in 0..<100 {
            let may = backoff.mayLook()
            #expect(may)
        }
    }
}
