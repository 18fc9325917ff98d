import Foundation
import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

@testable import Weir

@Suite("A backup beside a writer in a hurry")
struct BackupRaceTests {
    private let folder = TemporaryFolder()

    private func root(_ name: String) throws -> RealFileSystem {
        _ = try RealFileSystem.openRoot(folder.path, creating: true)
        return try RealFileSystem.openRoot(folder.path + "/" + name, creating: true)
    }

    /// What the writing thread says, and what it is told.
    private struct Talk {
        var durableEnd: UInt64 = 0
        var appended = 0
        /// So many appends may have been made.
        var allowed = 0
        var isEnding = false
        var hasEnded = false
        var failure: String?
    }
    /// Beside each backup; so that the last one holds more than the first, however slow each is.
    /// `WEIR_BACKUP_APPENDS` says another number.
    private static let appendsABackup =
        Int(ProcessInfo.processInfo.environment["WEIR_BACKUP_APPENDS"] ?? "") ?? 800

    /// Segments of two batches each, so that they change all the while.
    private func write(
        _ writer: LogWriter<RealFileSystem>, isDurable: Bool, _ talk: Monitor<Talk>
    ) {
        do {
            while talk.wait(until: { talk -> Bool? in
                if talk.isEnding { return false }
                return talk.appended < talk.allowed ? true : nil
            }) == true {
                try SmallStream.append(to: writer)
                if isDurable { try writer.sync() }
                writer.work()
                let end = writer.durableEnd.value
                talk.signal { talk in
                    talk.durableEnd = end
                    talk.appended += 1
                }
            }
        } catch {
            talk.signal { $0.failure = "\(error)" }
        }
        talk.signal { $0.hasEnded = true }
    }

    @Test(.timeLimit(.minutes(2)), arguments: [Durability.durable, .flushed])
    func `holds what was durable when it began, in order, whichever segments came meanwhile`(
        durability: Durability
    ) throws {
        let source = try root("source")
        let engine = try StoreEngine.open(files: source, host: .system(), creating: true)
        let writer = try SmallStream.create(in: engine, durability: durability)
        let talk = Monitor(Talk())
        try SystemThread.start { write(writer, isDurable: durability == .durable, talk) }
        defer { talk.signal { $0.isEnding = true } }
        let target = try root("backup")
        var counts: [Int] = []
        while counts.count < 6 {
            let before = talk.wait { talk -> UInt64? in
                talk.appended == talk.allowed || talk.hasEnded ? talk.durableEnd : nil
            }
            talk.signal { $0.allowed += Self.appendsABackup }
            let report = try BackupRun.run(
                source: source, target: target, host: .system(), options: .init(keep: 2)
            ) { _, _ in true }
            #expect(report.damage.isEmpty)
            let found = try restored(report.snapshot.name, target, into: "r\(counts.count)")
            #expect(found == Array(0..<UInt64(found.count)))
            #expect(UInt64(found.count) >= before ?? 0)
            counts.append(found.count)
        }
        talk.signal { $0.isEnding = true }
        _ = talk.wait { $0.hasEnded ? true : nil }
        #expect(talk.read { $0.failure } == nil)
        #expect(counts == counts.sorted() && counts[0] < counts[5])
        try engine.close()
    }

    private func restored(
        _ name: String, _ backup: RealFileSystem, into folder: String
    ) throws -> [UInt64] {
        let target = try root(folder)
        let plan = try RestorePlan(
            try BackupDirectory(reading: backup).read(name), called: name, names: [], limit: nil)
        _ = try RestoreRun.run(
            plan, from: backup, into: target, host: .system(),
            progress: { _, _ in true }, publish: { () throws(WeirError) in })
        let engine = try StoreEngine.openReadOnly(files: target, host: .system())
        #expect(engine.reports.isEmpty)
        let offsets = try SmallStream.offsets(try SmallStream.view(engine))
        try engine.close()
        return offsets
    }
}
