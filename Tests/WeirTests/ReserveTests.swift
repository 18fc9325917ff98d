import Foundation
import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("The reserve for a full disk")
struct ReserveTests {
    private let folder = TemporaryFolder()
    private static let full = WeirError(.noSpace, "the disk is full")

    private func open() throws -> (RealFileSystem, DiskReserve<RealFileSystem>) {
        let files = try RealFileSystem.openRoot(folder.path, creating: true)
        return (files, DiskReserve(files: files))
    }

    @Test func `is lent once, and made again when there is room`() throws {
        let (files, reserve) = try open()
        #expect(!reserve.lend())
        #expect(reserve.make())
        #expect(try files.list("") == ["reserve"])
        #expect(reserve.lend())
        #expect(reserve.isLent)
        #expect(try files.list("") == [])
        #expect(!reserve.lend())
        #expect(reserve.make())
        #expect(!reserve.isLent)
    }

    @Test func `is found by the next process`() throws {
        let (files, reserve) = try open()
        #expect(reserve.make())
        #expect(DiskReserve(files: files).make())
        #expect(DiskReserve(files: files).lend())
        #expect(try files.list("") == [])
    }

    @Test func `has what met a full disk done once more`() throws {
        let (_, reserve) = try open()
        reserve.make()
        var tries = 0
        let result = try reserve.lending(isFull: WeirError.isNoSpace) { () throws(WeirError) in
            tries += 1
            if tries == 1 { throw Self.full }
            return "done"
        }
        #expect(result == "done")
        // There is nothing to lend any more, but somebody may have given room back.
        #expect(throws: WeirError.self) {
            try reserve.lending(isFull: WeirError.isNoSpace) { () throws(WeirError) in
                tries += 1
                throw Self.full
            }
        }
        #expect(tries == 4)
    }

    @Test func `is not made again from under those whom it was lent to`() throws {
        let (_, reserve) = try open()
        reserve.make()
        var made: [Bool] = []
        try reserve.lending(isFull: WeirError.isNoSpace) { () throws(WeirError) in
            made.append(reserve.make())
            if made.count == 1 { throw Self.full }
        }
        #expect(made == [true, false])
        #expect(reserve.make())
    }

    @Test func `is not touched by other errors`() throws {
        let (_, reserve) = try open()
        reserve.make()
        #expect(throws: WeirError.self) {
            try reserve.lending(isFull: WeirError.isNoSpace) { () throws(WeirError) in
                throw WeirError(.system, "the disk is broken")
            }
        }
        #expect(!reserve.isLent)
    }

    /// A file has so many bytes at most: with fewer than its own there is no room for a reserve.
    @Test(arguments: [192 << 10, 8 << 20])
    func `keeps users out while it is lent, and no longer`(capacity: Int) throws {
        let disk = SimulatedFileSystem(seed: 1, capacity: capacity)
        let engine = try StoreEngine.open(
            files: disk, host: SimulatedMachine(seed: 1).host, creating: true)
        let writer = try SmallStream.create(in: engine)
        let reserve = writer.manifest.reserve
        try disk.close(try disk.open("reserve", .createExclusive))
        try SmallStream.append(to: writer)
        disk.failWrite(after: 1)
        try writer.commitBeside([.compacted(.zero)])
        #expect(reserve.isLent)
        let hasRoom = capacity > 4 << 20
        do throws(WeirError) {
            var builder = BatchBuilder(byteLimit: 4 << 10)
            _ = builder.append(value: [UInt8](repeating: 1, count: 10).span.bytes)
            _ = try writer.append(&builder, needsSync: false)
            #expect(hasRoom)
        } catch {
            #expect(error.code == .noSpace && !hasRoom)
        }
        #expect(reserve.isLent != hasRoom)
        try engine.close()
    }
}
