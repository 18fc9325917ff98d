import Foundation
import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("Opening a store")
struct OpeningTests {
    /// Appends until the stream has so many sealed segments, the smallest that there are.
    private func fill<Files: FileSystem>(
        _ engine: StoreEngine<Files>, sealed count: Int
    ) throws {
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(count * 2 + 1, to: writer)
    }

    @Test func `reads manifests and no segment, however many there are`() throws {
        func operationsOfOpening(_ sealed: Int) throws -> Int {
            let disk = SimulatedFileSystem(seed: 1)
            let machine = SimulatedMachine(seed: 1)
            let first = try StoreEngine.open(files: disk, host: machine.host, creating: true)
            try fill(first, sealed: sealed)
            try first.close()
            let before = disk.operationCount
            _ = try StoreEngine.open(files: disk, host: machine.host, creating: false)
            return disk.operationCount - before
        }
        let few = try operationsOfOpening(2)
        let many = try operationsOfOpening(40)
        // The writes of a simulated disk are short now and then.
        #expect(many <= few + 4, "\(few) operations with 2 segments, \(many) with 40")
    }

    /// `WEIR_SEGMENTS=10000 swift test -c release --filter OpeningTests` prints the figure.
    @Test func `finds every segment again`() throws {
        let count =
            ProcessInfo.processInfo.environment["WEIR_SEGMENTS"].flatMap { Int($0) } ?? 50
        let folder = TemporaryFolder()
        let files = try RealFileSystem.openRoot(folder.path, creating: true)
        let first = try StoreEngine.open(files: files, host: .system(), creating: true)
        try fill(first, sealed: count)
        try first.close()
        var milliseconds: [Double] = []
        for _ in 0..<5 {
            let start = ContinuousClock.now
            let engine = try StoreEngine.open(files: files, host: .system(), creating: false)
            let taken = ContinuousClock.now - start
            milliseconds.append(Double(taken.components.attoseconds) / 1e15)
            #expect(engine.streams.first?.view.segments.count == count + 1)
            #expect(engine.reports.isEmpty)
            try engine.close()
        }
        print("opening \(count) sealed segments: \(milliseconds.sorted()[2]) ms, median of 5")
    }

    @Test func `gives out no offset before the log's start, whatever else is lost`() throws {
        var disk = SimulatedFileSystem(seed: 1)
        let machine = SimulatedMachine(seed: 1)
        // The second opening notes where the log ended, and then it begins later still.
        for (round, start) in [Offset(5), 9].enumerated() {
            let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
            let writer =
                round == 0 ? try SmallStream.create(in: engine) : try SmallStream.writer(engine)
            let isBegun = try writer.begin(at: start)
            #expect(isBegun)
            disk = disk.afterKill()
        }
        try disk.removeFile(StoreLayout.tail)
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: false)
        let writer = try SmallStream.writer(engine)
        #expect(writer.nextOffset == 9)
        try SmallStream.append(to: writer)
        #expect(try SmallStream.offsets(writer.view, from: 9) == [9])
        try engine.close()
    }
}
