import Foundation
import WeirBase
import WeirIndex
import WeirTesting

/// Look-ups in the index of a log of 1 GiB and of one of 100 GiB, filled without a log: a million
/// keys, and a hundred times as many.
struct GrowthScene {
    private let arguments: Arguments
    private let stream = StreamID(1)
    private static let lookups = 50_000

    init(_ arguments: Arguments) { self.arguments = arguments }

    func play() throws {
        let small = try measure(arguments.records / 100)
        let large = try measure(arguments.records)
        report("growth of p99", large / small, "times", "<= 1.5")
    }

    private func report(_ name: String, _ value: Double, _ unit: String, _ target: String = "") {
        Figure(scene: "growth", name: name, value: value, unit: unit, target: target).print()
    }

    private func hash(_ number: Int) -> UInt64 {
        var random = SeededRandom(seed: UInt64(number))
        return random.next()
    }

    private func measure(_ count: Int) throws -> Double {
        let path = arguments.folder + "/keys-\(count).sqlite"
        let identity = IndexIdentity(store: StoreID(1), epoch: Epoch(1), opened: .distantPast)
        if !FileManager.default.fileExists(atPath: path) {
            let index = SyntheticIndex(
                path: path, identity: identity, stream: stream, recordCount: count, hash: hash)
            try index.make { report("\($0) of \(count) keys", $1, "s") }
        }
        let reader = try IndexReader(path: path, store: identity.store, isFrozen: false)
        defer { close { () throws(WeirError) in try reader.close() } }
        report("runs of \(count) keys", Double(try reader.counts(of: stream).runs), "runs")
        var samples = Samples()
        // The first round brings what the second one asks for into memory.
        for _ in 0..<2 {
            var random = SeededRandom(seed: 3)
            samples = Samples()
            for _ in 0..<Self.lookups {
                let number = random.below(count)
                try samples.measure {
                    let answer = try reader.offsets(
                        of: hash(number), in: stream, from: .zero, limit: 1024,
                        writtenBy: identity)
                    guard answer == .offsets([Offset(UInt64(number))], upTo: Offset(UInt64(count)))
                    else { throw Usage("Key \(number) was not found: \(answer)") }
                }
            }
        }
        return samples.report("growth", "look-up in \(count) keys", target: "<= 150")
    }

    private func close(_ body: () throws(WeirError) -> Void) {
        do {
            try body()
        } catch {
            FileHandle.standardError.write(Data("an index did not close: \(error)\n".utf8))
        }
    }
}
