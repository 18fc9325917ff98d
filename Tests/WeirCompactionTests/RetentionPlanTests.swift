import Testing
import WeirBase
import WeirFormat

@testable import WeirCompaction

@Suite("A retention plan")
struct RetentionPlanTests {
    /// Segments of ten records and a hundred bytes, appended one a second; the last is active.
    private func entries(_ count: UInt64, fileBytes: UInt64 = 100) -> [SegmentEntry] {
        (0..<count).map { index in
            var entry = SegmentEntry(
                id: SegmentID(index + 1), base: Offset(10 * index), epoch: Epoch(1))
            guard index + 1 < count else { return entry }
            var summary = SegmentSummary(base: entry.base)
            summary.endOffset = Offset(10 * index + 10)
            summary.lastAppendTime = Timestamp(microseconds: Int64(index + 1) * 1_000_000)
            entry.sealed = SealedSegment(
                summary: summary, batchesEnd: FilePosition(90), fileBytes: fileBytes,
                footerChecksum: 0)
            return entry
        }
    }

    private func plan(
        _ policy: RetentionPolicy, committed: [String: Offset] = [:], now seconds: Int64 = 100,
        fileBytes: UInt64 = 100
    ) -> RetentionPlan {
        RetentionPlan(
            entries(6, fileBytes: fileBytes), byteCount: 550, end: Offset(55), policy: policy,
            committed: committed,
            now: Timestamp(microseconds: seconds * 1_000_000))
    }

    @Test func `lets nothing go without a limit`() {
        let plan = plan(RetentionPolicy())
        #expect(plan.retired == [])
        #expect(plan.logStart == nil)
    }

    @Test(arguments: [(97, 0), (98, 1), (100, 3), (1000, 5)])
    func `lets go what is older than the age`(now: Int64, count: Int) {
        // The n-th segment was appended at second n.
        #expect(plan(RetentionPolicy(ageSecondsMax: 97), now: now).retired.count == count)
    }

    @Test(arguments: [(1, 5), (50, 5), (51, 4), (150, 4), (151, 3), (450, 1), (451, 0)])
    func `keeps at least the newest bytes`(limit: Int, count: Int) {
        #expect(plan(RetentionPolicy(bytesMax: limit)).retired.count == count)
    }

    @Test(arguments: [(1, 5), (5, 5), (6, 4), (45, 1), (46, 0)])
    func `keeps at least the newest records`(limit: Int, count: Int) {
        #expect(plan(RetentionPolicy(recordsMax: limit)).retired.count == count)
    }

    @Test func `begins the log with the first segment that stays`() {
        let plan = plan(RetentionPolicy(recordsMax: 30))
        #expect(plan.retired.map(\.id) == [SegmentID(1), SegmentID(2)])
        #expect(plan.logStart == Offset(20))
    }

    @Test func `never lets the last segment go`() {
        #expect(plan(RetentionPolicy(ageSecondsMax: 1, bytesMax: 1)).logStart == Offset(50))
    }

    @Test func `is held back by the cursor that has committed least`() {
        let policy = RetentionPolicy(recordsMax: 1, heldBy: ["a", "b"])
        let plan = plan(policy, committed: ["a": Offset(40), "b": Offset(29)])
        #expect(plan.logStart == Offset(20))
        #expect(plan.heldBy == "b")
        #expect(!plan.isForced)
    }

    @Test func `is held back by a cursor that never committed`() {
        let plan = plan(RetentionPolicy(recordsMax: 1, heldBy: ["a"]))
        #expect(plan.retired == [])
        #expect(plan.heldBy == "a")
    }

    @Test func `is held back by nobody who has committed what goes`() {
        let policy = RetentionPolicy(recordsMax: 35, heldBy: ["a"])
        let plan = plan(policy, committed: ["a": Offset(20)])
        #expect(plan.logStart == Offset(20))
        #expect(plan.heldBy == nil)
    }

    @Test(arguments: [(100, 4), (199, 4), (200, 3), (500, 0)])
    func `lets go beyond the bound what a cursor holds back`(limit: Int, count: Int) {
        let plan = plan(RetentionPolicy(recordsMax: 1, heldBy: ["a"], heldBytesMax: limit))
        #expect(plan.retired.count == count)
        #expect(plan.isForced == (count > 0))
        #expect(plan.heldBy == "a")
    }

    @Test func `has a bound for what a cursor holds back, unless somebody says none`() {
        var policy = RetentionPolicy(recordsMax: 1, heldBy: ["a"])
        #expect(plan(policy, fileBytes: 20 << 30).retired.count == 2)
        policy.heldBytesMax = nil
        #expect(plan(policy, fileBytes: 20 << 30).retired == [])
    }

    @Test func `trims to an offset within a segment`() {
        let plan = RetentionPlan(entries(6), before: Offset(25), start: .zero)
        #expect(plan.retired.map(\.id) == [SegmentID(1), SegmentID(2)])
        #expect(plan.logStart == Offset(25))
    }

    @Test func `does not move the log's start back`() {
        #expect(RetentionPlan(entries(6), before: Offset(25), start: Offset(30)).logStart == nil)
    }
}

