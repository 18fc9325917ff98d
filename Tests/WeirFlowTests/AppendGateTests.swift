import Testing
import WeirBase
import WeirFlow

@Suite("The gate in front of producers")
struct AppendGateTests {
    private typealias Answer = AppendGate.Answer

    private func size(_ bytes: Int, _ records: Int = 1) -> Credit {
        Credit(bytes: bytes, records: records)
    }

    private func makeGate(bytes: Int = 10, records: Int = 10, end: UInt64 = 0) -> AppendGate {
        AppendGate(limit: Credit(bytes: bytes, records: records), end: Offset(end))
    }

    private func at(_ nanoseconds: Int64) -> Moment { Moment(nanoseconds: nanoseconds) }

    /// A gate bound to a consumer that is there, at offset 0.
    private func makeBoundGate(records: Int, cap: Int64 = 100) -> AppendGate {
        var gate = makeGate(bytes: 1000, records: 1000)
        let bound = AppendGate.Bound(names: nil, lagRecords: records, capNanoseconds: cap)
        let effects = gate.change(limit: gate.limit, bound: bound, at: at(0))
        #expect(effects.asksReleases)
        #expect(gate.consumer("c", released: 0, at: at(0)).isNothing)
        return gate
    }

    /// Takes, and gives back as appended at once.
    private func append(
        _ records: Int, to gate: inout AppendGate, end: UInt64, at moment: Int64
    ) -> Answer {
        let (answer, _) = gate.take(size(1, records), at: at(moment))
        if answer == .taken {
            _ = gate.giveBack(size(1, records), end: Offset(end), at: at(moment))
        }
        return answer
    }

    // MARK: permits

    @Test func `lets pass what fits, and tells nothing then`() {
        var gate = makeGate()
        let (answer, effects) = gate.take(size(4), at: at(0))
        #expect(answer == .taken)
        #expect(effects.isNothing)
        #expect(gate.giveBack(size(4), at: at(0)).isNothing)
        #expect(gate.used == .zero)
    }

    @Test(arguments: [(6, 5, 1, 1), (1, 1, 10, 1), (10, 1, 1, 1)])
    func `lets wait what exceeds either part`(_ first: Int, _ next: Int, _ a: Int, _ b: Int) {
        var gate = makeGate()
        #expect(gate.take(size(first, a), at: at(0)).0 == .taken)
        let (answer, effects) = gate.take(size(next, b), at: at(0))
        #expect(answer == .wait(0))
        #expect(effects.signals == [.gateClosed])
        let after = gate.giveBack(size(first, a), at: at(0))
        #expect(after.admitted == [0])
        #expect(after.signals == [.gateOpened])
        #expect(gate.used == size(next, b))
    }

    @Test func `admits in the order of arrival, so that a small one passes no large one`() {
        var gate = makeGate()
        _ = gate.take(size(5), at: at(0))
        _ = gate.take(size(5), at: at(0))
        #expect(gate.take(size(9), at: at(0)).0 == .wait(0))
        #expect(gate.take(size(1), at: at(0)).0 == .wait(1))
        #expect(gate.giveBack(size(5), at: at(0)).admitted == [])
        #expect(gate.take(size(1), at: at(0)).0 == .wait(2))
        #expect(gate.giveBack(size(5), at: at(0)).admitted == [0, 1])
        #expect(gate.giveBack(size(9), at: at(0)).admitted == [2])
    }

    @Test func `lets one pass that is larger than all permits, alone`() {
        var gate = makeGate()
        #expect(gate.take(size(50), at: at(0)).0 == .taken)
        #expect(gate.take(size(1), at: at(0)).0 == .wait(0))
        #expect(gate.take(size(60), at: at(0)).0 == .wait(1))
        #expect(gate.giveBack(size(50), at: at(0)).admitted == [0])
        #expect(gate.giveBack(size(1), at: at(0)).admitted == [1])
    }

    @Test func `refuses who may not wait, and says once that it is closed`() {
        var gate = makeGate()
        _ = gate.take(size(8), at: at(0))
        let (answer, effects) = gate.take(size(3), at: at(0), mayWait: false)
        #expect(answer == .refused)
        #expect(effects.signals == [.gateRefused, .gateClosed])
        #expect(gate.take(size(3), at: at(0), mayWait: false).1.signals == [.gateRefused])
        #expect(gate.refusedSize == size(3))
        #expect(!gate.wouldPass(size(3)))
        #expect(gate.giveBack(size(8), at: at(0)).signals == [.gateOpened])
        #expect(gate.refusedSize == nil)
    }

    @Test func `refuses who may not wait while others do, even if it would fit`() {
        var gate = makeGate()
        _ = gate.take(size(8), at: at(0))
        _ = gate.take(size(5), at: at(0))
        #expect(gate.take(size(1), at: at(0), mayWait: false).0 == .refused)
        #expect(gate.used == size(8))
    }

