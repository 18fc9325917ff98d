import Foundation
import Synchronization
import Testing
import Weir
import WeirTesting

/// Compaction under load: one writer, readers of all kinds, and a compaction after the other.
///
/// The values are counters, so that a reader can hold each record against the one before it, and
/// all of them against what was acknowledged before it began. `WEIR_COMPACTION_SECONDS=60` runs it
/// for longer than CI's five seconds, and it goes on until a segment was rewritten.
@Suite("A stream that is compacted while it is used")
struct CompactionLoadTests {
    private static let keyCount = 400

    /// Of a key: the counters of its latest record, and of its latest tombstone.
    private struct Latest {
        var counter = -1
        var deletion = -1
        var isGone: Bool { deletion >= counter }
    }

    /// What was appended, or what a reader has seen of it.
    private struct Known {
        var latest: [[UInt8]: Latest] = [:]
        /// The counters of records without a key.
        var keyless: [Int] = []

        /// The first key whose record a reader should have seen that saw only these.
        ///
        /// `sent`: what was on its way when the reader ended. It may have superseded the record; a
        /// deletion may have taken both it and itself. `isBounded`: the reader did not look behind
        /// the end that it found at first.
        func missing(of before: Known, sent: Known, isBounded: Bool = false) -> String? {
            for (key, wanted) in before.latest where !wanted.isGone {
                let seen = latest[key] ?? Latest()
                let now = sent.latest[key] ?? wanted
                if seen.counter >= wanted.counter, !seen.isGone { continue }
                if now.deletion > wanted.counter { continue }
                if isBounded, now.counter > wanted.counter { continue }
                return "\(text(key)) is \(seen), and \(wanted) was acknowledged"
            }
            return keyless.starts(with: before.keyless)
                ? nil : "of \(before.keyless.count) records without a key some are gone"
        }
    }

    /// What one reader has seen so far.
    private struct Watch {
        var next = Offset(0)
        var known = Known()
        var problem: String?

        mutating func note(_ copy: Record) {
            if copy.offset < next { problem = problem ?? "\(copy.offset) comes behind \(next)" }
            next = copy.offset + 1
            guard let value = copy.value else {
                let counter = known.latest[copy.key ?? []]?.counter ?? -1
                known.latest[copy.key ?? []] = Latest(counter: counter, deletion: counter)
                return
            }
            guard let counter = Int(text(value)) else {
                problem = problem ?? "record \(copy.offset) is not what was appended"
                return
            }
            guard let key = copy.key else { return known.keyless.append(counter) }
            if counter <= known.latest[key]?.counter ?? -1 {
                problem = problem ?? "\(text(key)) goes back to \(counter) at \(copy.offset)"
            }
            known.latest[key] = Latest(counter: counter)
        }

        func hold(_ found: String?) throws {
            if let problem = problem ?? found { throw WeirError(.damaged, problem) }
        }

        /// Whether the writer's last record was among them.
        var isAtEnd: Bool { known.latest[lastKey] != nil }

        /// Of all that was appended. Of a key that is gone, a reader may have missed the tombstone.
        func holdAll(of tally: Tally) throws {
            let all = tally.sent.withLock { $0 }
            try hold(known.missing(of: all, sent: all))
            guard known.keyless == all.keyless else {
                throw WeirError(.damaged, "records without a key were invented")
            }
        }
    }

