import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("A read of a header that comes short")
struct ShortReadTests {
    @Test(arguments: [true, false])
    func `is no damage where the next one has it`(isExact: Bool) throws {
        let files = FaultyFileSystem(SimulatedFileSystem(seed: 8))
        let engine = try StoreEngine.open(
            files: files, host: SimulatedMachine(seed: 8).host, creating: true)
        let writer = try SmallStream.create(in: engine)
        try SmallStream.append(3, to: writer)
        let reads = Lock(0)
        files.follow { operation, path in
            guard operation == .read, path.hasSuffix(".segment") else { return nil }
            let isFirst = reads.withLock { count in
                count += 1
                return count == 1
            }
            return isFirst ? .short(8) : nil
        }
        var cursor = LogCursor(view: writer.view, at: .zero, mode: .copied, isExact: isExact)
        var offsets: [UInt64] = []
        while case .batch(let header) = try cursor.next() {
            offsets.append(header.firstOffset.value)
        }
        #expect(files.hits == 1)
        #expect(offsets == [0, 1, 2])
        let reports = cursor.reports
        #expect(reports.isEmpty)
    }
}
