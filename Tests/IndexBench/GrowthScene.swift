import Foundation
import WeirBase
import WeirIndex
import WeirTesting

/// Look-ups in the index of a log of 1 GiB and of one of 100 GiB, filled without a log: a million
/// keys, and a hundred times as many.
struct GrowthScene {
    private let arguments: Arguments
    private let stream = StreamID(1)
    private static let runEntries = 128 << 10
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
        if !FileManager.default.fileExists(atPath: path) { try fill(path, identity, count) }
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

    private func fill(_ path: String, _ identity: IndexIdentity, _ count: Int) throws {
        guard FileManager.default.createFile(atPath: path, contents: nil) else {
            throw Usage("\(path) cannot be made.")
        }
        let writer = try IndexWriter.create(path: path, identity)
        let start = ContinuousClock.now
        for first in stride(from: 0, to: count, by: Self.runEntries) {
            let end = min(first + Self.runEntries, count)
            let entries = (first..<end).map {
                KeyEntry(hash: hash($0), offset: Offset(UInt64($0)))
            }
            try writer.append([
                KeyRun(
                    stream: stream, first: Offset(UInt64(first)), end: Offset(UInt64(end)),
                    entries: entries)
            ])
            _ = try writer.tidy(.busy)
        }
        report("fill of \(count) keys", (ContinuousClock.now - start).seconds, "s")
        while try writer.tidy(.idle) {}
        report("fill and merge of \(count) keys", (ContinuousClock.now - start).seconds, "s")
        try writer.close()
    }
}
