import Foundation
import Weir
import WeirTesting

/// Half a million keyed records a second for some seconds: how far the index stays behind.
struct LagScene {
    private let arguments: Arguments
    private static let perSecond = 500_000
    private static let batchRecords = 500

    init(_ arguments: Arguments) { self.arguments = arguments }

    func play() throws {
        let store = try Store.openBlocking(at: arguments.folder)
        let stream = try store.streamBlocking("lag", creating: .init(durability: .flushed))
        let writer = try stream.syncWriter()
        var random = SeededRandom(seed: 5)
        let value = [UInt8](repeating: 7, count: arguments.bytes)
        var batch = Batch(byteLimit: 4 << 20)
        var lags: [Double] = []
        var appended = 0
        let start = ContinuousClock.now
        while appended < arguments.records {
            for _ in 0..<Self.batchRecords {
                _ = try batch.append(
                    key: Array("key-\(100_000_000_000 + random.below(1_000_000))".utf8),
                    value: value)
            }
            try writer.append(&batch)
            appended += Self.batchRecords
            if appended % (Self.perSecond / 20) == 0 {
                lags.append(Double(store.indexReport().lag) / Double(Self.perSecond))
            }
            let early =
                Double(appended) / Double(Self.perSecond)
                - (ContinuousClock.now - start).seconds
            if early > 0.001 { Thread.sleep(forTimeInterval: early) }
        }
        let seconds = (ContinuousClock.now - start).seconds
        let sorted = lags.sorted()
        report("offered", Double(appended) / seconds, "records a second", "500000")
        report("lag, median", sorted[sorted.count / 2], "s")
        report("lag, most", sorted[sorted.count - 1], "s", "<= 1")
        try store.closeBlocking()
    }

    private func report(_ name: String, _ value: Double, _ unit: String, _ target: String = "") {
        Figure(scene: "lag", name: name, value: value, unit: unit, target: target).print()
    }
}
