import Testing
import WeirBase

@Suite("Credit")
struct CreditTests {
    @Test func `saturates instead of overflowing`() {
        let most = Credit(bytes: .max, records: .max)
        #expect(most + Credit(bytes: 1, records: 1) == most)
        #expect(Credit(bytes: .min, records: .min) - most == Credit(bytes: .min, records: .min))
    }

    @Test func `covers only what both of its parts cover`() {
        let credit = Credit(bytes: 10, records: 2)
        #expect(credit.covers(Credit(bytes: 10, records: 2)))
        #expect(!credit.covers(Credit(bytes: 11, records: 1)))
        #expect(!credit.covers(Credit(bytes: 1, records: 3)))
    }

    @Test(arguments: [
        FlowKnobs(maxQueue: Credit(bytes: -1, records: 0)),
        FlowKnobs(maxOutstanding: .zero),
        FlowKnobs(latencyBudget: .zero),
        FlowKnobs(latencyBudget: .seconds(-5)),
        FlowKnobs(maxQueue: Credit(bytes: .max, records: 1)),
        FlowKnobs(
            maxQueue: Credit(bytes: 2, records: 2), maxOutstanding: Credit(bytes: 1, records: 9)),
    ]) func `refuses knobs that are absurd or contradict each other`(knobs: FlowKnobs) {
        #expect(throws: WeirError.self) { try knobs.validate() }
    }
}
