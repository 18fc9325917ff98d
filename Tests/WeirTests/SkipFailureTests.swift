import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirRecovery
import WeirTesting

/// A hole that says it replaces the active segment, and no edit lists, would take that one's place
/// where a manifest is made anew from the files.
@Suite("A hole at a log's end whose edit fails")
struct SkipFailureTests {
    private typealias Files = FaultyFileSystem<SimulatedFileSystem>

    private let disk = SimulatedFileSystem(seed: 5)
    private let files: Files
    private let writer: LogWriter<Files>

    init() throws {
        files = Files(disk)
        let host = SimulatedMachine(seed: 5).host
        let engine = try StoreEngine.open(files: files, host: host, creating: true)
        writer = try SmallStream.create(in: engine)
        try SmallStream.append(to: writer)
        try writer.sealActive()
    }

    /// The manifest's opening fails once the hole's own file is there; `isStuck`: that one stays.
    private func skip(_ code: WeirError.Code, isStuck: Bool = false) throws -> WeirError? {
        let isThere = Lock(false)
        files.follow { operation, path in
            if operation == .open(.createExclusive), path.hasSuffix(".segment") {
                isThere.withLock { $0 = true }
            }
            guard isThere.withLock({ $0 }) else { return nil }
            if operation == .open(.readWrite), path.hasSuffix("MANIFEST") { return .fails(code) }
            return isStuck && operation == .remove ? .fails(.system) : nil
        }
        defer { files.follow { _, _ in nil } }
        let row = ProducerRow(name: try ProducerName("p"), lastPublishingID: 7, offset: .zero)
        let end = writer.nextOffset
        return #expect(throws: WeirError.self) {
            _ = try writer.skip(from: end, to: end + 9, noting: row)
        }
    }

    private func strays() throws -> Set<SegmentID> {
        let listed = Set(writer.manifest.state.segments.map(\.id))
        let directory = try StreamDirectory.list(writer.streamID, files: disk)
        return Set(directory.segments.keys).subtracting(listed)
    }

    @Test func `leaves no file, and the log goes on, where no descriptor is left`() throws {
        #expect(try skip(.exhausted)?.code == .exhausted)
        #expect(try strays() == [])
        try SmallStream.append(to: writer)
    }

    @Test(arguments: [(WeirError.Code.exhausted, true), (.system, false)])
    func `ends the writing where the file stays`(code: WeirError.Code, isStuck: Bool) throws {
        #expect(try skip(code, isStuck: isStuck)?.code == code)
        #expect(try strays().count == 1)
        let error = #expect(throws: WeirError.self) { try SmallStream.append(to: writer) }
        #expect(error != nil && writer.poison != nil)
    }
}
