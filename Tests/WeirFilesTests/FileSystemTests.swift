import Foundation
import Testing
import WeirBase
import WeirFiles
import WeirTesting

/// A suite holds one: it lives as long as the test does.
private final class Folder {
    let path = NSTemporaryDirectory() + "weir-files-" + UUID().uuidString
    deinit {
        guard FileManager.default.fileExists(atPath: path) else { return }
        do { try FileManager.default.removeItem(atPath: path) } catch { print(error) }
    }
    func root() throws -> RealFileSystem { try RealFileSystem.openRoot(path, creating: true) }
}

@Suite("The laws of the file system")
struct FileSystemLawTests {
    private let folder = Folder()

    @Test func `hold on the real one`() throws {
        #expect(try checkFileSystem(folder.root()) == [])
    }

    @Test(arguments: 0..<50) func `hold on the crashing one`(seed: UInt64) throws {
        #expect(try checkFileSystem(SimulatedFileSystem(seed: seed)) == [])
    }

    @Test func `hold on the faulty one while its writes are short`() throws {
        let files = FaultyFileSystem(try folder.root()) { operation, _ in
            operation == .write ? .short(3) : nil
        }
        #expect(try checkFileSystem(files) == [])
        #expect(files.hits > 1000)
    }

    @Test(arguments: Breach.allCases)
    func `are found broken where one is`(breach: Breach) throws {
        do throws(WeirError) {
            let broken = try checkFileSystem(LawlessFileSystem(breach: breach))
            #expect(broken.contains { $0.contains(breach.law) })
        } catch {
            Issue.record("the checker itself gave up: \(error)")
        }
    }

    @Test(arguments: 0..<100) func `keep through power loss what was synced`(seed: UInt64) throws {
        let files = SimulatedFileSystem(seed: seed)
        let file = try files.open("kept", .createExclusive)
        try files.writeAll(file, Array(0..<100), at: .zero)
        try files.sync(file)
        try files.syncDirectory("")
        try files.writeAll(file, [UInt8](repeating: 255, count: 10), at: FilePosition(90))
        let after = files.afterPowerLoss(seed: seed)
        let found = try after.read(try after.open("kept", .read), at: .zero, byteCount: 100)
        #expect(found.prefix(90) == ArraySlice(0..<90))
        #expect(found.count == 100)
    }

    @Test func `promise nothing of what was not synced`() throws {
        var lostNames = 0
        var lostBytes = 0
        for seed in 0..<100 as Range<UInt64> {
            let files = SimulatedFileSystem(seed: seed)
            let file = try files.open("f", .createExclusive)
            if seed % 2 == 0 { try files.syncDirectory("") }
            try files.writeAll(file, Array(1...100), at: .zero)
            let after = files.afterPowerLoss(seed: seed)
            guard try after.list("").contains("f") else {
                lostNames += 1
                continue
            }
            let found = try after.read(try after.open("f", .read), at: .zero, byteCount: 100)
            if found != Array(1...100) { lostBytes += 1 }
        }
        #expect(lostNames > 5)
        #expect(lostBytes > 5)
    }
}

@Suite("The real file system")
struct RealFileSystemTests {
    private let folder = Folder()

    @Test func `follows no symbolic link`() throws {
        let files = try folder.root()
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/link", withDestinationPath: "/etc/passwd")
        #expect(throws: WeirError.self) { try files.open("link", .read) }
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/folder", withDestinationPath: "/etc")
        #expect(throws: WeirError.self) { try files.open("folder/passwd", .read) }
        #expect(throws: WeirError.self) { try files.list("folder") }
    }

    @Test func `does not leave its root`() throws {
        let files = try folder.root()
        #expect(throws: WeirError.self) { try files.open("../escaped", .createExclusive) }
        #expect(throws: WeirError.self) { try files.open("/etc/passwd", .read) }
    }

    @Test func `does not wait for a FIFO`() throws {
        let files = try folder.root()
        #expect(mkfifo(folder.path + "/pipe", 0o600) == 0)
        #expect(throws: WeirError.self) { try files.open("pipe", .read) }
    }

    @Test func `writes no file that has a second name`() throws {
        let files = try folder.root()
        try files.close(try files.open("one", .createExclusive))
        try FileManager.default.linkItem(
            atPath: folder.path + "/one", toPath: folder.path + "/two")
        #expect(throws: WeirError.self) { try files.open("one", .readWrite) }
        try files.close(try files.open("one", .read))
    }

    @Test func `makes what only its owner may read`() throws {
        let files = try folder.root()
        try files.close(try files.open("f", .createExclusive))
        func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        #expect(try mode(folder.path) == 0o700)
        #expect(try mode(folder.path + "/f") == 0o600)
    }

    @Test func `says how far a map is in memory, and no farther than was asked`() throws {
        let files = try folder.root()
        let file = try files.open("f", .createExclusive)
        try files.writeAll(file, [UInt8](repeating: 7, count: 6 * 4096), at: .zero)
        let map = try files.map(file, byteCount: 8 * 4096)
        let own = try map.populate(4096..<4196)
        #expect((4196...2 * 4096).contains(own))
        let seen = try map.populate(4096..<4196, lookingUpTo: 3 * 4096)
        #expect((4196...3 * 4096).contains(seen))
        // Behind the file's end there is nothing.
        #expect(try map.populate(4096..<4196, lookingUpTo: 9 * 4096) <= 6 * 4096)
        try files.close(file)
    }

    #if os(Linux)
        @Test func `turns a page that vanished into zeros and a mark`() throws {
            let files = try folder.root()
            let file = try files.open("f", .createExclusive)
            try files.writeAll(file, [UInt8](repeating: 7, count: 3 * 4096), at: .zero)
            let map = try files.map(file, byteCount: 3 * 4096)
            try files.truncate(file, to: 4096)
            #expect(throws: WeirError.self) { try map.populate(0..<3 * 4096) }
            #expect(!map.lostPages)
            #expect(map.bytes.unsafeLoad(fromByteOffset: 2 * 4096, as: UInt8.self) == 0)
            #expect(map.lostPages)
            #expect(map.bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == 7)
            try files.close(file)
        }
    #endif

    @Test func `wakes who waits on a word in another thread`() throws {
        let files = try folder.root()
        let file = try files.open("f", .createExclusive)
        try files.truncate(file, to: 4096)
        let map = try files.mapForPublishing(file, byteCount: 4096)
        let woken = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            while map.bytes.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt32.self) == 0 {
                map.wait(while: 0, at: 0, milliseconds: 60_000)
            }
            woken.signal()
        }
        [1, 2].withUnsafeBytes { map.publish($0, at: 64, waking: 0) }
        #expect(woken.wait(timeout: .now() + 30) == .success)
        try files.close(file)
    }
}
