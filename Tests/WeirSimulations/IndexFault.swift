import Weir
import WeirTesting

/// What SQLite has on the disk at a moment: the file, and its write-ahead log.
struct IndexImage {
    var main: [UInt8]?
    var log: [UInt8]?
    /// Of the memory that connections share; a process that died leaves it behind.
    var shared: [UInt8]?
}

/// What may have become of an index while nobody looked.
enum IndexFault: CaseIterable {
    case intact, behind, ahead, missing
    /// Deleted apart: one of the two files is gone.
    case logMissing, mainMissing
    /// The file of one moment beside the log of another.
    case logOfAnotherMoment
    case cutAtPage, cutAnywhere, logCut
    case bitFlipped, bitsFlipped, logFlipped
    case pageOfAnotherMoment, pageMoved, pageZeroed
    case foreign, newer
    case empty, rubbish, sharedRubbish

    /// Damage that may be where no answer rests on it: it is met when somebody looks there.
    var mayHide: Bool {
        switch self {
        case .intact, .behind, .ahead, .missing, .mainMissing, .foreign, .newer, .empty, .rubbish,
            .sharedRubbish:
            false
        default: true
        }
    }

    private static let pageBytes = 8192

    /// The files as the fault leaves them; `nil` for none.
    func apply(to moments: [IndexImage], _ random: inout SeededRandom) -> IndexImage? {
        guard var image = moments.last, self != .missing else { return nil }
        let other = moments[random.below(moments.count)]
        switch self {
        case .intact, .ahead, .missing: break
        case .behind: image = other
        case .logMissing: image.log = nil
        case .mainMissing: image.main = nil
        case .logOfAnotherMoment: image.log = other.log
        case .logCut: image.log = image.log.map { Array($0.prefix(random.below($0.count + 1))) }
        case .logFlipped: Self.flip(&image.log, count: 1, &random)
        case .empty: image = IndexImage(main: [], log: nil)
        case .rubbish:
            image.main = image.main?.map { _ in UInt8(truncatingIfNeeded: random.next()) }
        case .sharedRubbish: image.shared = (0..<32_768).map { UInt8(truncatingIfNeeded: $0 ^ 90) }
        default:
            // Whatever a log beside it held would heal the pages.
            if !random.oneIn(4) { image.log = nil }
            image.main = image.main.map { applyToMain($0, other: other.main ?? [], &random) }
        }
        return image
    }

    private func applyToMain(
        _ main: [UInt8], other: [UInt8], _ random: inout SeededRandom
    ) -> [UInt8] {
        var main: [UInt8]? = main
        let pageCount = max(1, (main?.count ?? 0) / Self.pageBytes)
        let page = Self.bytes(ofPage: random.below(pageCount))
        switch self {
        case .cutAtPage: return Array(main?.prefix(page.lowerBound) ?? [])
        case .cutAnywhere: return Array(main?.prefix(random.below((main?.count ?? 0) + 1)) ?? [])
        case .bitFlipped: Self.flip(&main, count: 1, &random)
        case .bitsFlipped: Self.flip(&main, count: 2 + random.below(30), &random)
        case .pageOfAnotherMoment: Self.copy(other, page, to: page, of: &main)
        case .pageMoved:
            Self.copy(main ?? [], Self.bytes(ofPage: random.below(pageCount)), to: page, of: &main)
        case .pageZeroed:
            let zeros = [UInt8](repeating: 0, count: Self.pageBytes)
            Self.copy(zeros, zeros.indices, to: page, of: &main)
        // The user version stands in bytes 60 to 63 of a file of SQLite.
        case .newer: if main?.count ?? 0 > 63 { main?[63] = 9 }
        default: break
        }
        return main ?? []
    }

    private static func bytes(ofPage page: Int) -> Range<Int> {
        page * pageBytes..<(page + 1) * pageBytes
    }

    private static func copy(
        _ source: [UInt8], _ from: Range<Int>, to: Range<Int>, of target: inout [UInt8]?
    ) {
        guard from.upperBound <= source.count, to.upperBound <= target?.count ?? 0 else { return }
        target?.replaceSubrange(to, with: source[from])
    }

    private static func flip(
        _ bytes: inout [UInt8]?, count: Int, _ random: inout SeededRandom
    ) {
        guard var flipped = bytes, !flipped.isEmpty else { return }
        for _ in 0..<count { flipped[random.below(flipped.count)] ^= 1 << random.below(8) }
        bytes = flipped
    }
}
