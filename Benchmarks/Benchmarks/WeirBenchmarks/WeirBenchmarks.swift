import Benchmark
import Foundation
import Weir

/// Append, replay and open, as a user of the library meets them.
///
///     swift package --package-path Benchmarks benchmark
let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .throughput, .peakMemoryResident],
        warmupIterations: 3, scalingFactor: .one, maxDuration: .seconds(5))
    // A thousand to a sample: the first append of a new file costs many times what the others do.
    var manyAppends = Benchmark.defaultConfiguration
    manyAppends.scalingFactor = .kilo

    Benchmark("append 1,000 records of 100 bytes, flushed", configuration: manyAppends) {
        benchmark in
        let bench = try Bench(durability: .flushed)
        defer { bench.end() }
        let writer = try bench.stream.syncWriter()
        var batch = Batch()
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            bench.fill(&batch, 1000)
            try writer.append(&batch)
        }
        benchmark.stopMeasurement()
    }

    Benchmark("append one record of 100 bytes, durable", configuration: manyAppends) { benchmark in
        let bench = try Bench(durability: .durable)
        defer { bench.end() }
        let writer = try bench.stream.syncWriter()
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations { try writer.append(value: bench.value) }
        benchmark.stopMeasurement()
    }

    Benchmark("replay 100,000 records of 100 bytes") { benchmark in
        let bench = try Bench(durability: .flushed)
        defer { bench.end() }
        try bench.append(100_000)
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations { blackHole(try bench.replay()) }
        benchmark.stopMeasurement()
    }

    Benchmark("open and close a store") { benchmark in
        let bench = try Bench(durability: .flushed)
        try bench.append(100_000)
        try bench.store.closeBlocking()
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            try Store.openBlocking(at: bench.path).closeBlocking()
        }
        benchmark.stopMeasurement()
        bench.remove()
    }
}

/// A store of a benchmark's own.
final class Bench {
    let path = NSTemporaryDirectory() + "weir-benchmark-" + UUID().uuidString
    let store: Store
    let stream: LogStream
    let value = [UInt8](repeating: 7, count: 100)

    init(durability: Durability) throws {
        store = try Store.openBlocking(at: path)
        stream = try store.streamBlocking("s", creating: .init(durability: durability))
    }

    func fill(_ batch: inout Batch, _ count: Int) {
        for _ in 0..<count {
            precondition(batch.append(value: value), "a thousand records fit into a batch")
        }
    }

    func append(_ count: Int) throws {
        let writer = try stream.syncWriter()
        var batch = Batch()
        for _ in 0..<count / 1000 {
            fill(&batch, 1000)
            try writer.append(&batch)
        }
    }

    func replay() throws -> Int {
        var cursor = try stream.cursor(from: .first)
        var sum = 0
        while case .batch = try cursor.next() {
            var records = cursor.records
            while let record = records.next() { sum &+= record.value.byteCount }
        }
        return sum
    }

    func end() {
        do { try store.closeBlocking() } catch { print("closing failed: \(error)") }
        remove()
    }

    func remove() {
        do { try FileManager.default.removeItem(atPath: path) } catch { print("\(error)") }
    }
}
