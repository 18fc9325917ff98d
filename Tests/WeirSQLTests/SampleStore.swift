import Foundation
import Testing
import Weir
import WeirBase

/// A store of a test's own, with 1,000 records whose times go back now and then.
final class SampleStore {
    let path = NSTemporaryDirectory() + "weir-sql-" + UUID().uuidString
    let store: Store

    init() throws {
        store = try Store.openBlocking(at: path)
        try store.createStreamBlocking("flights", StreamConfiguration(durability: .flushed))
        let stream = try store.streamBlocking("flights")
        let writer = try stream.syncWriter()
        var batch = Batch()
        for number in 0..<1000 {
            let carrier = ["UA", "AA", "DL"][number % 3]
            let key = number % 10 == 0 ? [0xFF, UInt8(number / 10)] : Array("N\(number % 7)".utf8)
            _ = try batch.append(
                key: key,
                headers: ["carrier": .string(carrier), "delay": .int(Int64(number % 50))],
                time: Self.time(number),
                value: number % 100 == 99 ? nil : Array("value \(number)".utf8))
            if number % 90 == 89 { try writer.append(&batch) }
        }
        try writer.append(&batch)
    }

    deinit {
        do {
            try store.closeBlocking()
            try FileManager.default.removeItem(atPath: path)
        } catch {
            Issue.record(error)
        }
    }

    /// A minute apart; each seventh goes back by an hour.
    static func time(_ number: Int) -> Timestamp {
        let start: Int64 = 1_370_044_800_000_000
        let back: Int64 = number % 7 == 0 ? 3600 : 0
        return Timestamp(microseconds: start + (Int64(number) * 60 - back) * 1_000_000)
    }
}

/// Streams of a test's own with the same records, one with an index of what is looked for and one
/// without.
final class PairedStreams {
    let path = NSTemporaryDirectory() + "weir-pair-" + UUID().uuidString

    /// `batches` appends what is in each of the two, in batches of its choice.
    init(
        _ indexed: String, _ configuration: StreamConfiguration, bare: StreamConfiguration,
        _ batches: (SyncWriter) throws -> Void
    ) throws {
        let store = try Store.openBlocking(at: path)
        for (name, configuration) in [(indexed, configuration), ("bare", bare)] {
            try batches(try store.streamBlocking(name, creating: configuration).syncWriter())
        }
        // The index is brought up to date.
        try store.closeBlocking()
    }

    deinit {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            Issue.record(error)
        }
    }
}
