import Foundation
import Weir

/// Fills a stream for a compaction, and afterwards compares what it kept with what a dictionary
/// keeps. The compaction itself is left to `weir compact`, whose memory can be watched then.
struct CompactScene {
    private let arguments: Arguments
    private let records: CompactRecords
    private static let stream = "compacted"

    init(_ arguments: Arguments) throws {
        guard let pattern = arguments.pattern else {
            throw Usage("Give one of --random, --turns and --dead.\n" + IndexBench.usage)
        }
        self.arguments = arguments
        self.records = CompactRecords(pattern: pattern, count: arguments.records)
    }

    /// Nothing is compacted meanwhile, unless the lag is zero: no record is old enough.
    static func configuration(lagSeconds: Int) -> StreamConfiguration {
        StreamConfiguration(
            durability: .flushed, segmentBytes: 64 << 20, keyIndex: false,
            compaction: .init(lagSecondsMin: lagSeconds))
    }

    func fill() throws {
        let store = try Store.openBlocking(at: arguments.folder)
        try records.append(
            to: try store.streamBlocking(
                Self.stream, creating: Self.configuration(lagSeconds: arguments.lagSeconds)))
        try store.closeBlocking()
    }

    /// Every record that is left is the latest of its key, stands at its old offset and has its
    /// value; and of every key one is left.
    func check() throws {
        var latest: [UInt64: Int] = [:]
        for number in 0..<records.count { latest[records.key(of: number)] = number }
        let store = try Store.openBlocking(at: arguments.folder, .read)
        var kept = 0
        var digest: UInt64 = 0
        var key = [UInt8](repeating: 0, count: 16)
        var value = [UInt8](repeating: 0, count: CompactRecords.valueBytes)
        var cursor = try store.streamBlocking(Self.stream).cursor(from: .first)
        reading: while true {
            switch try cursor.next() {
            case .end: break reading
            case .gap(let gap): throw Usage("Records are missing: \(gap)")
            case .batch: break
            }
            var batch = cursor.records
            while let record = batch.next() {
                let number = Int(record.offset.value)
                let wanted = records.key(of: number)
                CompactRecords.put(wanted, into: &key)
                CompactRecords.put(number, into: &value)
                guard latest[wanted] == number, let stored = record.key, equal(stored, key),
                    equal(record.value, value)
                else { throw Usage("The record at \(number) is not what a dictionary keeps.") }
                kept += 1
                digest &+= CompactRecords.mixed(wanted &* 31 &+ UInt64(number))
            }
        }
        try store.closeBlocking()
        guard kept == latest.count else {
            throw Usage("\(kept) records are left of \(latest.count) keys.")
        }
        print("{\"kept\":\(kept),\"digest\":\"\(String(digest, radix: 16))\"}")
    }

    private func equal(_ bytes: RawSpan, _ expected: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { $0.elementsEqual(expected) }
    }
}
