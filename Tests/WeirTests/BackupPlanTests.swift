import Testing
import WeirBase
import WeirFormat

@testable import Weir

private let id = SegmentID(7)
private let stored = StoredSegment(byteCount: 100, checksum: 1)
private let renewal = BackupPlan.Action.renew(stored)

private func sealed(_ bytes: UInt64, footer: UInt32 = 9) -> SealedSegment {
    SealedSegment(
        summary: SegmentSummary(base: 0), batchesEnd: FilePosition(90), fileBytes: bytes,
        footerChecksum: footer)
}

private func entry(_ sealed: SealedSegment? = nil) -> SegmentEntry {
    SegmentEntry(id: id, base: 0, epoch: Epoch(1), sealed: sealed)
}

@Suite("A plan of a backup")
struct BackupPlanTests {
    private func plan(
        _ known: SegmentEntry?, _ bytes: StoredSegment = stored, present: Int?
    ) -> BackupPlan {
        var plan = BackupPlan(snapshots: [], present: present.map { [id: $0] } ?? [:])
        if let known { plan.note(known, bytes) }
        return plan
    }

    @Test func `copies what nobody knows`() {
        #expect(plan(nil, present: nil).action(for: entry()) == .copy)
        #expect(plan(nil, present: nil).action(for: entry(sealed(100))) == .copy)
    }

    @Test func `keeps a sealed segment that is there`() {
        let known = entry(sealed(100))
        #expect(plan(known, present: 100).action(for: known) == .keep(stored))
    }

    @Test func `extends what was not sealed yet`() {
        let plan = plan(entry(), present: 100)
        #expect(plan.action(for: entry()) == .extend(stored))
        #expect(plan.action(for: entry(sealed(200))) == .extend(stored))
    }

    @Test func `writes nothing into a file that an interrupted backup left longer`() {
        let plan = plan(entry(), present: 150)
        #expect(plan.action(for: entry(sealed(200))) == renewal)
    }

    @Test func `copies again what somebody cut or removed`() {
        let known = entry(sealed(100))
        #expect(plan(known, present: 99).action(for: known) == .copy)
        #expect(plan(known, present: nil).action(for: known) == .copy)
    }

    @Test func `looks at a whole file that no snapshot names`() {
        #expect(plan(nil, present: 100).action(for: entry(sealed(100))) == .adopt)
        #expect(plan(nil, present: 60).action(for: entry(sealed(100))) == .copy)
        #expect(plan(nil, present: 60).action(for: entry()) == .copy)
    }

    @Test func `proves a seal that is not the one that it knows`() {
        let plan = plan(entry(sealed(100)), present: 100)
        #expect(plan.action(for: entry(sealed(100, footer: 8))) == renewal)
    }

    @Test func `takes what is more of a sealed file that was cut when it was copied`() {
        let plan = plan(entry(sealed(120)), present: 100)
        #expect(plan.action(for: entry(sealed(120))) == renewal)
    }

    @Test func `keeps a segment that was sealed anew, and shorter, as it is by then`() {
        let new = entry(sealed(96, footer: 8))
        var plan = plan(entry(sealed(100)), present: 96)
        plan.note(new, StoredSegment(byteCount: 96, checksum: 2))
        #expect(plan.action(for: new) == .keep(StoredSegment(byteCount: 96, checksum: 2)))
    }

    @Test func `keeps a segment that a recovery cut and sealed, as it is by then`() {
        let new = entry(sealed(96))
        var plan = plan(entry(), present: 96)
        plan.note(new, StoredSegment(byteCount: 96, checksum: 2))
        #expect(plan.action(for: new) == .keep(StoredSegment(byteCount: 96, checksum: 2)))
    }

    @Test func `believes the snapshot that has most of a segment`() {
        var plan = plan(entry(), present: 300)
        let more = StoredSegment(byteCount: 300, checksum: 2)
        plan.note(entry(), more)
        plan.note(entry(), stored)
        #expect(plan.action(for: entry()) == .extend(more))
    }
}
