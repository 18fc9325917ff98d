import Testing
import WeirBase
import WeirTesting

@testable import WeirFlow

/// A consumer that does the same for a while, batch after batch.
private struct Scene {
    var window: AdaptiveWindow
    var now = Moment.zero
    let batch: Credit

    init(
        knobs: FlowKnobs = FlowKnobs(), batch: Credit = Credit(bytes: 64 << 10, records: 640)
    ) {
        window = AdaptiveWindow(knobs: knobs, batchBytesMax: 1 << 20)
        self.batch = batch
    }

    /// The changes of so many steps. A consumer that `starves` waits as long as it works; one that
    /// does not `fill` its window has nothing in the queue.
    mutating func steps(
        _ count: Int, leaseMicroseconds: Int64, residenceMicroseconds: Int64? = nil,
        starves: Bool = false, fills: Bool = true
    ) -> [AdaptiveWindow.Change] {
        var changes: [AdaptiveWindow.Change] = []
        let lease = leaseMicroseconds * 1_000
        while changes.count < count {
            if starves {
                window.starved(from: now, to: now + lease)
                now = now + lease
            }
            window.queued(fills ? window.window : .zero, at: now)
            now = now + lease
            window.released(
                batch, residenceNanoseconds: residenceMicroseconds.map { $0 * 1_000 } ?? lease,
                leaseNanoseconds: lease, at: now)
            if let change = window.step(at: now) { changes.append(change) }
        }
        return changes
    }

    var bytes: Int { window.window.bytes }
}

extension AdaptiveWindow.Change {
    fileprivate var name: String {
        switch self {
        case .grew: "grew"
        case .shrank: "shrank"
        case .halved: "halved"
        case .held: "held"
        }
    }
}

@Suite("A window that adapts")
struct AdaptiveWindowTests {
    @Test func `starts with a few small batches`() {
        #expect(Scene().bytes == 16 << 10)
    }

    @Test func `doubles while the consumer starves and it is far from its ceiling`() {
        var scene = Scene()
        _ = scene.steps(1, leaseMicroseconds: 10, starves: true)
        let before = scene.bytes
        let changes = scene.steps(3, leaseMicroseconds: 10, starves: true)
        #expect(changes.map(\.name) == ["grew", "grew", "grew"])
        #expect(scene.bytes == before * 8)
    }

    @Test func `holds when nobody starves`() {
        var scene = Scene()
        _ = scene.steps(4, leaseMicroseconds: 10, starves: true)
        let changes = scene.steps(20, leaseMicroseconds: 10)
        #expect(Set(changes.map(\.name)) == ["held"])
    }

    @Test func `does not grow where it was not in use`() {
        var scene = Scene()
        _ = scene.steps(4, leaseMicroseconds: 10, starves: true)
        let changes = scene.steps(20, leaseMicroseconds: 10, starves: true, fills: false)
        #expect(Set(changes.map(\.name)) == ["held"])
    }

    @Test func `ends below what the consumer works off within its budget`() {
        var scene = Scene()
        _ = scene.steps(200, leaseMicroseconds: 1_000, starves: true)
        // Little's law: 0.8 × 100 ms at 64 KiB a millisecond, without any deviation.
        let planned = 80 * (64 << 10)
        #expect(scene.bytes <= planned)
        #expect(scene.bytes > planned * 3 / 4)
    }

    @Test func `adds little near its ceiling`() {
        var scene = Scene()
        var before = scene.bytes
        var gains: [Double] = []
        for _ in 0..<60 {
            _ = scene.steps(1, leaseMicroseconds: 1_000, starves: true)
            gains.append(Double(scene.bytes) / Double(before))
            before = scene.bytes
        }
        let far = gains.prefix(6)
        let near = gains.dropFirst(7)
        #expect(far.allSatisfy { $0 >= 1.9 })
        #expect(near.allSatisfy { $0 <= 1.13 })
    }

    @Test func `follows a consumer that becomes slower within two steps`() {
        var scene = Scene()
        _ = scene.steps(100, leaseMicroseconds: 1_000, starves: true)
        let before = scene.bytes
        let changes = scene.steps(2, leaseMicroseconds: 10_000)
        #expect(changes.map(\.name) == ["shrank", "shrank"])
        #expect(scene.bytes <= before / 8)
    }

    @Test func `leaves room for processing times that differ`() {
        var even = Scene()
        var uneven = Scene()
        for index in 0..<800 {
            _ = even.steps(1, leaseMicroseconds: 2_000, starves: true)
            _ = uneven.steps(1, leaseMicroseconds: index % 10 == 0 ? 11_000 : 1_000, starves: true)
        }
        #expect(uneven.bytes < even.bytes)
    }

    @Test func `halves at once, and once for many failures`() {
        var scene = Scene()
        _ = scene.steps(8, leaseMicroseconds: 10, starves: true)
        let before = scene.bytes
        for _ in 0..<5 { scene.window.failed(at: scene.now) }
        #expect(scene.window.step(at: scene.now) == .halved(scene.window.window))
        #expect(scene.bytes == before / 2)
        #expect(scene.window.step(at: scene.now) == nil)
    }

