import GRDB
import WeirBase

/// How much time there is beside what is to be indexed.
package enum IndexCalm: Sendable {
    /// The index is behind: runs are merged only where they are very many.
    case catchingUp
    /// Something comes all the time.
    case busy
    /// Nothing came for a while: lookups later find few runs.
    case idle
}

/// Which runs of a stream are to be one.
///
/// Rows in the order of the log; a row and those behind it are merged where these have as many
/// entries as it has, so an entry is written again only once the index has grown to twice its
/// size. While there is more to do, several are merged at once or none.
enum MergePlan {
    /// The rows to merge, none if the stream is as it should be.
    static func rows(_ rows: [RunRow], _ calm: IndexCalm) -> Range<Int>? {
        var end = rows.count
        // What could not be read is between runs for good.
        while end > 0 {
            let start = rows[..<end].lastIndex { $0.isUnread }.map { $0 + 1 } ?? 0
            if let found = readable(rows, start..<end, calm) { return found }
            end = max(start - 1, 0)
        }
        return nil
    }

    private static func readable(
        _ rows: [RunRow], _ range: Range<Int>, _ calm: IndexCalm
    ) -> Range<Int>? {
        let (countMin, ratio, smallMax) =
            switch calm {
            case .catchingUp: (IndexLimits.mergeRunsMinBehind, 1, 0)
            case .busy: (IndexLimits.mergeRunsMinBusy, 1, 0)
            case .idle: (IndexLimits.mergeRunsMinIdle, 4, IndexLimits.smallEntriesMax)
            }
        var behind = rows[range].reduce(0) { $0 + $1.entryCount }
        for start in range where range.upperBound - start >= countMin {
            let own = rows[start].entryCount
            let isSmall = behind <= smallMax
            behind -= own
            guard isSmall || own <= ratio * behind else { continue }
            return start..<min(start + IndexLimits.mergeRunsMax, range.upperBound)
        }
        return nil
    }
}

/// A merge under way: runs that are becoming one, in pieces of one short transaction each.
///
///     leaves   inputs  ······························   answer, until the last piece
///              output  ·············|                   counts only once its row stands in `runs`
///                                  next
///
/// A crash leaves leaves whose run has no row; they are removed, and the merge begins again.
struct RunMerge: Sendable, Hashable {
    let inputs: [RunRow]
    let output: RunRow
    /// Entries before it are written.
    private(set) var next = KeyEntry.least
    private var writtenCount = 0

    var isWhole: Bool { next == .beyond }

    /// `inputs` touch each other, and there is one at least.
    init(_ inputs: [RunRow], number: UInt64) {
        self.inputs = inputs
        self.output = RunRow(
            number: number, stream: inputs[0].stream, first: inputs[0].first,
            end: inputs[inputs.count - 1].end,
            entryCount: inputs.reduce(0) { $0 + $1.entryCount }, isUnread: false)
    }

    /// Writes about so many entries, and says how many. Throws `damaged` where inputs do not hold.
    mutating func advance(_ entriesMax: Int, in database: Database) throws -> Int {
        let finder = try LeafFinder(database)
        var sources = try inputs.map { try LeafSource(finder, $0, from: next) }
        var writer = try LeafWriter(database, run: output, low: next)
        var ready: [KeyEntry] = []
        while writer.writtenCount < entriesMax, writer.low < .beyond {
            let bound = sources.reduce(KeyEntry.beyond) { min($0, $1.leaf.high) }
            ready.removeAll(keepingCapacity: true)
            for index in sources.indices { sources[index].take(before: bound, into: &ready) }
            ready.sort()
            for entry in ready { try writer.add(entry) }
            guard bound < .beyond else {
                try writer.finish()
                break
            }
            for index in sources.indices where sources[index].leaf.high == bound {
                try sources[index].goOn(finder)
            }
        }
        next = writer.low
        writtenCount += writer.writtenCount
        guard !isWhole || writtenCount == output.entryCount else { throw output.incomplete }
        return writer.writtenCount
    }
}

/// A run's entries in their order, leaf by leaf.
private struct LeafSource {
    private let run: RunRow
    private(set) var leaf: KeyLeaf
    private var index: Int

    init(_ finder: LeafFinder, _ run: RunRow, from start: KeyEntry) throws {
        self.run = run
        leaf = try finder.leaf(of: run, holding: start)
        index = leaf.firstIndex(notBefore: start)
    }

    mutating func take(before bound: KeyEntry, into entries: inout [KeyEntry]) {
        while index < leaf.count, leaf[index] < bound {
            entries.append(leaf[index])
            index += 1
        }
    }

    /// To the leaf behind this one.
    mutating func goOn(_ finder: LeafFinder) throws {
        leaf = try finder.leaf(of: run, holding: leaf.high)
        index = 0
    }
}
