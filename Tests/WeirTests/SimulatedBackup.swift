import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@testable import Weir

/// A store on one simulated disk and its backups on another.
struct SimulatedBackup {
    typealias Engine = StoreEngine<SimulatedFileSystem>

    let machine: SimulatedMachine
    var source: SimulatedFileSystem
    var target: SimulatedFileSystem

    init(seed: UInt64) {
        machine = SimulatedMachine(seed: seed)
        source = SimulatedFileSystem(seed: seed)
        target = SimulatedFileSystem(seed: seed &+ 1)
    }

    func open() throws -> Engine {
        try StoreEngine.open(files: source, host: machine.host, creating: true)
    }

    @discardableResult
    func backup(_ options: BackupOptions = .init()) throws(WeirError) -> BackupReport {
        try BackupRun.run(
            source: source, target: target, host: machine.host, options: options
        ) { _, _ in true }
    }

    func snapshots() throws(WeirError) -> [BackupSnapshot] {
        try BackupDirectory(reading: target).snapshots()
            .map { BackupSnapshot(name: $0.name, $0.contents) }
    }

    /// A store of a snapshot, open for reading, and what restoring it found.
    func restore(
        _ name: String, _ options: RestoreOptions = .init()
    ) throws(WeirError) -> (engine: Engine, report: RestoreReport) {
        let restored = SimulatedFileSystem(seed: 99)
        let report = try restore(name, options, into: restored)
        return (
            try StoreEngine.openReadOnly(files: restored, host: machine.host), report
        )
    }

    @discardableResult
    func restore(
        _ name: String, _ options: RestoreOptions = .init(), into restored: SimulatedFileSystem
    ) throws(WeirError) -> RestoreReport {
        let snapshot = try BackupDirectory(reading: target).read(name)
        let plan = try RestorePlan(
            snapshot, called: name, names: options.streams, limit: options.end)
        return try RestoreRun.run(
            plan, from: target, into: restored, host: machine.host,
            progress: { _, _ in true }, publish: { () throws(WeirError) in })
    }

    /// The first offsets of the batches of the stream `s` in a snapshot.
    func offsets(_ name: String, _ options: RestoreOptions = .init()) throws -> [UInt64] {
        let view = try SmallStream.view(restore(name, options).engine)
        var cursor = LogCursor(view: view, at: .zero)
        var found: [UInt64] = []
        while true {
            switch try cursor.next() {
            case .batch(let header): found.append(header.firstOffset.value)
            case .gap: continue
            case .end, .held: return found
            }
        }
    }
}
