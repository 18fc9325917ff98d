import CMallocCount
import Foundation
import Testing
import Weir

// Only an optimised build says anything: without it, the compiler itself takes memory for values.
#if !DEBUG

    /// Requests for memory, counted exactly, by a library that stands in front of `malloc`.
    ///
    /// A batch may take some; a record may not. So batches of 2,000 records must take as many as
    /// batches of 1,000.
    @Suite("The batch paths")
    struct AllocationTests {
        private func withStream(_ body: (LogStream) throws -> Void) throws {
            let path = NSTemporaryDirectory() + "weir-allocations-" + UUID().uuidString
            defer {
                do { try FileManager.default.removeItem(atPath: path) } catch { _ = error }
            }
            let store = try Store.openBlocking(at: path)
            try body(
                try store.streamBlocking("s", creating: .init(durability: .flushed)))
            try store.closeBlocking()
        }

        private func count(_ body: () throws -> Void) rethrows -> UInt64 {
            let before = malloc_count()
            try body()
            return malloc_count() - before
        }

        @Test func `count at all`() {
            let found = count { withExtendedLifetime([UInt8](repeating: 1, count: 4096)) {} }
            #expect(found > 0)
        }

        @Test(arguments: [false, true])
        func `append without memory a record`(_ isKeyed: Bool) throws {
            try withStream { stream in
                let writer = try stream.syncWriter()
                var batch = Batch()
                let value = [UInt8](repeating: 7, count: 100)
                let key = [UInt8](repeating: 107, count: 16)
                func append(_ records: Int) throws {
                    for number in 0..<records {
                        let added =
                            isKeyed
                            ? try batch.append(key: key.span.bytes, value: value.span.bytes) {
                                $0.add("kind", "paid")
                                $0.add("number", Int64(number))
                            } : batch.append(value: value.span.bytes)
                        guard added else {
                            Issue.record("no room")
                            return
                        }
                    }
                    try writer.append(&batch)
                }
                for _ in 0..<20 { try append(2000) }
                let small = try count { for _ in 0..<50 { try append(1000) } }
                let large = try count { for _ in 0..<50 { try append(2000) } }
                // The block index grows by an entry each 64 KiB, and so its array, now and then.
                #expect(large <= small + 2, "50 batches of 1,000: \(small), of 2,000: \(large)")
                #expect(small < 50 * 20)
            }
        }

        @Test func `read without memory a record`() throws {
            try withStream { stream in
                let writer = try stream.syncWriter()
                var batch = Batch()
                let value = [UInt8](repeating: 7, count: 100)
                for records in [1000, 2000] {
                    for _ in 0..<50 {
                        for _ in 0..<records { _ = batch.append(value: value.span.bytes) }
                        try writer.append(&batch)
                    }
                }
                func read(from start: UInt64, batches: Int) throws -> Int {
                    var cursor = try stream.cursor(from: .offset(Offset(start)))
                    var sum = 0
                    for _ in 0..<batches {
                        guard case .batch = try cursor.next() else { break }
                        var records = cursor.records
                        while let record = records.next() { sum += record.value.byteCount }
                    }
                    return sum
                }
                _ = try read(from: 0, batches: 100)
                var bytes = 0
                let small = try count { bytes = try read(from: 0, batches: 50) }
                #expect(bytes == 5_000_000)
                let large = try count { bytes = try read(from: 50_000, batches: 50) }
                #expect(bytes == 10_000_000)
                // Where it begins costs a search; not more for twice the records.
                #expect(large <= small + 16, "50 batches of 1,000: \(small), of 2,000: \(large)")
                #expect(small < 50 * 4)
            }
        }
    }
#endif