    /// Segments that were rewritten, and what was appended.
    private final class Tally: Sendable {
        let rewrites = Atomic(0)
        let sent = Mutex(Known())
        let acknowledged = Mutex(Known())
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
            group.addTask { try await Self.write(stream, tally) }
            group.addTask {
                while !tally.isOver {
                    let report = try await stream.compact(.init(isNow: true))
                    tally.rewrites.add(report.segmentsRewritten, ordering: .relaxed)
                }
            }
            for _ in 0..<10 {
                group.addTask {
                    while !tally.isOver {
                        try Self.walk(stream, tally)
                        await Task.yield()
                    }
                }
            }
            group.addTask { try await Self.readKeys(stream, tally) }
            group.addTask { try await Self.subscribe(stream, tally) }
            group.addTask { try await Self.consume(stream, tally) }
            try await group.waitForAll()
        }
        _ = try await stream.compact(.init(isNow: true))
        try Self.walk(stream, tally)
        // Each key once, and of those that are gone at most the tombstone.
        let all = tally.acknowledged.withLock { $0 }
        let kept = try stream.all().filter { $0.value != nil }
        #expect(Set(kept.compactMap(\.key)) == Set(all.latest.filter { !$0.value.isGone }.keys))
        #expect(kept.count == all.latest.count { !$0.value.isGone } + all.keyless.count)
        try await store.close()
    }

    private static func write(_ stream: LogStream, _ tally: Tally) async throws {
        var random = SeededRandom(seed: 1)
        var number = 0
        var known = Known()
        while !tally.isOver {
            var batch = Batch()
            for _ in 0...random.below(200) {
                number += 1
                if random.oneIn(300) {
                    _ = try batch.append(key: nil, headers: [:], value: bytes("\(number)"))
                    known.keyless.append(number)
                    continue
                }
                let key = bytes("key \(random.below(keyCount))")
                let isGone = random.oneIn(20)
                _ = try batch.append(
                    key: key, headers: [:], value: isGone ? nil : bytes("\(number)"))
                known.latest[key, default: Latest()].counter = number
                if isGone { known.latest[key]?.deletion = number }
            }
            tally.sent.withLock { $0 = known }
            try await stream.append(&batch)
            tally.acknowledged.withLock { $0 = known }
        }
        known.latest[lastKey] = Latest(counter: number)
        tally.sent.withLock { $0 = known }
        try await stream.append(key: lastKey, value: bytes("\(number)"))
        tally.acknowledged.withLock { $0 = known }
    }

    /// From the start: what is there is the newest of its key by then.
    private static func walk(_ stream: LogStream, _ tally: Tally) throws {
        let before = tally.acknowledged.withLock { $0 }
        var watch = Watch()
        var cursor = try stream.cursor(from: .first)
        walk: while true {
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                while let record = records.next() { watch.note(record.copy()) }
            case .gap(let gap): throw WeirError(.gap, "gap: \(gap)")
            case .end: break walk
            }
        }
        try watch.hold(watch.known.missing(of: before, sent: tally.sent.withLock { $0 }))
    }

    private static func readKeys(_ stream: LogStream, _ tally: Tally) async throws {
        var random = SeededRandom(seed: 2)
        while !tally.isOver {
            let key = bytes("key \(random.below(keyCount))")
            var before = Known()
            before.latest[key] = tally.acknowledged.withLock { $0.latest[key] }
            var watch = Watch()
            var records = try stream.records(key: key)
            while case .record(let record) = try records.next() { watch.note(record) }
            let sent = tally.sent.withLock { $0 }
            try watch.hold(watch.known.missing(of: before, sent: sent, isBounded: true))
            await Task.yield()
        }
    }

    private static func subscribe(_ stream: LogStream, _ tally: Tally) async throws {
        var watch = Watch()
        for try await batch in try stream.subscribe(from: .first) {
            for record in batch { watch.note(record) }
            try watch.hold(nil)
            if watch.isAtEnd { break }
        }
        try watch.holdAll(of: tally)
    }

    /// Commits to a cursor, and begins where that stands again and again.
    private static func consume(_ stream: LogStream, _ tally: Tally) async throws {
        var random = SeededRandom(seed: 3)
        var watch = Watch()
        while !watch.isAtEnd {
            for try await batch in try stream.subscribe(from: .cursor("consumer")) {
                for record in batch { watch.note(record) }
                try watch.hold(nil)
                try await stream.savedCursor("consumer").commit(upTo: batch.endOffset)
                if watch.isAtEnd || random.oneIn(8) { break }
            }
        }
        try watch.holdAll(of: tally)
    }
}
