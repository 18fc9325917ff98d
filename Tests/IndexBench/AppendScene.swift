import Foundation
import Weir

/// The same records appended with the index and without it, in turn: what the index takes from the
/// throughput of appends.
struct AppendScene {
    private let arguments: Arguments
    private static let rounds = 8
    private static let batchRecords = 1000

    init(_ arguments: Arguments) { self.arguments = arguments }

    func play() throws {
        for isKeyed in [false, true] {
            var rates: [IndexUse: [Double]] = [:]
            for round in 0..<Self.rounds {
                // Who goes first changes, as what the one leaves to be written meets the other.
                for use in round % 2 == 0 ? [IndexUse.off, .on] : [.on, .off] {
                    let rate = try append(use, isKeyed: isKeyed)
                    if round > 0 { rates[use, default: []].append(rate) }
                }
            }
            let what = isKeyed ? "keyed records" : "records without a key"
            let on = median(rates[.on] ?? [])
            let off = median(rates[.off] ?? [])
            report("\(what), with the index", on, "records/s")
            report("\(what), without", off, "records/s")
            report(
                "\(what), with against without", 100 * on / off, "%", isKeyed ? "" : ">= 97")
        }
    }

    private func append(_ use: IndexUse, isKeyed: Bool) throws -> Double {
        let folder = arguments.folder + "/append"
        let store = try Store.openBlocking(at: folder, index: use)
        let writer = try store.streamBlocking("s", creating: .init(durability: .flushed))
            .syncWriter()
        let value = [UInt8](repeating: 7, count: 100)
        var batch = Batch(byteLimit: 4 << 20)
        var seconds = 0.0
        let pass = { (count: Int) throws in
            for first in stride(from: 0, to: count, by: Self.batchRecords) {
                for number in first..<first + Self.batchRecords {
                    if isKeyed {
                        let key = Array(String(1_000_000_000_000_000 + number).utf8)
                        _ = try batch.append(key: key, value: value)
                    } else {
                        _ = batch.append(value: value)
                    }
                }
                try writer.append(&batch)
            }
        }
        try pass(arguments.records / 10)
        seconds = try ContinuousClock().measure { try pass(arguments.records) }.seconds
        try store.closeBlocking()
        try FileManager.default.removeItem(atPath: folder)
        return Double(arguments.records) / seconds
    }

    private func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }

    private func report(_ name: String, _ value: Double, _ unit: String, _ target: String = "") {
        Figure(scene: "append", name: name, value: value, unit: unit, target: target).print()
    }
}
