import Foundation
import Weir
import WeirTesting

/// The same records in a stream and in a table of SQLite with the same indexes, by turns: append,
/// replay by offset and by key, size.
struct TableScene {
    private let arguments: Arguments
    private static let rounds = 4
    private static let keyRecords = 100
    private static let lookups = 500

    init(_ arguments: Arguments) { self.arguments = arguments }

    /// A side of the comparison; the figures of every round but the first.
    private struct Side {
        let name: String
        var append: [Double] = []
        var replay: [Double] = []
        var byKey: [Double] = []
        var bytes = 0.0
    }

    func play() throws {
        var weir = Side(name: "Weir")
        var table = Side(name: "SQLite")
        for round in 0..<Self.rounds {
            let folder = arguments.folder + "/table"
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: false)
            try playWeir(folder + "/store", &weir)
            try playTable(folder + "/table.sqlite", &table)
            try FileManager.default.removeItem(atPath: folder)
            if round == 0 { (weir, table) = (Side(name: "Weir"), Side(name: "SQLite")) }
        }
        for side in [weir, table] {
            report("append until all is indexed, \(side.name)", median(side.append), "records/s")
            report("replay by offset, \(side.name)", median(side.replay), "records/s")
            report("replay by key, \(side.name)", median(side.byKey), "records/s")
            report("size, \(side.name)", side.bytes / Double(arguments.records), "bytes a record")
        }
    }

    private var keyCount: Int { arguments.records / Self.keyRecords }

    /// In the same order for both.
    private func forEachRecord(_ body: (Int, [UInt8]) throws -> Void) rethrows {
        var random = SeededRandom(seed: 4)
        for number in 0..<arguments.records { try body(number, key(random.below(keyCount))) }
    }

    private func key(_ number: Int) -> [UInt8] {
        Array(String(1_000_000_000_000_000 + number).utf8)
    }

    private static let value = [UInt8](repeating: 7, count: 100)

    private func playWeir(_ folder: String, _ side: inout Side) throws {
        let clock = ContinuousClock()
        var store = try Store.openBlocking(at: folder)
        let writer = try store.streamBlocking("s", creating: .init(durability: .flushed))
            .syncWriter()
        var batch = Batch(byteLimit: 4 << 20)
        let appending = try clock.measure {
            try forEachRecord { number, key in
                _ = try batch.append(key: key, value: Self.value)
                if (number + 1) % arguments.batch == 0 { try writer.append(&batch) }
            }
            if !batch.isEmpty { try writer.append(&batch) }
            // A clean close brings the index up to date.
            try store.closeBlocking()
        }
        store = try Store.openBlocking(at: folder, .read)
        let stream = try store.streamBlocking("s")
        var seen = 0
        let replaying = try clock.measure {
            var cursor = try stream.cursor(from: .first)
            while case .batch = try cursor.next() {
                var records = cursor.records
                while let record = records.next() { seen += record.value.byteCount > 0 ? 1 : 0 }
            }
        }
        guard seen == arguments.records else { throw Usage("Weir gave \(seen) records.") }
        var random = SeededRandom(seed: 6)
        var found = 0
        let looking = try clock.measure {
            for _ in 0..<Self.lookups {
                var records = try stream.records(key: key(random.below(keyCount)))
                while case .record = try records.next() { found += 1 }
            }
        }
        try store.closeBlocking()
        side.append.append(Double(seen) / appending.seconds)
        side.replay.append(Double(seen) / replaying.seconds)
        side.byKey.append(Double(found) / looking.seconds)
        side.bytes = try bytes(beneath: folder)
    }

    private func playTable(_ path: String, _ side: inout Side) throws {
        let clock = ContinuousClock()
        let table = try RecordsOfSQLite(path: path)
        let appending = try clock.measure {
            try forEachRecord { number, key in
                if number % 1000 == 0 { try table.begin() }
                try table.append(offset: number, time: number * 100, key: key, value: Self.value)
                if number % 1000 == 999 { try table.commit() }
            }
            try table.shorten()
        }
        var seen = 0
        let replaying = try clock.measure { seen = try table.replay() }
        guard seen == arguments.records else { throw Usage("SQLite gave \(seen) records.") }
        var random = SeededRandom(seed: 6)
        var found = 0
        let looking = try clock.measure {
            for _ in 0..<Self.lookups {
                found += try table.replay(key: key(random.below(keyCount)))
            }
        }
        table.close()
        side.append.append(Double(seen) / appending.seconds)
        side.replay.append(Double(seen) / replaying.seconds)
        side.byKey.append(Double(found) / looking.seconds)
        side.bytes =
            try bytes(beneath: URL(filePath: path).deletingLastPathComponent().path)
            - bytes(beneath: URL(filePath: path).deletingLastPathComponent().path + "/store")
    }

    private func bytes(beneath folder: String) throws -> Double {
        var sum = 0.0
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            let found = try FileManager.default.attributesOfItem(atPath: folder + "/" + name)
            if found[.type] as? FileAttributeType == .typeRegular {
                sum += Double(found[.size] as? Int ?? 0)
            }
        }
        return sum
    }

    private func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }

    private func report(_ name: String, _ value: Double, _ unit: String) {
        Figure(scene: "sqlite", name: name, value: value, unit: unit).print()
    }
}
