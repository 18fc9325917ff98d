import Foundation
import Synchronization
import Testing
import Weir
import WeirTesting

/// Compaction under load: one writer, ten readers, a subscriber, and a compaction after the other.
///
/// The values are a counter a key, so that a reader can hold each record against the one before it:
/// offsets rise, a key's counter never falls, and at the end everything is there that a dictionary
/// keeps. `WEIR_COMPACTION_SECONDS=60` runs it for longer than CI's five seconds, and
/// it goes on until a segment was rewritten.
@Suite("A stream that is compacted while it is used")
struct CompactionLoadTests {
    private static let keyCount = 400

    /// What one reader has seen so far.
    private struct Watch {
        var next = Offset(0)
        var counters: [[UInt8]: Int] = [:]
        var problem: String?

        mutating func note(_ copy: Record) {
            guard let key = copy.key, let counter = Int(text(copy.value)) else {
                problem = problem ?? "record \(copy.offset) is not what was appended"
                return
            }
            if copy.offset < next { problem = problem ?? "\(copy.offset) comes behind \(next)" }
            if counter <= counters[key] ?? -1 {
                problem = problem ?? "\(text(key)) goes back to \(counter) at \(copy.offset)"
            }
            next = copy.offset + 1
            counters[key] = counter
        }
    }

    /// Segments that were rewritten, and keys that were written.
    private final class Tally: Sendable {
        let rewrites = Atomic(0)
        let keys = Mutex<Set<[UInt8]>>([lastKey])
        private let end = ContinuousClock.now + duration

        /// A machine with other work may need longer to rewrite the first.
        var isOver: Bool {
            ContinuousClock.now >= end && rewrites.load(ordering: .relaxed) > 0
        }
    }

    /// The key of the writer's last record.
    private static let lastKey = bytes("end")

    private static var duration: Duration {
        let asked = ProcessInfo.processInfo.environment["WEIR_COMPACTION_SECONDS"]
        return .seconds(asked.flatMap { Int($0) } ?? 5)
    }

    @Test(.timeLimit(.minutes(30))) func `shows no reader a repeat or a loss`() async throws {
        let folder = TemporaryFolder()
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream(
            "s",
            creating: .init(
                durability: .flushed, compaction: CompactionPolicy(tombstoneSecondsMin: 0)))
        let tally = Tally()

        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var random = SeededRandom(seed: 1)
                var number = 0
                while !tally.isOver {
                    var batch = Batch()
                    for _ in 0...random.below(200) {
                        number += 1
                        let key = bytes("key \(random.below(Self.keyCount))")
                        _ = try batch.append(key: key, headers: [:], value: bytes("\(number)"))
                        tally.keys.withLock { _ = $0.insert(key) }
                    }
                    try await stream.append(&batch)
                }
                try await stream.append(key: Self.lastKey, value: bytes("0"))
            }
            group.addTask {
                while !tally.isOver {
                    let report = try await stream.compact(.init(isNow: true))
                    tally.rewrites.add(report.segmentsRewritten, ordering: .relaxed)
                }
            }
            for _ in 0..<10 {
                group.addTask {
                    while !tally.isOver {
                        // Each walk from the start: what is there is the newest of its key by then.
                        if let problem = try Self.walk(stream) {
                            throw WeirError(.damaged, problem)
                        }
                        await Task.yield()
                    }
                }
            }
            group.addTask {
                var watch = Watch()
                let subscription = try stream.subscribe(from: .first)
                for try await batch in subscription {
                    for record in batch { watch.note(record) }
                    if let problem = watch.problem { throw WeirError(.damaged, problem) }
                    if watch.counters[Self.lastKey] != nil { break }
                }
            }
            try await group.waitForAll()
        }
        _ = try await stream.compact(.init(isNow: true))
        let kept = try stream.all()
        let keys = tally.keys.withLock { $0 }
        #expect(Set(kept.compactMap(\.key)) == keys)
        #expect(kept.count == keys.count)
        try await store.close()
    }

    private static func walk(_ stream: LogStream) throws -> String? {
        var watch = Watch()
        var cursor = try stream.cursor(from: .first)
        while true {
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                while let record = records.next() { watch.note(record.copy()) }
                if let problem = watch.problem { return problem }
            case .gap(let gap): return "gap: \(gap)"
            case .end: return nil
            }
        }
    }
}