@Suite("The alarm for what is held back")
struct HeldAlarmTests {
    /// Segments of so many records and bytes each behind which a record stands, all of which could
    /// go; each cursor has committed so many of them.
    private func plan(
        _ count: UInt64, _ committed: [String: UInt64], heldBytesMax: Int? = nil
    ) -> RetentionPlan {
        let entries = (0...count).map { index in
            var entry = SegmentEntry(id: SegmentID(index + 1), base: Offset(index), epoch: Epoch(1))
            guard index < count else { return entry }
            var summary = SegmentSummary(base: entry.base)
            summary.endOffset = Offset(index + 1)
            entry.sealed = SealedSegment(
                summary: summary, batchesEnd: FilePosition(90), fileBytes: 100, footerChecksum: 0)
            return entry
        }
        return RetentionPlan(
            entries, byteCount: 100 * count + 50, end: Offset(count + 1),
            policy: RetentionPolicy(
                recordsMax: 1, heldBy: committed.keys.sorted(), heldBytesMax: heldBytesMax),
            committed: committed.mapValues { Offset($0) }, now: .distantFuture)
    }

    @Test func `names a cursor again each time that the bytes have doubled`() {
        var alarm = HeldAlarm()
        let named = (1...9).filter { alarm.look(plan($0, ["a": 0])) == ["a"] }
        #expect(named == [1, 2, 4, 8])
    }

    @Test func `counts from the last time, whatever went in between`() {
        var alarm = HeldAlarm()
        // So many segments there are, and so many were committed.
        let looks: [(UInt64, UInt64)] = [(4, 0), (4, 3), (7, 0), (8, 0), (9, 0), (16, 0)]
        #expect(looks.map { alarm.look(plan($0.0, ["a": $0.1])).count } == [1, 0, 0, 1, 0, 1])
    }

    @Test func `names each cursor that begins to hold back`() {
        var alarm = HeldAlarm()
        #expect(alarm.look(plan(4, ["a": 0, "b": 4])) == ["a"])
        #expect(alarm.look(plan(5, ["a": 0, "b": 4])) == ["b"])
        // Of two the one that is furthest behind.
        #expect(alarm.look(plan(10, ["a": 0, "b": 4])) == ["a"])
        #expect(alarm.look(plan(10, ["a": 5, "b": 4])) == [])
        #expect(alarm.look(plan(10, ["a": 10, "b": 4])) == [])
        #expect(alarm.look(plan(10, ["a": 9, "b": 4])) == ["a"])
    }

    @Test func `forgets all of it once nothing is held back`() {
        var alarm = HeldAlarm()
        #expect(alarm.look(plan(4, ["a": 0])) == ["a"])
        #expect(alarm.look(plan(4, ["a": 4])) == [])
        #expect(alarm == HeldAlarm())
        #expect(alarm.look(plan(5, ["a": 4])) == ["a"])
    }

    @Test func `is not there for what goes by force, and goes on behind it`() {
        var alarm = HeldAlarm()
        #expect(alarm.look(plan(4, ["a": 0, "b": 1], heldBytesMax: 200)) == [])
        #expect(alarm.look(plan(2, ["a": 0, "b": 1], heldBytesMax: 200)) == ["b"])
        #expect(alarm.look(plan(2, ["a": 0, "b": 1], heldBytesMax: 200)) == [])
    }
}

@Suite("The clock of retention")
struct RetentionClockTests {
    private let day: Int64 = 86_400_000_000

    private func time(_ microseconds: Int64) -> Timestamp { Timestamp(microseconds: microseconds) }

    @Test func `goes with the wall clock`() {
        var clock = RetentionClock(wall: time(1000), witness: nil, monotonicNanoseconds: 0)
        #expect(clock.now(wall: time(3000), monotonicNanoseconds: 2_000_000) == time(3000))
        #expect(!clock.doubts(time(3000)))
    }

    @Test func `does not jump ahead with the wall clock, and catches up at double pace`() {
        var clock = RetentionClock(wall: time(0), witness: nil, monotonicNanoseconds: 0)
        let wall = time(3650 * day)
        #expect(clock.now(wall: wall, monotonicNanoseconds: 1_000_000) == time(2000))
        #expect(clock.doubts(wall))
    }

    @Test func `follows a wall clock that goes back`() {
        var clock = RetentionClock(wall: time(100 * day), witness: nil, monotonicNanoseconds: 0)
        #expect(clock.now(wall: time(day), monotonicNanoseconds: 1000) == time(day))
    }

    @Test func `is never early after a jump of ten years, ahead and back or back and ahead`() {
        for jump in [3653 * day, -3653 * day] {
            var clock = RetentionClock(
                wall: time(5000 * day), witness: nil, monotonicNanoseconds: 0)
            _ = clock.now(wall: time(5000 * day + jump), monotonicNanoseconds: 1_000_000)
            let wall = time(5000 * day + 2000)
            // It follows back at once, and ahead at twice the pace: late, and never early.
            let after = clock.now(wall: wall, monotonicNanoseconds: 2_000_000)
            #expect(after == (jump > 0 ? wall : time(5000 * day + jump + 2000)))
        }
    }

    @Test func `begins a week ahead of what is known, at most`() {
        var clock = RetentionClock(
            wall: time(3650 * day), witness: time(10 * day), monotonicNanoseconds: 5)
        #expect(clock.now(wall: time(3650 * day), monotonicNanoseconds: 5) == time(17 * day))
    }

    @Test func `is not confused by extremes`() {
        for wall in [Int64.min, 0, Int64.max] {
            for witness in [Int64.min, 0, Int64.max] {
                var clock = RetentionClock(
                    wall: time(wall), witness: time(witness), monotonicNanoseconds: 0)
                #expect(clock.now(wall: time(wall), monotonicNanoseconds: .max) <= time(wall))
                _ = clock.doubts(time(.max))
            }
        }
    }
}