    @Test func `forgets a cancelled ticket, and lets those behind it pass`() {
        var gate = makeGate()
        _ = gate.take(size(8), at: at(0))
        #expect(gate.take(size(9), at: at(0)).0 == .wait(0))
        #expect(gate.take(size(2), at: at(0)).0 == .wait(1))
        let effects = gate.cancel(0, at: at(0))
        #expect(effects.admitted == [1])
        #expect(effects.signals == [.gateOpened])
        #expect(gate.cancel(0, at: at(0)).isNothing)
        #expect(gate.cancel(1, at: at(0)).isNothing)
        #expect(gate.cancel(77, at: at(0)).isNothing)
        #expect(gate.waitingCount == 0)
    }

    @Test func `counts whose time is over as refused`() {
        var gate = makeGate()
        _ = gate.take(size(8), at: at(0))
        _ = gate.take(size(9), at: at(0))
        let effects = gate.cancel(0, isRefused: true, at: at(0))
        #expect(effects.signals == [.gateRefused, .gateOpened])
    }

    @Test func `neither loses nor invents permits where sizes are absurd`() {
        var gate = AppendGate(limit: Credit(bytes: .max, records: .max), end: .zero)
        let most = Credit(bytes: .max, records: .max)
        #expect(gate.take(most, at: at(0)).0 == .taken)
        #expect(gate.take(most, at: at(0)).0 == .wait(0))
        #expect(gate.take(size(-5, -5), at: at(0)).0 == .wait(1))
        #expect(gate.giveBack(most, at: at(0)).admitted == [0, 1])
        _ = gate.giveBack(size(-5, -5), at: at(0))
        _ = gate.giveBack(most, at: at(0))
        #expect(gate.used == .zero)
    }

    @Test func `closed, turns everybody away and takes permits back`() {
        var gate = makeGate()
        _ = gate.take(size(8), at: at(0))
        _ = gate.take(size(9), at: at(0))
        _ = gate.take(size(9), at: at(0))
        #expect(gate.close(WeirError(.closed, "It is closed.")) == [0, 1])
        #expect(gate.take(size(1), at: at(0)).0 == .closed)
        #expect(gate.giveBack(size(8), at: at(0)).admitted == [])
        #expect(gate.used == .zero)
        #expect(gate.refusal?.code == .closed)
        #expect(!gate.isOpen)
    }

    @Test func `follows a change of its limit at once`() {
        var gate = makeGate()
        _ = gate.take(size(8), at: at(0))
        _ = gate.take(size(9), at: at(0))
        let wider = gate.change(limit: size(20, 20), bound: nil, at: at(0))
        #expect(wider.admitted == [0])
        _ = gate.change(limit: size(1, 1), bound: nil, at: at(0))
        #expect(gate.take(size(1), at: at(0)).0 == .wait(1))
        _ = gate.giveBack(size(9), at: at(0))
        #expect(gate.giveBack(size(8), at: at(0)).admitted == [1])
    }

    // MARK: lag

    @Test func `shuts when a consumer lags beyond the bound, and asks it for releases`() {
        var gate = makeBoundGate(records: 5)
        #expect(append(5, to: &gate, end: 5, at: 1) == .taken)
        #expect(gate.isOpen)
        let (answer, effects) = gate.take(size(1, 1), at: at(2))
        #expect(answer == .taken)
        #expect(effects.asksReleases)
        #expect(effects.tickAt == at(102))
        #expect(effects.signals == [.gateClosed])
        #expect(gate.giveBack(size(1, 1), end: 6, at: at(3)).isNothing)
        #expect(gate.take(size(1), at: at(4)).0 == .wait(0))
        let after = gate.consumer("c", released: 1, at: at(5))
        #expect(after.admitted == [0])
        // The one that was admitted fills the bound again.
        #expect(gate.isShutForLag)
    }

    @Test func `lets an append larger than the bound pass when the consumer has caught up`() {
        var gate = makeBoundGate(records: 5)
        #expect(append(500, to: &gate, end: 500, at: 1) == .taken)
        #expect(gate.take(size(1, 500), at: at(2)).0 == .wait(0))
        #expect(gate.consumer("c", released: 400, at: at(3)).admitted == [])
        #expect(gate.consumer("c", released: 500, at: at(4)).admitted == [0])
    }

    @Test func `stays shut for the cap at most, and open until the lag was within its bound`() {
        var gate = makeBoundGate(records: 5, cap: 100)
        #expect(append(6, to: &gate, end: 6, at: 10) == .taken)
        #expect(gate.take(size(1), at: at(11)).0 == .wait(0))
        let early = gate.tick(at: at(109))
        #expect(early.admitted == [] && early.signals == [] && early.tickAt == at(110))
        let capped = gate.tick(at: at(110))
        #expect(capped.admitted == [0])
        #expect(capped.signals == [.gateCapped, .gateOpened])
        #expect(append(50, to: &gate, end: 57, at: 500) == .taken)
        #expect(append(50, to: &gate, end: 107, at: 900) == .taken)
        _ = gate.giveBack(size(1), end: 108, at: at(901))
        #expect(gate.consumer("c", released: 108, at: at(1000)).isNothing)
        #expect(!gate.isCapped)
        #expect(append(6, to: &gate, end: 114, at: 1001) == .taken)
        #expect(gate.isShutForLag)
    }

