import Testing
import Weir

@Suite("Many callers at once")
struct ConcurrencyTests {
    private let folder = TemporaryFolder()

    @Test func `who ask for the same new stream get one`() async throws {
        for round in 0..<10 {
            let path = folder.path + "-\(round)"
            defer { TemporaryFolder.remove(path) }
            let store = try await Store.open(at: path)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<8 {
                    group.addTask {
                        let stream = try await store.stream("s", creating: .init())
                        try await stream.append(value: bytes("\(number)"))
                    }
                }
                try await group.waitForAll()
            }
            try await store.close()
            let again = try await Store.open(at: path)
            #expect(again.reports.isEmpty)
            #expect(try await again.stream("s").all().count == 8)
            try await again.close()
        }
    }

    @Test func `who wait for room are woken when the lead ends`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream(
            "s", creating: .init(durability: .interval(milliseconds: 1)))
        for number in 0..<300 {
            let pending = try stream.enqueue(value: bytes("\(number)"))
            _ = try await pending.receipt()
            try await stream.ready()
        }
        try await store.close()
    }

    @Test func `who append while the store closes are refused or kept`() async throws {
        for _ in 0..<20 {
            let store = try await Store.open(at: folder.path)
            let stream = try await store.stream("s", creating: .init(durability: .flushed))
            let before = stream.endOffset
            let acknowledged = await withTaskGroup(of: Int.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        var count = 0
                        do {
                            while true {
                                try await stream.append(value: bytes("x"))
                                count += 1
                            }
                        } catch {
                            return count
                        }
                    }
                }
                do { try await store.close() } catch { Issue.record(error) }
                return await group.reduce(0, +)
            }
            let again = try await Store.open(at: folder.path)
            let end = try await again.stream("s").endOffset
            #expect(end - before == acknowledged)
            #expect(again.reports.isEmpty)
            try await again.close()
        }
    }
}