    @Test func `is not doubled for a while after a failure`() {
        var scene = Scene()
        _ = scene.steps(8, leaseMicroseconds: 10, starves: true)
        scene.window.failed(at: scene.now)
        _ = scene.window.step(at: scene.now)
        let before = scene.bytes
        _ = scene.steps(1, leaseMicroseconds: 10, starves: true)
        #expect(scene.bytes > before)
        #expect(scene.bytes < before * 2)
    }

    @Test func `gives up a quarter when the store has no room`() {
        var scene = Scene()
        _ = scene.steps(6, leaseMicroseconds: 10, starves: true)
        let before = scene.bytes
        scene.window.pressed(at: scene.now)
        let changes = scene.steps(1, leaseMicroseconds: 10, starves: true)
        #expect(changes.map(\.name) == ["shrank"])
        #expect(scene.bytes == before - before / 4)
    }

    @Test func `trusts its plan less after late records, and more again in time`() {
        var scene = Scene()
        _ = scene.steps(100, leaseMicroseconds: 1_000, starves: true)
        let before = scene.bytes
        let late = scene.steps(1, leaseMicroseconds: 1_000, residenceMicroseconds: 100_001)
        // Batches that were delivered before the window changed blame nobody.
        let same = scene.steps(1, leaseMicroseconds: 1_000, residenceMicroseconds: 100_001)
        #expect(late.map(\.name) == ["shrank"])
        #expect(same.map(\.name) == ["held"])
        #expect(scene.bytes < before * 4 / 5)
        _ = scene.steps(250, leaseMicroseconds: 1_000, starves: true)
        #expect(scene.bytes > before * 9 / 10)
    }

    @Test func `comes back after one lease that took a minute`() {
        var scene = Scene()
        _ = scene.steps(60, leaseMicroseconds: 1_000, starves: true)
        let before = scene.bytes
        _ = scene.steps(1, leaseMicroseconds: 60_000_000)
        _ = scene.steps(90, leaseMicroseconds: 1_000, starves: true)
        #expect(scene.bytes > before * 3 / 4)
    }
}

@Suite("The bounds of a window that adapts")
struct AdaptiveWindowBoundTests {
    @Test func `is one batch for a consumer that takes longer than its budget for one`() {
        var scene = Scene()
        _ = scene.steps(10, leaseMicroseconds: 300_000, starves: true)
        #expect(scene.bytes == 64 << 10)
    }

    @Test func `is never more than may be outstanding`() {
        let most = Credit(bytes: 300_000, records: 2_000)
        var scene = Scene(knobs: FlowKnobs(maxQueue: most, maxOutstanding: most))
        _ = scene.steps(40, leaseMicroseconds: 1, starves: true)
        #expect(scene.window.window == most)
    }

    @Test func `is one batch where nothing may wait`() {
        var scene = Scene(knobs: FlowKnobs(maxQueue: .zero))
        _ = scene.steps(40, leaseMicroseconds: 1, starves: true)
        #expect(scene.window.window == Credit(bytes: 64 << 10, records: 640))
    }

    @Test func `counts records with slack, so that bytes decide`() {
        var scene = Scene()
        _ = scene.steps(100, leaseMicroseconds: 1_000, starves: true)
        let fitting = scene.bytes / (64 << 10) * 640
        #expect(scene.window.window.records > fitting * 3)
        #expect(scene.window.window.records < fitting * 5)
    }

    @Test func `is small for small batches that take long`() {
        var scene = Scene(batch: Credit(bytes: 100, records: 1))
        _ = scene.steps(40, leaseMicroseconds: 1_000, starves: true)
        #expect(scene.bytes <= 80 * 100)
        #expect(scene.bytes >= 40 * 100)
    }

    @Test func `has nothing to say before a step is due`() {
        var scene = Scene()
        #expect(scene.window.step(at: scene.now) == nil)
        scene.window.released(
            scene.batch, residenceNanoseconds: 10, leaseNanoseconds: 10, at: scene.now)
        #expect(scene.window.step(at: scene.now + 49_000_000) == nil)
        #expect(scene.window.step(at: scene.now + 50_000_000) != nil)
    }

    @Test(arguments: [11, 12, 13] as [UInt64])
    func `stays within its bounds whatever comes`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let most = Credit(bytes: 8 << 20, records: 100_000)
        let knobs = FlowKnobs(
            maxQueue: Credit(bytes: 4 << 20, records: 50_000), maxOutstanding: most)
        var window = AdaptiveWindow(knobs: knobs, batchBytesMax: 1 << 20)
        var now = Moment.zero
        for _ in 0..<20_000 {
            now = now + Int64(random.below(20_000_000))
            let size = Credit(bytes: random.below(2 << 20), records: random.below(70_000))
            let lease = Int64(random.below(random.oneIn(50) ? 1_000_000_000 : 1_000_000))
            switch random.below(20) {
            case 0: window.failed(at: now)
            case 1: window.pressed(at: now)
            case 2...5: window.starved(from: now + -lease, to: now)
            case 6...9: window.queued(size, at: now)
            default:
                window.released(
                    size, residenceNanoseconds: lease * 2, leaseNanoseconds: lease, at: now)
            }
            _ = window.step(at: now)
            #expect(window.window.isPositive && most.covers(window.window), "seed \(seed)")
        }
    }
}
