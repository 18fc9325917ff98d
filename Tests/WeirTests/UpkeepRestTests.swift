import Testing
import WeirBase
import WeirFlow

@testable import Weir

@Suite("The rest of upkeep")
struct UpkeepRestTests {
    private let start = ContinuousClock.now
    private func later(_ milliseconds: Int) -> ContinuousClock.Instant {
        start + .milliseconds(milliseconds)
    }

    @Test func `is three times the work while appends go on`() {
        var rest = UpkeepRest(groupsWritten: 5, at: start)
        let first = rest.microseconds(groupsWritten: 6, groupsUnderWay: 0, at: later(2))
        #expect(first == 6_000)
        rest.resume(at: later(8))
        let second = rest.microseconds(groupsWritten: 7, groupsUnderWay: 0, at: later(9))
        #expect(second == 3_000)
    }

    @Test func `is none where nothing is appended`() {
        var rest = UpkeepRest(groupsWritten: 5, at: start)
        for milliseconds in [1, 50, 1_000] {
            let found = rest.microseconds(
                groupsWritten: 5, groupsUnderWay: 0, at: later(milliseconds))
            #expect(found == 0)
        }
    }

    @Test func `goes on while one slow group is written`() {
        var rest = UpkeepRest(groupsWritten: 5, at: start)
        for milliseconds in [500, 501, 502] {
            rest.resume(at: later(milliseconds - 1))
            let found = rest.microseconds(
                groupsWritten: 5, groupsUnderWay: 1, at: later(milliseconds))
            #expect(found == 3_000)
        }
    }

    @Test func `goes on between groups that follow each other, and ends behind the last`() {
        var rest = UpkeepRest(groupsWritten: 5, at: start)
        _ = rest.microseconds(groupsWritten: 6, groupsUnderWay: 0, at: later(1))
        rest.resume(at: later(99))
        let between = rest.microseconds(groupsWritten: 6, groupsUnderWay: 0, at: later(100))
        #expect(between == 3_000)
        let behind = rest.microseconds(groupsWritten: 6, groupsUnderWay: 0, at: later(101))
        #expect(behind == 0)
    }

    @Test func `is never longer than its bound`() {
        var rest = UpkeepRest(groupsWritten: 5, at: start)
        let found = rest.microseconds(groupsWritten: 6, groupsUnderWay: 1, at: later(60_000))
        #expect(found == UpkeepRest.microsecondsMax)
    }

    @Test func `ends a turn that was told to end`() {
        let flow = StoreFlow(budgetBytes: Limits.subscriptionBytesDefault, flags: FlowFlags())
        defer { flow.end() }
        let turn = UpkeepTurn(flow: flow, progress: nil)
        turn.end()
        let error = #expect(throws: WeirError.self) { try turn.step(byteCount: 1) }
        #expect(error?.code == .closed)
    }
}
