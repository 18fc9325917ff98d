import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("The partitions of a group")
struct PartitionGroupTests {
    private let name: StreamName

    init() throws { name = try StreamName("g") }

    private func member(
        _ index: Int, of count: Int = 4, isEmpty: Bool = true, named: String? = nil
    ) throws -> PartitionGroup.Member {
        PartitionGroup.Member(
            name: try StreamName(named ?? "g-\(index)"),
            partition: try Partition(of: name, index: index, count: count), isEmpty: isEmpty)
    }

    private func failure(_ body: () throws(WeirError) -> Void) -> WeirError? {
        do throws(WeirError) {
            try body()
            return nil
        } catch {
            return error
        }
    }

    @Test func `are all made where there is none`() throws {
        #expect(try PartitionGroup(name, members: []).making(3) == .make([0, 1, 2]))
    }

    @Test func `are not made again when all are there, in whatever order they were found`() throws {
        let members = try [2, 0, 3, 1].map { try member($0, isEmpty: false) }
        let group = PartitionGroup(name, members: members)
        #expect(try group.making(4) == .done)
        try group.expectWhole()
        #expect(group.members.map(\.partition.index) == [0, 1, 2, 3])
    }

    @Test func `are completed after a crash in the middle`() throws {
        let group = PartitionGroup(name, members: try [0, 2].map { try member($0) })
        #expect(try group.making(4) == .make([1, 3]))
        let error = failure { () throws(WeirError) in try group.expectWhole() }
        #expect(error?.code == .damaged)
        #expect(error?.message.contains("2 of the 4 partitions of g are missing, g-1") == true)
        #expect(error?.message.contains("make it again") == true)
    }

    @Test func `are not completed where a missing one may have had records`() throws {
        let members = try [member(0), member(1, isEmpty: false), member(3)]
        let group = PartitionGroup(name, members: members)
        let error = failure { () throws(WeirError) in _ = try group.making(4) }
        #expect(error?.code == .damaged)
        #expect(error?.message.contains("1 of the 4 partitions of g is missing, g-2") == true)
    }

    @Test func `keep their number`() throws {
        let group = PartitionGroup(name, members: try (0..<4).map { try member($0) })
        let error = failure { () throws(WeirError) in _ = try group.making(8) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("has 4 partitions and 8 were asked for") == true)
    }

    @Test func `that contradict each other are refused`() throws {
        let group = PartitionGroup(name, members: [try member(0), try member(1, of: 5)])
        let error = failure { () throws(WeirError) in try group.expectWhole() }
        #expect(error?.code == .damaged)
        #expect(error?.message.contains("g-0 is one of 4, g-1 one of 5") == true)
    }

    @Test func `that bear another's name are refused`() throws {
        let members = [try member(0), try member(1, named: "h-1")]
        let group = PartitionGroup(name, members: members)
        let error = failure { () throws(WeirError) in try group.expectWhole() }
        #expect(error?.code == .damaged)
        #expect(error?.message.contains("The stream h-1 says that it is partition 1 of g") == true)
    }
}

@Suite("Making partitions")
struct MakingPartitionsTests {
    private let machine = SimulatedMachine(seed: 3)

    /// Stops the disk after so many operations of the making; then makes them again on what is
    /// left.
    private func trial(stoppingAfter operations: Int, powerLoss: Bool) throws -> Bool {
        let disk = SimulatedFileSystem(seed: UInt64(operations), capacity: 1 << 20)
        let group = try StreamName("g")
        let first = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        disk.stop(after: operations)
        var isMade = false
        do {
            isMade = try first.createPartitions(group, count: 3, StreamConfiguration())
        } catch {
            #expect(!isMade)
        }
        let left = powerLoss ? disk.afterPowerLoss(seed: 9) : disk.afterKill()
        if powerLoss { machine.restart() }
        let second = try StoreEngine.open(files: left, host: machine.host, creating: false)
        let again = try second.createPartitions(group, count: 3, StreamConfiguration())
        #expect(!isMade || !again, "what was made is there after a crash, \(operations)")
        let found = try second.partitions(of: group)
        #expect(found.map(\.name.description) == ["g-0", "g-1", "g-2"])
        #expect(second.groups.count == 1)
        try second.close()
        return isMade
    }

    @Test(arguments: [false, true])
    func `is completed by making them again, wherever a crash stopped it`(powerLoss: Bool) throws {
        var operations = 1
        while try !trial(stoppingAfter: operations, powerLoss: powerLoss) { operations += 1 }
        #expect(operations > 10)
    }

    @Test func `survives the loss of a manifest`() throws {
        let disk = SimulatedFileSystem(seed: 5, capacity: 1 << 20)
        let group = try StreamName("g")
        let first = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        _ = try first.createPartitions(
            group, count: 2, StreamConfiguration(durability: .flushed))
        for stream in try first.partitions(of: group) {
            var builder = BatchBuilder(byteLimit: 1024)
            let isAdded = builder.append(value: bytes("x").span.bytes)
            #expect(isAdded)
            _ = try stream.writer?.append(&builder, needsSync: true)
        }
        let id = try #require(try first.partitions(of: group).first).id
        try first.close()
        try disk.removeFile(StoreLayout.stream(id) + "/" + StoreLayout.manifestName)
        let second = try StoreEngine.open(files: disk, host: machine.host, creating: false)
        #expect(try second.partitions(of: group).count == 2)
    }

    @Test func `after a deletion that was stopped is refused until the rest is deleted`() throws {
        let disk = SimulatedFileSystem(seed: 6, capacity: 1 << 20)
        let group = try StreamName("g")
        let engine = try StoreEngine.open(files: disk, host: machine.host, creating: true)
        _ = try engine.createPartitions(group, count: 3, StreamConfiguration())
        for stream in try engine.partitions(of: group) {
            var builder = BatchBuilder(byteLimit: 1024)
            let isAdded = builder.append(value: bytes("x").span.bytes)
            #expect(isAdded)
            _ = try stream.writer?.append(&builder, needsSync: true)
        }
        try engine.deleteAlone(try StreamName("g-1")) {}
        #expect(throws: WeirError.self) { _ = try engine.partitions(of: group) }
        #expect(throws: WeirError.self) {
            _ = try engine.createPartitions(group, count: 3, StreamConfiguration())
        }
        try engine.deletePartitions(of: group)
        #expect(engine.groups.isEmpty)
        #expect(engine.streams.isEmpty)
        #expect(try engine.createPartitions(group, count: 5, StreamConfiguration()))
    }
}
