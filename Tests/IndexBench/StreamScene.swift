import Foundation
import Weir

/// Ten thousand streams in one store: how long opening takes, and what it holds then.
///
/// The store is filled by one process and opened by another, which has nothing from before.
struct StreamScene {
    private let arguments: Arguments
    private static let streamCount = 10_000
    private static let records = 20
    private static let rounds = 4

    init(_ arguments: Arguments) { self.arguments = arguments }

    private var folder: String { arguments.folder + "/streams" }

    func fill() throws {
        if FileManager.default.fileExists(atPath: folder) { return }
        let start = ContinuousClock.now
        let store = try Store.openBlocking(at: folder)
        for number in 0..<Self.streamCount {
            let stream = try store.streamBlocking(
                "stream-\(number)", creating: .init(durability: .flushed))
            var batch = Batch()
            for record in 0..<Self.records {
                _ = try batch.append(
                    key: Array("key-\(record)".utf8), value: Array("value \(record)".utf8))
            }
            try stream.syncWriter().append(&batch)
        }
        try store.closeBlocking()
        report("make and fill 10,000 streams", (ContinuousClock.now - start).seconds, "s")
    }

    func play() throws {
        var seconds: [Double] = []
        for round in 0..<Self.rounds {
            let before = try residentMebibytes()
            let start = ContinuousClock.now
            let store = try Store.openBlocking(at: folder, .write)
            let opened = (ContinuousClock.now - start).seconds
            if round == 0 {
                report("resident", try residentMebibytes(), "MiB", "<= 100")
                report("of it by opening", try residentMebibytes() - before, "MiB")
                report("descriptors", Double(try descriptors()), "files", "<= 1024")
                try use(store)
            } else {
                seconds.append(opened)
            }
            guard store.streamNames.count == Self.streamCount else {
                throw Usage("Streams are gone.")
            }
            try store.closeBlocking()
        }
        seconds.sort()
        report("open, best round", seconds[0], "s", "<= 1")
        report("open, median", seconds[seconds.count / 2], "s", "<= 1")
    }

    /// Every stream is taken up, read to its end, and appended to; and once more in turn.
    private func use(_ store: Store) throws {
        try walk(store, "read and append in each", "once") { stream in
            var cursor = try stream.cursor(from: .first)
            guard case .batch = try cursor.next() else { throw Usage("\(stream.name) is empty.") }
            try stream.syncWriter().append(value: Array("one more".utf8))
        }
        try walk(store, "append in each again", "twice") { stream in
            try stream.syncWriter().append(value: Array("and another".utf8))
        }
    }

    private func walk(
        _ store: Store, _ what: String, _ howOften: String, _ use: (LogStream) throws -> Void
    ) throws {
        let start = ContinuousClock.now
        var descriptorsMost = 0
        for (number, name) in store.streamNames.enumerated() {
            try use(try store.streamBlocking(name.description))
            if number % 100 == 0 { descriptorsMost = max(descriptorsMost, try descriptors()) }
        }
        report(what, (ContinuousClock.now - start).seconds, "s")
        let all = "all appended to \(howOften)"
        report("resident, \(all)", try residentMebibytes(), "MiB", "<= 100")
        report("descriptors at most, \(all)", Double(descriptorsMost), "files", "<= 1024")
    }

    private func residentMebibytes() throws -> Double {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return (Double(line.split(separator: " ").dropFirst().first ?? "0") ?? 0) / 1024
    }

    private func descriptors() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }

    private func report(_ name: String, _ value: Double, _ unit: String, _ target: String = "") {
        Figure(scene: "streams", name: name, value: value, unit: unit, target: target).print()
    }
}
