import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("A manifest that grows")
struct ManifestFileTests {
    private static let id = StreamID(7)

    /// A stream's directory with a manifest of one edit.
    private func prepared(
        seed: UInt64
    ) throws -> (disk: SimulatedFileSystem, file: ManifestFile<SimulatedFileSystem>) {
        let disk = SimulatedFileSystem(seed: seed)
        try disk.createDirectory("streams")
        try disk.createDirectory(StoreLayout.stream(Self.id))
        let creation = ManifestEdit.created(Self.id, try StreamName("s"), StreamConfiguration())
        let (bytes, _) = creation.encode(sequence: 1, previous: 0)
        let file = try disk.open(StoreLayout.manifest(Self.id), .createExclusive)
        try disk.writeAll(file, bytes, at: .zero)
        try disk.sync(file)
        try disk.syncDirectory(StoreLayout.stream(Self.id))
        try disk.syncDirectory("streams")
        try disk.syncDirectory("")
        let state = try #require(try ManifestState.decodeAll(bytes)).state
        return (disk, ManifestFile(files: disk, state: state, rewriteBytes: 2048))
    }

    private func read(_ disk: SimulatedFileSystem) throws -> ManifestState {
        let file = try disk.open(StoreLayout.manifest(Self.id), .read)
        let bytes = try disk.read(file, at: .zero, byteCount: try disk.size(of: file))
        return try #require(try ManifestState.decodeAll(bytes)).state
    }

    @Test func `is written anew, and says the same`() throws {
        let (disk, file) = try prepared(seed: 1)
        for number in 1...200 { try file.append([.logStart(Offset(UInt64(number)))]) }
        #expect(file.state.byteCount < 4096)
        #expect(file.state.logStart == Offset(200))
        #expect(try read(disk) == file.state)
    }

    @Test func `forgets retired segments whose files are gone, and no others`() throws {
        let (disk, file) = try prepared(seed: 2)
        let kept = SegmentID(1)
        _ = try disk.open(
            StoreLayout.segment(Self.id, kept, base: .zero), .createExclusive)
        for number in 1...200 { try file.append([.retired([SegmentID(UInt64(number))])]) }
        #expect(file.state.retired.contains(kept))
        #expect(file.state.retired.count < 100)
    }

    /// Everything that was appended before the crash is there, wherever it comes.
    @Test func `keeps every edit, wherever the power fails`() throws {
        for operation in 1...400 {
            let (disk, file) = try prepared(seed: UInt64(operation))
            disk.stop(after: operation)
            var appended: UInt64 = 0
            do throws(WriteFailure) {
                while appended < 80 {
                    try file.append([.logStart(Offset(appended + 1))])
                    appended += 1
                }
            } catch {
                #expect(error.cause.code == .machineStopped)
            }
            let found = try read(disk.afterPowerLoss(seed: UInt64(operation))).logStart.value
            #expect(found == appended || found == appended + 1, "operation \(operation)")
        }
    }
}
