import Testing
import WeirBase

@testable import WeirFlow

@Suite("Turns of a reader that is behind")
struct TurnTakingTests {
    private let millisecond: Int64 = 1_000_000
    private let turn = TurnTaking.turnBytes

    private func at(_ milliseconds: Int64) -> Moment {
        Moment(nanoseconds: milliseconds * millisecond)
    }

    /// Behind, looked at after a second, with another consumer served so many milliseconds ago.
    private func looked(servedBefore milliseconds: Int64?) -> TurnTaking {
        var turns = TurnTaking()
        turns.look(tailServed: milliseconds.map { at(1000 - $0) }, at: at(1000))
        return turns
    }

    @Test func `are taken while somebody is served at the end, and a second longer`() {
        #expect(looked(servedBefore: 0).isOn)
        #expect(looked(servedBefore: 999).isOn)
        #expect(!looked(servedBefore: 1000).isOn)
        #expect(!looked(servedBefore: nil).isOn)
    }

    @Test func `are not taken by one that was at its own end just now`() {
        var turns = TurnTaking()
        turns.reachedEnd(at: at(995))
        turns.look(tailServed: at(1000), at: at(1000))
        #expect(!turns.isOn)
        turns.look(tailServed: at(1000), at: at(1006))
        #expect(turns.isOn)
        turns.reachedEnd(at: at(1007))
        #expect(!turns.isOn)
    }

    @Test func `are over when so much waits, and bound what is brought in at once`() {
        let turns = looked(servedBefore: 0)
        #expect(!turns.isOver(queuedBytes: turn - 1))
        #expect(turns.isOver(queuedBytes: turn))
        let ahead = Credit(bytes: 10 * turn, records: 7)
        #expect(turns.limit(ahead) == Credit(bytes: turn, records: 7))
        #expect(turns.limit(Credit(bytes: 1, records: 1)) == Credit(bytes: 1, records: 1))
    }

    @Test func `have no bound where nobody is to be spared`() {
        let turns = looked(servedBefore: nil)
        #expect(!turns.isOver(queuedBytes: 100 * turn))
        #expect(turns.limit(Credit(bytes: 10 * turn, records: 7)).bytes == 10 * turn)
    }
}
