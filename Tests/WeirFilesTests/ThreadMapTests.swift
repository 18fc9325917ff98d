import Testing
import WeirBase
import WeirFiles

@Suite("Work by several threads")
struct ThreadMapTests {
    @Test(arguments: [0, 1, 2, 8, 1000], [0, 1, 3, 300])
    func `gives all results in their order`(_ threads: Int, _ count: Int) {
        let squares = SystemThread.map(count: count, threads: threads) { $0 * $0 }
        #expect(squares == (0..<count).map { $0 * $0 })
    }

    @Test func `goes on at the same time`() {
        // Each waits for the other: one thread alone would wait for ever.
        let met = Monitor(0)
        let results = SystemThread.map(count: 2, threads: 2) { _ in
            met.signal { $0 += 1 }
            return met.wait { $0 == 2 ? true : nil } ?? false
        }
        #expect(results == [true, true])
    }
}
