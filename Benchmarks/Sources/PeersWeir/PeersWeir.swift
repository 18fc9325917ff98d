import Foundation
import Weir

/// Weir's side of the comparison with its peers: one workload a run, one JSON line a result.
///
///     weir-bench-peers WORKLOAD --dir FOLDER --records N
@main
enum PeersWeir {
    static func main() async {
        do {
            let options = try Options(Array(CommandLine.arguments.dropFirst()))
            try await run(options)
        } catch {
            FileHandle.standardError.write(Data("weir-bench-peers: \(error)\n".utf8))
            exit(1)
        }
    }

    private static func run(_ options: Options) async throws {
        switch options.workload {
        case "append100": try append(options, valueBytes: 100)
        case "append1k": try append(options, valueBytes: 1024)
        case "appendKeyed": try appendKeyed(options)
        case "replay100": try replay(options)
        case "durable1": try durableOne(options)
        case "durable256": try await durableMany(options)
        case "verify": try verify(options)
        case "memory": try memory(options)
        default: throw Usage(text: "unknown workload \(options.workload)")
        }
    }

    private static func stream(
        _ options: Options, _ durability: Durability
    ) throws -> (Store, LogStream) {
        let store = try Store.openBlocking(at: options.folder)
        return (
            store,
            try store.streamBlocking("bench", creating: .init(durability: durability))
        )
    }

    /// Batches of 1,000, flushed; the first tenth warms memory up and is not counted.
    private static func append(_ options: Options, valueBytes: Int) throws {
        let (store, stream) = try stream(options, .flushed)
        let writer = try stream.syncWriter()
        let pool = Values(byteCount: valueBytes)
        var batch = Batch(byteLimit: 4 << 20)
        var written = 0
        try write(options.records / 10, &batch, &written, pool, writer)
        let start = ContinuousClock.now
        try write(options.records, &batch, &written, pool, writer)
        let seconds = (ContinuousClock.now - start).seconds
        Result(options, options.records, valueBytes, seconds).print()
        try store.closeBlocking()
    }

    private static func write(
        _ count: Int, _ batch: inout Batch, _ written: inout Int, _ pool: Values,
        _ writer: SyncWriter
    ) throws {
        for _ in 0..<count / 1000 {
            for index in written..<written + 1000 {
                guard batch.append(value: pool.span(index)) else { throw Usage(text: "full") }
            }
            try writer.append(&batch)
            written += 1000
        }
    }

    private static func appendKeyed(_ options: Options) throws {
        let (store, stream) = try stream(options, .flushed)
        let writer = try stream.syncWriter()
        let pool = Values(byteCount: 100)
        let keys = Values(byteCount: 16, isText: true)
        var batch = Batch()
        var written = 0
        try writeKeyed(options.records / 10, &batch, &written, pool, keys, writer)
        let start = ContinuousClock.now
        try writeKeyed(options.records, &batch, &written, pool, keys, writer)
        let seconds = (ContinuousClock.now - start).seconds
        Result(options, options.records, 100, seconds).print()
        try store.closeBlocking()
    }

    private static func writeKeyed(
        _ count: Int, _ batch: inout Batch, _ written: inout Int, _ pool: Values, _ keys: Values,
        _ writer: SyncWriter
    ) throws {
        for _ in 0..<count / 1000 {
            for index in written..<written + 1000 {
                let added = try batch.append(key: keys.span(index), value: pool.span(index)) {
                    $0.add("kind", "paid")
                    $0.add("number", Int64(index))
                }
                guard added else { throw Usage(text: "full") }
            }
            try writer.append(&batch)
            written += 1000
        }
    }

    /// Every value's length and first byte, checksums proven, through the cursor.
    private static func replay(_ options: Options) throws {
        let store = try Store.openBlocking(at: options.folder, .read)
        let stream = try store.streamBlocking("bench")
        func walk() throws -> Int {
            var cursor = try stream.cursor(from: .first)
            var count = 0
            var sum = 0
            while case .batch = try cursor.next() {
                var records = cursor.records
                while let record = records.next() {
                    let value = record.value
                    sum &+= value.byteCount &+ Int(value.unsafeLoad(as: UInt8.self))
                    count += 1
                }
            }
            guard sum > 0 else { throw Usage(text: "nothing to read") }
            return count
        }
        _ = try walk()
        var count = 0
        let seconds = try timed { count = try walk() }
        Result(options, count, 100, seconds).print()
        try store.closeBlocking()
    }

