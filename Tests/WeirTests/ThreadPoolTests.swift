import Testing
import WeirFiles

@testable import Weir

@Suite("A pool of threads")
struct ThreadPoolTests {
    @Test func `does every job, whoever hands them in at once`() async throws {
        let pool = ThreadPool(countMax: 4)
        let waiter = ThreadPool(countMax: 1)
        let done = Monitor(0)
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<2000 { pool.run { done.signal { $0 += 1 } } }
                }
            }
        }
        // A job that nobody is woken for would lie there: the last ones show it.
        let count = try await waiter.call {
            done.wait(milliseconds: 60_000) { $0 == 16_000 ? $0 : nil }
        }
        #expect(count == 16_000)
        pool.end()
        waiter.end()
    }

    @Test func `wakes a thread for a job that comes when all are at rest`() async throws {
        let pool = ThreadPool(countMax: 4)
        for number in 0..<500 {
            #expect(try await pool.call { number } == number)
        }
        pool.end()
    }
}
