import Foundation
import Weir

/// A stream of many segments whose manifest is lost: how long it takes until the store is open with
/// all of them, by their headers and footers.
struct RebuildScene {
    private let arguments: Arguments
    private static let segmentCount = 10_000
    private static let rounds = 4

    init(_ arguments: Arguments) { self.arguments = arguments }

    func play() throws {
        let layout = SyntheticLog(
            folder: arguments.folder + "/rebuild", segmentCount: Self.segmentCount,
            batchCount: 40, placeCount: 0, isKeyed: false)
        var opening: [Double] = []
        var indexing: [Double] = []
        for round in 0..<Self.rounds {
            if FileManager.default.fileExists(atPath: layout.folder) {
                try FileManager.default.removeItem(atPath: layout.folder)
            }
            try layout.make()
            let start = ContinuousClock.now
            let store = try Store.openBlocking(at: layout.folder, .write)
            let opened = (ContinuousClock.now - start).seconds
            let stream = try store.streamBlocking(SyntheticLog.name)
            guard Int(stream.endOffset.value) == layout.recordCount else {
                throw Usage(
                    "\(stream.endOffset) records came back; \(layout.recordCount) were there.")
            }
            while store.indexReport().lag > 0 { Thread.sleep(forTimeInterval: 0.01) }
            let indexed = (ContinuousClock.now - start).seconds
            try store.closeBlocking()
            if round > 0 {
                opening.append(opened)
                indexing.append(indexed)
            }
        }
        let best = opening.sorted()
        let bestIndexed = indexing.sorted()
        report("10,000 segments from footers, best round", best[0], "s", "<= 3")
        report("the same, median", best[best.count / 2], "s", "<= 3")
        report("until the index covers them too, best round", bestIndexed[0], "s")
        try FileManager.default.removeItem(atPath: layout.folder)
    }

    private func report(_ name: String, _ value: Double, _ unit: String, _ target: String = "") {
        Figure(scene: "rebuild", name: name, value: value, unit: unit, target: target).print()
    }
}
