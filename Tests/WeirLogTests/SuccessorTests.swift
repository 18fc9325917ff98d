import Testing
import WeirBase
import WeirFiles
import WeirFormat
import WeirTesting

@testable import WeirLog

/// What a reader at the end of a segment is told. Between two questions, whether the segment is
/// still there and what comes behind it, compaction could put another in the place of both, and
/// what the reader was told by the second looked like a gap. So there is one question.
@Suite("What comes behind a segment")
struct SuccessorTests {
    private typealias View = LogView<SimulatedFileSystem>
    private typealias Segment = ReadableSegment<SimulatedFileSystem>

    private let maps = SegmentMaps()

    private func segment(_ id: UInt64, base: UInt64, generation: UInt32 = 0) -> Segment {
        Segment(
            files: SimulatedFileSystem(seed: 1),
            entry: SegmentEntry(
                id: SegmentID(id), base: Offset(base), epoch: Epoch(1), generation: generation),
            path: "\(id)", maps: maps, mapByteCount: 1, readableEnd: .zero, summary: nil)
    }

    private func view(_ segments: [Segment]) throws -> View {
        View(
            name: try StreamName("s"), visibility: .flushed, maps: maps, segments: segments,
            logStart: .zero, flushedEnd: Offset(40), durableEnd: Offset(40))
    }

    /// The successor's id; `nil` for none.
    private func successor(of segment: Segment, in view: View) throws -> SegmentID? {
        switch view.successor(of: segment) {
        case .next(let next): return next.id
        case .last: return nil
        case .left: throw WeirError(.notFound, "It is not there any more.")
        }
    }

    @Test func `is the next in the list, or nothing`() throws {
        let segments = [segment(1, base: 0), segment(2, base: 10), segment(3, base: 20)]
        let view = try view(segments)
        let found = try segments.map { try self.successor(of: $0, in: view) }
        #expect(found == [SegmentID(2), SegmentID(3), nil])
    }

    @Test func `is the one of two with the same base that stands behind`() throws {
        let segments = [segment(1, base: 0), segment(2, base: 0), segment(3, base: 10)]
        let view = try view(segments)
        let found = try segments.map { try self.successor(of: $0, in: view) }
        #expect(found == [SegmentID(2), SegmentID(3), nil])
    }

    @Test func `is none of those behind, if it was replaced together with the next`() throws {
        let segments = [segment(1, base: 0), segment(2, base: 10), segment(3, base: 20)]
        let view = try view(segments)
        view.replace([SegmentID(1), SegmentID(2)], with: segment(4, base: 0, generation: 1))
        // By its base the third would come next, and the records of the second be missed.
        #expect(throws: WeirError.self) { try self.successor(of: segments[0], in: view) }
        #expect(throws: WeirError.self) { try self.successor(of: segments[1], in: view) }
        #expect(view.segment(for: Offset(10))?.id == SegmentID(4))
    }

    @Test func `is not nothing, if it was the last and was replaced`() throws {
        let last = segment(1, base: 0)
        let view = try view([last])
        view.replace([SegmentID(1)], with: segment(2, base: 0, generation: 1))
        // A reader that took it for the log's end would call what is shown behind it damaged.
        #expect(throws: WeirError.self) { try self.successor(of: last, in: view) }
    }

    @Test func `is none of those that are left, if it was retired`() throws {
        let segments = [segment(1, base: 0), segment(2, base: 10)]
        let view = try view(segments)
        view.retire([SegmentID(1)], logStart: Offset(10))
        #expect(throws: WeirError.self) { try self.successor(of: segments[0], in: view) }
    }
}
