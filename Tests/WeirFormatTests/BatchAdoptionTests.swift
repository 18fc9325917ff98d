import Testing
import WeirBase
import WeirFormat

@Suite("A batch that another log adopts")
struct BatchAdoptionTests {
    private func hole(before first: UInt64, span: Int, at next: UInt64) -> Int {
        let header = BatchHeader(
            kind: .records, firstOffset: Offset(first), epoch: Epoch(1), durableEnd: .zero,
            appendTime: .distantPast)
        let adoption = BatchAdoption(
            of: header, range: Offset(first)..<Offset(first) + span, recordCount: 1,
            keepsOffsets: true, needsTime: false)
        return adoption.hole(at: Offset(next))
    }

    @Test(arguments: [
        (first: 5, span: 2, next: 5, hole: 0), (first: 5, span: 2, next: 7, hole: 0),
        (first: 5, span: 2, next: 1, hole: 4),
        (first: UInt64(UInt32.max) - 2, span: 2, next: 0, hole: Int(UInt32.max) - 2),
        (first: UInt64(UInt32.max) - 1, span: 2, next: 0, hole: 0),
        (first: UInt64(Int.max), span: 2, next: 0, hole: 0),
    ])
    func `takes in what is missing before it, as far as its span can tell`(
        first: UInt64, span: Int, next: UInt64, hole: Int
    ) {
        #expect(self.hole(before: first, span: span, at: next) == hole)
    }
}
