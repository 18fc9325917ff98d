import Testing
import WeirBase
import WeirTesting

@testable import WeirCompaction

@Suite("A map of keys")
struct KeyMapTests {
    /// What one walk, newest segment first, says about keys: which records are superseded.
    private static func superseded(
        _ segments: [[String]], byteCount: Int, hash: @escaping (RawSpan) -> UInt64
    ) -> (dead: Set<[Int]>, passes: Int) {
        var map = KeyMap(byteCount: byteCount, hash: hash)
        var dead: Set<[Int]> = []
        var passes = 0
        repeat {
            passes += 1
            for segment in segments.indices.reversed() {
                for (record, key) in segments[segment].enumerated() {
                    let bytes = Array(key.utf8)
                    let hash = map.hash(of: bytes.span.bytes)
                    map.fetch([hash])
                    let finding = map.note(
                        bytes.span.bytes, hash: hash, segment: segment, record: record,
                        byteCount: 1, isTombstone: false)
                    switch finding {
                    case .superseded: dead.insert([segment, record])
                    case .supersedes(let earlier, _, _): dead.insert([segment, earlier])
                    case .first, .notNow, .tooLong: break
                    }
                }
            }
        } while map.beginNextPass()
        return (dead, passes)
    }

    /// The same by a dictionary.
    private static func expected(_ segments: [[String]]) -> Set<[Int]> {
        var last: [String: [Int]] = [:]
        var dead: Set<[Int]> = []
        for (segment, keys) in segments.enumerated() {
            for (record, key) in keys.enumerated() {
                if let earlier = last[key] { dead.insert(earlier) }
                last[key] = [segment, record]
            }
        }
        return dead
    }

    private static func segments(keys: Int, seed: UInt64) -> [[String]] {
        var random = SeededRandom(seed: seed)
        return (0..<5).map { _ in
            (0..<300).map { _ in
                let number = Int.random(in: 0..<keys, using: &random)
                return String(repeating: "k", count: number % 23) + "\(number)"
            }
        }
    }

    private static func mixed(_ key: RawSpan) -> UInt64 {
        var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
        for index in key.byteOffsets {
            let byte = unsafe key.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            hash = (hash ^ UInt64(byte)) &* 0x1000_0000_01B3
            hash ^= hash >> 29
        }
        return hash
    }

    @Test(arguments: [1, 10, 100, 5000], [256, 2000, 16_000, 1 << 20])
    func `answers as a dictionary does, however small it is`(keys: Int, byteCount: Int) {
        let segments = Self.segments(keys: keys, seed: UInt64(keys))
        let found = Self.superseded(segments, byteCount: byteCount, hash: Self.mixed)
        #expect(found.dead == Self.expected(segments))
    }

    @Test func `takes several passes where it is too small for one`() {
        let segments = Self.segments(keys: 5000, seed: 3)
        #expect(Self.superseded(segments, byteCount: 8000, hash: Self.mixed).passes >= 2)
        #expect(Self.superseded(segments, byteCount: 1 << 20, hash: Self.mixed).passes == 1)
    }

    @Test func `tells keys of one hash apart`() {
        let segments = Self.segments(keys: 200, seed: 4)
        let found = Self.superseded(segments, byteCount: 1 << 20) { _ in 7 }
        #expect(found.dead == Self.expected(segments))
    }

    @Test func `keeps what it cannot hold, where all keys have one hash`() {
        let segments = Self.segments(keys: 5000, seed: 5)
        let found = Self.superseded(segments, byteCount: 2000) { _ in 7 }
        #expect(found.dead.isSubset(of: Self.expected(segments)))
    }

    @Test func `tells a key of no bytes from none`() {
        #expect(
            Self.superseded([["", "a", ""]], byteCount: 4000, hash: Self.mixed).dead == [[0, 0]])
    }

    @Test func `says that a key is too long for it`() {
        var map = KeyMap(byteCount: 1000, hash: Self.mixed)
        let key = [UInt8](repeating: 1, count: 1 << 20)
        let finding = map.note(
            key.span.bytes, hash: map.hash(of: key.span.bytes), segment: 0, record: 0,
            byteCount: 1, isTombstone: false)
        #expect(finding == .tooLong)
    }
}
