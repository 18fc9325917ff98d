import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@testable import Weir

/// What was written by a clock that jumped is read by one that is right.
@Suite("A clock that jumps ten years")
struct ClockJumpTests {
    private typealias Engine = StoreEngine<RealFileSystem>
    private let folder = TemporaryFolder()
    private let machine = SimulatedMachine(seed: 6)
    private static let tenYears: Int64 = 315_576_000_000_000

    private func open() throws -> Engine {
        try Engine.open(
            files: try RealFileSystem.openRoot(folder.path, creating: true), host: machine.host,
            creating: true)
    }

    /// One record of a producer; returns when.
    @discardableResult
    private func append(
        _ id: UInt64, to writer: LogWriter<RealFileSystem>
    ) throws -> Timestamp {
        var builder = BatchBuilder(byteLimit: 4 << 10)
        let added = builder.append(value: [UInt8](repeating: 1, count: 1500).span.bytes)
        #expect(added)
        writer.producers.load(try writer.view.producers())
        let mark = ProducerMark(name: try ProducerName("p"), id: id, index: 0)
        _ = try writer.append(&builder, marks: [mark], needsSync: true)
        return writer.lastAppendTime
    }

    private func offsets(_ stream: LogStream, _ window: Range<Timestamp>) throws -> [UInt64] {
        var records = try stream.records(time: window)
        var found: [UInt64] = []
        while case .record(let record) = try records.next() { found.append(record.offset.value) }
        return found
    }

    /// Over segments of two batches, and an opening for each.
    @Test func `leaves every record, its time and what producers sent`() throws {
        var times: [Timestamp] = []
        let jumps: [Int64] = [0, 1, -1, -1, 1, 0]
        for (number, jump) in jumps.enumerated() {
            machine.moveClock(microseconds: jump * Self.tenYears)
            let engine = try open()
            let writer =
                number == 0 ? try SmallStream.create(in: engine) : try SmallStream.writer(engine)
            let id = UInt64(number)
            let known = try writer.view.producers().rows.map(\.lastPublishingID)
            #expect(known == (id > 0 ? [id] : []))
            times.append(try append(id + 1, to: writer))
            try engine.close()
        }
        let store = try Store.openBlocking(at: folder.path, .read)
        let stream = try store.streamBlocking("s")
        #expect(try stream.all().map(\.offset.value) == Array(0..<6))
        let second: Int64 = 1_000_000
        for (number, time) in times.enumerated() {
            let near = times.indices.filter {
                abs(times[$0].microseconds - time.microseconds) < second
            }
            let start = Timestamp(microseconds: time.microseconds - second)
            let window = start..<Timestamp(microseconds: time.microseconds + second)
            #expect(try offsets(stream, window) == near.map(UInt64.init), "record \(number)")
        }
        try store.closeBlocking()
    }

    /// In records it is what it is; in time, none where the record is of the future.
    @Test(arguments: [1, -1])
    func `is told of in a cursor's lag, and moves no cursor`(direction: Int64) throws {
        let now = Timestamp.now.microseconds - machine.host.now().microseconds
        machine.moveClock(microseconds: now + direction * Self.tenYears)
        let engine = try open()
        let writer = try SmallStream.create(in: engine)
        for id: UInt64 in 1...4 { try append(id, to: writer) }
        try engine.close()
        let store = try Store.openBlocking(at: folder.path)
        let stream = try store.streamBlocking("s")
        let cursor = try stream.savedCursor("c")
        try cursor.commitBlocking(upTo: 1)
        let lag = try stream.lag(from: 1)
        #expect(lag.records == 3)
        let time = try #require(lag.time)
        #expect(direction > 0 ? time == .zero : time >= .seconds(Self.tenYears / 1_000_000))
        try cursor.commitBlocking(upTo: 3)
        #expect(try cursor.position?.offset == 3)
        try store.closeBlocking()
    }
}
