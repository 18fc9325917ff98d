import Testing
import WeirBase
import WeirFormat
import WeirRecovery

/// A segment told in a line: good batches of ten records, bad bytes, each 100 bytes long.
private enum Piece { case good, bad }

private func scan(_ pieces: [Piece], durableEnds: [UInt64] = []) -> ScannedSegment {
    var found = ScannedSegment(
        id: SegmentID(1), base: Offset(100), batchesStart: FilePosition(4096))
    var place: UInt64 = 4096
    var offset: UInt64 = 100
    for piece in pieces {
        switch piece {
        case .good:
            let index = found.standing.batchCount
            var header = BatchHeader(
                kind: .records, firstOffset: Offset(offset), epoch: Epoch(1),
                durableEnd: Offset(index < durableEnds.count ? durableEnds[index] : 0),
                appendTime: Timestamp(microseconds: Int64(offset)))
            header.recordCount = 10
            header.offsetSpan = 10
            found.add(header, at: FilePosition(place))
        case .bad:
            found.addBad(place..<place + 100)
        }
        place += 100
        offset += 10
    }
    found.fileBytes = Int(place)
    return found
}

private func plan(
    _ scan: ScannedSegment, durableEnd: UInt64 = 0, isSameBoot: Bool = false
) -> RecoveryPlan {
    RecoveryPlan(scan, .init(durableEnd: Offset(durableEnd), isSameBoot: isSameBoot))
}

@Suite("The plan of a recovery")
struct RecoveryPlanTests {
    @Test func `keeps a whole segment as it is`() {
        let plan = plan(scan([.good, .good]))
        #expect(plan.torn == nil)
        #expect(plan.corrupt.isEmpty)
        #expect(plan.nextOffset == Offset(120))
        #expect(plan.lostOffsets == nil)
    }

    @Test func `begins an empty segment at its base`() {
        #expect(plan(scan([])).nextOffset == Offset(100))
    }

    @Test func `cuts a bad end that nothing says was durable`() {
        let plan = plan(scan([.good, .bad]))
        #expect(plan.torn == 4196..<4296)
        #expect(plan.keptEnd == FilePosition(4196))
        #expect(plan.nextOffset == Offset(110))
    }

    @Test func `cuts what follows a torn place on another boot, the good batch too`() {
        let plan = plan(scan([.good, .bad, .good]))
        #expect(plan.torn == 4196..<4396)
        #expect(plan.summary.endOffset == Offset(110))
        #expect(plan.tornOffsets == 110..<130)
    }

    @Test func `keeps a bad place before a good batch on the same boot`() {
        let plan = plan(scan([.good, .bad, .good]), isSameBoot: true)
        #expect(plan.torn == nil)
        #expect(plan.corrupt.map(\.range) == [4196..<4296])
        #expect(plan.nextOffset == Offset(130))
    }

    @Test func `cuts a bad end on the same boot as well`() {
        #expect(plan(scan([.good, .bad]), isSameBoot: true).torn == 4196..<4296)
    }

    @Test func `cuts a torn footer, behind which another segment goes on`() {
        var evidence = RecoveryPlan.Evidence(durableEnd: Offset(300), isSameBoot: true)
        evidence.nextBase = Offset(120)
        let plan = RecoveryPlan(scan([.good, .good, .bad]), evidence)
        #expect(plan.torn == 4296..<4396)
        #expect(plan.corrupt.isEmpty)
        #expect(plan.lostOffsets == nil)
    }

    @Test(arguments: [111, 120, 500] as [UInt64])
    func `keeps a bad place below a durable end`(durableEnd: UInt64) {
        let plan = plan(scan([.good, .bad, .good]), durableEnd: durableEnd)
        #expect(plan.torn == nil)
        #expect(plan.corrupt.count == 1)
    }

    @Test func `cuts a bad place exactly at the durable end`() {
        #expect(plan(scan([.good, .bad, .good]), durableEnd: 110).torn == 4196..<4396)
    }

    @Test func `believes the durable end that a later batch carries`() {
        let plan = plan(scan([.good, .bad, .good], durableEnds: [0, 120]))
        #expect(plan.torn == nil)
        #expect(plan.corrupt.count == 1)
    }

    @Test func `keeps the first bad place and cuts the second`() {
        let plan = plan(scan([.good, .bad, .good, .bad, .good]), durableEnd: 115)
        #expect(plan.corrupt.map(\.range) == [4196..<4296])
        #expect(plan.torn == 4396..<4596)
        #expect(plan.nextOffset == Offset(130))
    }

    @Test func `gives no offset away that was durable, though its record is lost`() {
        let plan = plan(scan([.good, .bad]), durableEnd: 120)
        #expect(plan.torn == nil)
        #expect(plan.nextOffset == Offset(120))
        #expect(plan.lostOffsets == 110..<120)
    }

    @Test func `knows the last append time of what is kept only`() {
        let plan = plan(scan([.good, .bad, .good]))
        #expect(plan.lastAppendTime == Timestamp(microseconds: 100))
    }
}