    @Test func `counts who is gone until the cap, and not after it`() {
        var gate = makeBoundGate(records: 5, cap: 100)
        #expect(append(6, to: &gate, end: 6, at: 10) == .taken)
        #expect(gate.consumerEnded("c", at: at(20)).isNothing)
        #expect(gate.isShutForLag)
        #expect(gate.tick(at: at(110)).signals == [.gateCapped, .gateOpened])
        #expect(gate.lagRecords == nil)
        #expect(append(60, to: &gate, end: 66, at: 200) == .taken)
        #expect(gate.isOpen)
        // Another one is watched as ever.
        _ = gate.consumer("d", released: 60, at: at(300))
        #expect(gate.isShutForLag)
    }

    @Test func `admits no ticket that its caller does not know yet, when the cap's timer is late`()
    {
        var gate = makeBoundGate(records: 2)
        #expect(append(5, to: &gate, end: 5, at: 1) == .taken)
        let (first, _) = gate.take(size(1), at: at(2))
        guard case .wait(let ticket) = first else {
            Issue.record("\(first)")
            return
        }
        // Beyond the cap, and nobody has called tick.
        let (second, effects) = gate.take(size(1), at: at(500))
        #expect(second == .taken)
        #expect(effects.admitted == [ticket])
    }

    @Test func `is bound to the slowest of those that it names, and to nobody else`() {
        var gate = makeGate(bytes: 1000, records: 1000, end: 100)
        let bound = AppendGate.Bound(names: ["a", "b"], lagRecords: 5, capNanoseconds: 100)
        _ = gate.change(limit: gate.limit, bound: bound, at: at(0))
        _ = gate.consumer("other", released: 1, at: at(0))
        #expect(gate.lagRecords == nil)
        _ = gate.consumer("a", released: 98, at: at(0))
        _ = gate.consumer("b", released: 97, at: at(0))
        #expect(gate.lagRecords == 3)
        _ = gate.consumer("b", released: 100, at: at(0))
        #expect(gate.lagRecords == 2)
        _ = gate.consumer("a", released: 50, at: at(0))
        #expect(gate.lagRecords == 50)
        #expect(gate.isShutForLag)
        #expect(gate.change(limit: gate.limit, bound: nil, at: at(1)).signals == [.gateOpened])
        #expect(gate.lagRecords == nil)
    }

    @Test func `goes by the cursor of a consumer that does not live`() {
        var gate = makeGate(bytes: 1000, records: 1000, end: 100)
        let bound = AppendGate.Bound(names: ["a"], lagRecords: 5, capNanoseconds: 100)
        _ = gate.change(limit: gate.limit, bound: bound, at: at(0))
        _ = gate.consumer("other", committed: 1, at: at(0))
        #expect(gate.lagRecords == nil)
        #expect(gate.consumer("a", committed: 90, at: at(0)).signals == [.gateClosed])
        #expect(gate.lagRecords == 10)
        // Alive, it is known better; gone, what it has not committed it will get again.
        #expect(gate.consumer("a", released: 99, at: at(1)).signals == [.gateOpened])
        _ = gate.consumer("a", committed: 97, at: at(1))
        #expect(gate.lagRecords == 1)
        _ = gate.consumerEnded("a", at: at(1))
        #expect(gate.lagRecords == 3)
        // Without a cursor it is the last position that it had.
        _ = gate.consumer("a", committed: nil, at: at(2))
        #expect(gate.lagRecords == 1)
    }

    @Test func `forgets a cursor that is removed, and one that lags at the cap`() {
        var gate = makeGate(bytes: 1000, records: 1000, end: 100)
        let bound = AppendGate.Bound(names: nil, lagRecords: 5, capNanoseconds: 100)
        _ = gate.change(limit: gate.limit, bound: bound, at: at(0))
        _ = gate.consumer("a", committed: 50, at: at(0))
        #expect(gate.consumer("a", committed: nil, at: at(0)).signals == [.gateOpened])
        #expect(gate.lagRecords == nil)
        _ = gate.consumer("b", committed: 50, at: at(1))
        #expect(gate.isShutForLag)
        #expect(gate.tick(at: at(101)).signals.contains(.gateCapped))
        #expect(gate.lagRecords == nil)
        // It moves, so it is there still.
        _ = gate.consumer("b", committed: 60, at: at(102))
        #expect(gate.lagRecords == 40)
    }

    @Test func `gives the lag back of an append that failed`() {
        var gate = makeBoundGate(records: 5)
        #expect(gate.take(size(1, 9), at: at(0)).0 == .taken)
        #expect(gate.isShutForLag)
        #expect(gate.giveBack(size(1, 9), at: at(1)).signals == [.gateOpened])
    }
}