    private static func durableOne(_ options: Options) throws {
        let (store, stream) = try stream(options, .durable)
        let writer = try stream.syncWriter()
        let pool = Values(byteCount: 100)
        for index in 0..<200 { try writer.append(value: pool.span(index)) }
        let seconds = try timed {
            for index in 0..<options.records { try writer.append(value: pool.span(index)) }
        }
        Result(options, options.records, 100, seconds).print()
        try store.closeBlocking()
    }

    private static func durableMany(_ options: Options) async throws {
        let (store, stream) = try stream(options, .durable)
        let value = [UInt8](repeating: 7, count: 100)
        func write(_ each: Int) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<256 {
                    group.addTask {
                        for _ in 0..<each { try await stream.append(value: value) }
                    }
                }
                try await group.waitForAll()
            }
        }
        try await write(50)
        let clock = ContinuousClock()
        let start = clock.now
        try await write(options.records / 256)
        let seconds = (clock.now - start).seconds
        Result(options, options.records / 256 * 256, 100, seconds).print()
        try store.closeBlocking()
    }

    /// Reads everything back: how many, and a digest over offsets and values.
    private static func verify(_ options: Options) throws {
        let store = try Store.openBlocking(at: options.folder, .read)
        let stream = try store.streamBlocking("bench")
        var cursor = try stream.cursor(from: .first, reading: .copied)
        var digest = Digest()
        var count = 0
        while case .batch = try cursor.next() {
            var records = cursor.records
            while let record = records.next() {
                digest.add(record.offset.value, record.value)
                count += 1
            }
        }
        print(
            "{\"engine\":\"weir\",\"workload\":\"verify\",\"records\":\(count),"
                + "\"digest\":\"\(digest.text)\"}")
        try store.closeBlocking()
    }

    /// The most memory of its own, mapped files left out, that the process has while it appends and
    /// while it replays; 4 MiB of it are the values.
    private static func memory(_ options: Options) throws {
        let (store, stream) = try stream(options, .flushed)
        let writer = try stream.syncWriter()
        let pool = Values(byteCount: 1024)
        var append = 0
        var batch = Batch(byteLimit: 4 << 20)
        var written = 0
        while written < options.records {
            try write(1000, &batch, &written, pool, writer)
            append = max(append, try ownMemoryKiB())
        }
        var replay = 0
        var count = 0
        var cursor = try stream.cursor(from: .first)
        while case .batch = try cursor.next() {
            var records = cursor.records
            while records.next() != nil { count += 1 }
            replay = max(replay, try ownMemoryKiB())
        }
        guard count == options.records else { throw Usage(text: "\(count) records came back") }
        print(
            "{\"engine\":\"weir\",\"workload\":\"memory\",\"records\":\(count),"
                + "\"appendKiB\":\(append),\"replayKiB\":\(replay)}")
        try store.closeBlocking()
    }

    private static func ownMemoryKiB() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon") }),
            let number = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { throw Usage(text: "the system does not tell RssAnon") }
        return number
    }

    private static func timed(_ body: () throws -> Void) rethrows -> Double {
        let clock = ContinuousClock()
        return try clock.measure(body).seconds
    }
}

struct Usage: Error, CustomStringConvertible {
    let text: String
    var description: String { text }
}

struct Options {
    let workload: String
    var folder = ""
    var records = 1_000_000

    init(_ arguments: [String]) throws {
        guard let first = arguments.first else {
            throw Usage(text: "usage: weir-bench-peers WORKLOAD --dir FOLDER --records N")
        }
        workload = first
        var index = 1
        while index + 1 < arguments.count {
            switch arguments[index] {
            case "--dir": folder = arguments[index + 1]
            case "--records": records = Int(arguments[index + 1]) ?? records
            default: throw Usage(text: "unknown option \(arguments[index])")
            }
            index += 2
        }
    }
}

struct Result {
    let line: String
    init(_ options: Options, _ records: Int, _ bytes: Int, _ seconds: Double) {
        line =
            "{\"engine\":\"weir\",\"workload\":\"\(options.workload)\",\"records\":\(records),"
            + "\"bytes\":\(records * bytes),\"seconds\":\(seconds),"
            + "\"recordsPerSecond\":\(Int(Double(records) / seconds))}"
    }
    func print() { Swift.print(line) }
}

extension Duration {
    var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
