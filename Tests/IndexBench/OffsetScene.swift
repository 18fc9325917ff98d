import Foundation
import Weir
import WeirBase
import WeirTesting

/// Look-ups by offset, by time and by key in a log of 1 GiB and in one of 100 GiB, warm, in turn;
/// the log has holes where no look-up leads.
struct OffsetScene {
    private struct Log {
        let name: String
        let layout: SyntheticLog
        let store: Store
        let stream: LogStream
        var byOffset = Samples()
        var byTime = Samples()
        var byKey = Samples()
    }

    private let arguments: Arguments
    private static let lookups = 4_000
    private static let rounds = 6
    /// 256 MiB a segment.
    private static let batchCount = 61_000

    init(_ arguments: Arguments) { self.arguments = arguments }

    private func report(_ name: String, _ value: Double, _ unit: String, _ target: String = "") {
        Figure(scene: "offsets", name: name, value: value, unit: unit, target: target).print()
    }

    func play() throws {
        var logs = try [("1 GiB", 4, 500), ("100 GiB", 400, 5)].map { name, segments, places in
            try open(name, segments: segments, places: places)
        }
        var random = SeededRandom(seed: 5)
        for round in 0..<Self.rounds {
            for index in logs.indices {
                // What a pass before the first leaves is warm, and what it took is not told.
                if round == 1 {
                    (logs[index].byOffset, logs[index].byTime) = (Samples(), Samples())
                    logs[index].byKey = Samples()
                }
                try measure(&logs[index], &random)
            }
        }
        for log in logs {
            tell(log.byOffset, "by offset", log, "<= 50")
            tell(log.byTime, "by time", log, "<= 80")
            tell(log.byKey, "by key", log, "<= 150")
            try log.store.closeBlocking()
        }
        for (what, samples) in [
            ("by offset", logs.map(\.byOffset)), ("by time", logs.map(\.byTime)),
            ("by key", logs.map(\.byKey)),
        ] {
            let growth = samples[1].quantile(perMille: 500) / samples[0].quantile(perMille: 500)
            report("growth \(what), of the medians", growth, "times", "<= 1.5")
            let tail = samples[1].quantile(perMille: 990) / samples[0].quantile(perMille: 990)
            report("growth \(what), of the p99", tail, "times", "<= 1.5")
        }
    }

    private func tell(_ samples: Samples, _ what: String, _ log: Log, _ target: String) {
        report("median \(what) in \(log.name)", samples.quantile(perMille: 500), "us")
        report("p99 \(what) in \(log.name)", samples.quantile(perMille: 990), "us", target)
    }

    private func open(_ name: String, segments: Int, places: Int) throws -> Log {
        let folder = arguments.folder + "/" + name.filter { $0 != " " }
        let layout = SyntheticLog(
            folder: folder, segmentCount: segments, batchCount: Self.batchCount,
            placeCount: places, isKeyed: true)
        if !FileManager.default.fileExists(atPath: folder) {
            try layout.make()
            // A writer makes the manifest anew.
            try Store.openBlocking(at: folder, .write, index: .off).closeBlocking()
            try layout.makeIndex()
            // What was made is on the medium before anything is measured.
            sync()
        }
        let store = try Store.openBlocking(at: folder, .read)
        let stream = try store.streamBlocking(SyntheticLog.name)
        guard Int(stream.endOffset.value) == layout.recordCount else {
            throw Usage("\(folder) has \(stream.endOffset) records; remove it.")
        }
        return Log(name: name, layout: layout, store: store, stream: stream)
    }

    private func measure(_ log: inout Log, _ random: inout SeededRandom) throws {
        let places = log.layout.places
        for _ in 0..<Self.lookups {
            let place = Offset(UInt64(places[random.below(places.count)]))
            let stream = log.stream
            // To the record itself, its batch proven.
            try log.byOffset.measure {
                var cursor = try stream.cursor(from: .offset(place))
                guard case .batch = try cursor.next() else { throw Usage("No batch.") }
                var records = cursor.records
                guard let record = records.next(), record.offset == place else {
                    throw Usage("Offset \(place) leads elsewhere.")
                }
            }
            let timed = Offset(UInt64(places[random.below(places.count)]))
            let time = SyntheticLog.time(of: Int(timed.value))
            try log.byTime.measure {
                guard try stream.offset(of: .time(time)) == timed else {
                    throw Usage("\(time) leads elsewhere than to \(timed).")
                }
            }
            let keyed = places[random.below(places.count)]
            let key = SyntheticLog.key(of: keyed)
            try log.byKey.measure {
                var records = try stream.records(key: key)
                guard case .record(let record) = try records.next(),
                    record.offset == Offset(UInt64(keyed))
                else { throw Usage("The key of \(keyed) leads elsewhere.") }
            }
        }
    }
}
