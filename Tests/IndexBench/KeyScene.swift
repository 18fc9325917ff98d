import Foundation
import Weir
import WeirTesting

/// A stream of records whose keys of 16 bytes stand scattered, each a thousand
/// times: how long a key's first record takes, and all of them beside a scan of everything.
struct KeyScene {
    private let arguments: Arguments
    private let keyCount: Int
    private static let keyRecords = 1000
    private static let lookups = 20_000
    private static let rounds = 5

    init(_ arguments: Arguments) {
        self.arguments = arguments
        self.keyCount = arguments.records / Self.keyRecords
    }

    func play() throws {
        try fill()
        try rebuild()
        let store = try Store.openBlocking(at: arguments.folder)
        defer { close(store) }
        let stream = try store.streamBlocking("keys")
        waitForIndex(of: store)
        try measureSize(of: stream)
        try measureLookups(in: stream)
        try measureReplays(of: stream)
    }

    private func close(_ store: Store) {
        do {
            try store.closeBlocking()
        } catch {
            FileHandle.standardError.write(Data("the store did not close: \(error)\n".utf8))
        }
    }

    private func key(_ number: Int) -> [UInt8] {
        Array(("key-" + String(1_000_000_000_00 + number)).utf8.prefix(16))
    }

    private func report(_ name: String, _ value: Double, _ unit: String, _ target: String = "") {
        Figure(scene: "keys", name: name, value: value, unit: unit, target: target).print()
    }

    /// Appends what is missing; a folder that was filled before is used again.
    private func fill() throws {
        let store = try Store.openBlocking(at: arguments.folder)
        defer { close(store) }
        let stream = try store.streamBlocking("keys", creating: .init(durability: .flushed))
        let writer = try stream.syncWriter()
        var random = SeededRandom(seed: 1)
        let keys = (0..<keyCount).map(key)
        let value = [UInt8](repeating: 7, count: arguments.bytes)
        var batch = Batch(byteLimit: 4 << 20)
        var left = arguments.records - Int(stream.endOffset.value)
        let start = ContinuousClock.now
        while left > 0 {
            for _ in 0..<min(arguments.batch, left) {
                _ = try batch.append(
                    key: keys[random.below(keyCount)], value: value)
            }
            left -= batch.recordCount
            try writer.append(&batch)
        }
        report("fill", (ContinuousClock.now - start).seconds, "s")
        waitForIndex(of: store)
        report("fill and index", (ContinuousClock.now - start).seconds, "s")
    }

    private func waitForIndex(of store: Store) {
        while store.indexReport().lag > 0 { Thread.sleep(forTimeInterval: 0.05) }
    }

    /// An index that is gone is made from the batches, which were read a moment ago.
    private func rebuild() throws {
        var store = try Store.openBlocking(at: arguments.folder, .read)
        _ = try scan(try store.streamBlocking("keys"), for: key(0))
        try store.closeBlocking()
        var byteCount = 0
        let files = FileManager.default.enumerator(atPath: arguments.folder)
        while let name = files?.nextObject() as? String {
            let path = arguments.folder + "/" + name
            if name.hasPrefix("index-") { try FileManager.default.removeItem(atPath: path) }
            let attributes = files?.fileAttributes
            if name.hasSuffix(".segment") { byteCount += attributes?[.size] as? Int ?? 0 }
        }
        let start = ContinuousClock.now
        store = try Store.openBlocking(at: arguments.folder)
        waitForIndex(of: store)
        let seconds = (ContinuousClock.now - start).seconds
        report("rebuild", seconds / Double(byteCount) * Double(1 << 30), "s a GiB", "<= 0.5")
        report("rebuild", seconds / Double(arguments.records) * 1e6, "s a million keys")
        try store.closeBlocking()
    }

    private func measureSize(of stream: LogStream) throws {
        var byteCount = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: arguments.folder)
        where name.hasPrefix("index-") {
            let path = arguments.folder + "/" + name
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            byteCount += attributes[.size] as? Int ?? 0
        }
        report(
            "index size", Double(byteCount) / Double(arguments.records), "bytes a key", "<= 64")
    }

    /// A key's first record, from the question to the copy.
    private func measureLookups(in stream: LogStream) throws {
        var samples = Samples()
        // The first round brings what the second one asks for into memory.
        for _ in 0..<2 {
            var random = SeededRandom(seed: 2)
            samples = Samples()
            for _ in 0..<Self.lookups {
                let wanted = key(random.below(keyCount))
                let start = Offset(UInt64(random.below(arguments.records / 2)))
                try samples.measure {
                    var records = try stream.records(key: wanted, from: .offset(start))
                    guard case .record = try records.next() else {
                        throw Usage("A key's record was not found.")
                    }
                }
            }
        }
        samples.report("keys", "look-up", target: "<= 150")
    }

    /// Both sides in turn, the first round is discarded.
    private func measureReplays(of stream: LogStream) throws {
        var byIndex: [Double] = []
        var byScan: [Double] = []
        let clock = ContinuousClock()
        for round in 0...Self.rounds {
            let wanted = key(round * 37 % keyCount)
            var found = 0
            byIndex.append(
                try clock.measure {
                    var records = try stream.records(key: wanted)
                    while case .record = try records.next() { found += 1 }
                }.seconds)
            var scanned = 0
            byScan.append(try clock.measure { scanned = try scan(stream, for: wanted) }.seconds)
            guard found == scanned, found > 0 else {
                throw Usage("The index found \(found) records and the scan \(scanned).")
            }
        }
        let index = byIndex.dropFirst().sorted()[Self.rounds / 2]
        let scanned = byScan.dropFirst().sorted()[Self.rounds / 2]
        report("replay of a key", index * 1000, "ms")
        report("scan for a key", scanned * 1000, "ms")
        report("replay against scan", scanned / index, "times", ">= 50")
    }

    /// Every record's key is compared where it stands; what fits is copied.
    private func scan(_ stream: LogStream, for key: [UInt8]) throws -> Int {
        var cursor = try stream.cursor(from: .first)
        var found: [Record] = []
        while true {
            switch try cursor.next() {
            case .batch: break
            default: return found.count
            }
            var records = cursor.records
            while let record = records.next() {
                guard let bytes = record.key, bytes.byteCount == key.count else { continue }
                let isEqual = bytes.withUnsafeBytes { bytes in
                    bytes.baseAddress.map { memcmp($0, key, key.count) == 0 } ?? true
                }
                if isEqual { found.append(record.copy()) }
            }
        }
    }
}
