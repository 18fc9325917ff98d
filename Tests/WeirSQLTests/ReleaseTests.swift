import Testing
import Weir
import WeirBase
import WeirSQL

@Suite("A database of records that is let go of")
struct ReleaseTests {
    private final class Seen {
        weak var store: Store?
    }

    /// Opens the store, asks, closes it.
    private func ask(_ condition: String, at path: String) throws -> Seen {
        let seen = Seen()
        let store = try Store.openBlocking(at: path, .read)
        seen.store = store
        if !condition.isEmpty {
            let database = try RecordsDatabase(store)
            do {
                // To its end, and left before it.
                try database.offsets(of: "flights", where: condition) { _ in true }
                try database.offsets(of: "flights", where: condition) { _ in false }
            } catch let error as WeirError {
                try #require(error.code == .invalidArgument)
            }
        }
        try store.closeBlocking()
        return seen
    }

    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            "key = 'N1'", "key IN ('N1', x'FF00')", "headers ->> 'carrier' = 'UA'",
            "\"offset\" > 5", "key IS NULL", "time >= '2013'", "nonsense = 1",
        ])
    func `lets go of its store, whatever it was asked`(condition: String) async throws {
        let streams = try PairedStreams(
            "flights", StreamConfiguration(indexedHeaders: ["carrier"]), bare: .init()
        ) { writer in
            for number in 0..<30 {
                try writer.append(
                    key: Array("N\(number % 7)".utf8), headers: ["carrier": "UA"], value: [])
            }
        }
        let seen = try ask(condition, at: streams.path)
        // The queue of the connection takes its own with it somewhat later, on a thread of its own.
        while seen.store != nil { await Task.yield() }
    }
}
