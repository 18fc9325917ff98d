import Testing

@testable import WeirFlow

@Suite("A backoff")
struct BackoffTests {
    private let limits: [Int64] = [10, 20, 40, 40, 40]

    @Test func `doubles up to its cap, and waits so long at most`() {
        var backoff = Backoff(firstNanoseconds: 10, capNanoseconds: 40)
        #expect(limits.map { backoff.next(random: UInt64($0) - 1) } == limits)
    }

    @Test func `waits a moment at least`() {
        var backoff = Backoff(firstNanoseconds: 10, capNanoseconds: 40)
        #expect(limits.map { _ in backoff.next(random: 0) } == [1, 1, 1, 1, 1])
    }

    @Test func `draws evenly from what it may wait`() {
        var backoff = Backoff(firstNanoseconds: 10, capNanoseconds: 10)
        #expect((0..<20).map { backoff.next(random: $0) } == Array(1...10) + Array(1...10))
    }

    @Test func `begins anew once something worked`() {
        var backoff = Backoff(firstNanoseconds: 10, capNanoseconds: 40)
        for _ in 0..<3 { _ = backoff.next(random: 0) }
        backoff.reset()
        #expect(backoff.next(random: 9) == 10)
        #expect(backoff.next(random: 19) == 20)
    }

    @Test func `does not overflow, however often it fails`() {
        var backoff = Backoff(firstNanoseconds: 3, capNanoseconds: .max)
        for _ in 0..<200 { #expect(backoff.next(random: .max) > 0) }
    }
}
