import Testing
import WeirBase
import WeirFlow

/// A gate, and what a world around it knows: who holds permits, who waits, where the consumer is.
private struct World {
    static let cap: Int64 = 2
    static let sizes = [(1, 1), (2, 1), (3, 2)].map { Credit(bytes: $0, records: $1) }

    let bound: Int?
    /// The consumer lives in another process: the gate knows what it committed.
    let isElsewhere: Bool
    var gate: AppendGate
    var out: [Credit] = []
    var line: [(ticket: AppendGate.Ticket, size: Credit)] = []
    var end: UInt64 = 0
    var released: UInt64 = 0
    var isLive = true
    /// One elsewhere was forgotten at the cap, and counts anew from far behind.
    var isBehind = false
    var now = Moment.zero
    /// The first rule that was broken.
    var fault: String?
    /// When the timer of the cap calls; one at most is under way.
    var tickAt: Moment?

    init(limit: Credit, bound: Int?, isElsewhere: Bool) {
        self.bound = bound
        self.isElsewhere = isElsewhere
        isLive = !isElsewhere
        gate = AppendGate(limit: limit, end: .zero)
        guard let bound else { return }
        _ = gate.change(
            limit: limit,
            bound: .init(names: nil, lagRecords: bound, capNanoseconds: Self.cap), at: now)
        if isElsewhere {
            _ = gate.consumer("c", committed: .zero, at: now)
        } else {
            _ = gate.consumer("c", released: .zero, at: now)
        }
    }

    enum Event: Hashable {
        case take(Credit, mayWait: Bool)
        case giveBack(Int, isAppended: Bool)
        case cancel(Int)
        case release(UInt64)
        case commit(UInt64)
        case consumerEnds
        case consumerComes
        case time
    }

    /// Everything that can happen next, with few appends at a time.
    var events: [Event] {
        var events: [Event] = []
        if out.count + line.count < 4 {
            for size in Self.sizes {
                events += [.take(size, mayWait: true), .take(size, mayWait: false)]
            }
        }
        for index in out.indices {
            if end - released < 8 { events.append(.giveBack(index, isAppended: true)) }
            events.append(.giveBack(index, isAppended: false))
        }
        events += line.indices.map { .cancel($0) }
        guard bound != nil else { return events }
        if isElsewhere {
            if released < end { events += [.commit(released + 1), .commit(end)] }
        } else if isLive {
            if released < end { events += [.release(released + 1), .release(end)] }
            events.append(.consumerEnds)
        } else {
            events.append(.consumerComes)
        }
        return gate.isShutForLag || tickAt != nil ? events + [.time] : events
    }

    /// Happens, and holds what must hold whatever happens.
    mutating func happen(_ event: Event) {
        let wasOpen = gate.isOpen
        var effects = AppendGate.Effects()
        switch event {
        case .take(let size, let mayWait): effects = take(size, mayWait: mayWait)
        case .giveBack(let index, let isAppended):
            let size = out.remove(at: index)
            if isAppended { end += UInt64(size.records) }
            effects = gate.giveBack(size, end: isAppended ? Offset(end) : nil, at: now)
        case .cancel(let index):
            effects = gate.cancel(line.remove(at: index).ticket, at: now)
        case .release(let offset):
            released = offset
            effects = gate.consumer("c", released: Offset(offset), at: now)
        case .commit(let offset):
            released = offset
            effects = gate.consumer("c", committed: Offset(offset), at: now)
        case .consumerEnds:
            isLive = false
            effects = gate.consumerEnded("c", at: now)
        case .consumerComes:
            (isLive, released) = (true, end)
            effects = gate.consumer("c", released: Offset(end), at: now)
        case .time:
            now = now + 1
            if let tickAt, tickAt <= now { self.tickAt = nil }
            effects = tickAt == nil ? gate.tick(at: now) : .init()
        }
        if let at = effects.tickAt { tickAt = tickAt.map { min($0, at) } ?? at }
        admit(effects.admitted)
        hold(
            effects.signals.contains(.gateOpened) == (!wasOpen && gate.isOpen),
            "the opening was told wrongly")
        hold(
            effects.signals.contains(.gateClosed) == (wasOpen && !gate.isOpen),
            "the closing was told wrongly")
        check()
    }

    private mutating func take(_ size: Credit, mayWait: Bool) -> AppendGate.Effects {
        let passes = line.isEmpty && !gate.isShutForLag && fits(size)
        hold(gate.wouldPass(size) == passes, "what would pass is told wrongly")
        let (answer, effects) = gate.take(size, at: now, mayWait: mayWait)
        switch answer {
        case .taken: out.append(size)
        case .wait(let ticket): line.append((ticket, size))
        case .refused: hold(!mayWait, "who may wait was refused")
        case .closed: Issue.record("a gate that nobody closed is closed")
        }
        hold((answer == .taken) == passes, "who may pass did not, or who may not did")
        return effects
    }

    /// First come, first served.
    private mutating func admit(_ tickets: [AppendGate.Ticket]) {
        hold(
            tickets == line.prefix(tickets.count).map(\.ticket), "not the first was admitted")
        out += line.prefix(tickets.count).map(\.size)
        line.removeFirst(tickets.count)
    }

    private var outSum: Credit { out.reduce(.zero, +) }

    private func fits(_ size: Credit) -> Bool {
        out.isEmpty || gate.limit.covers(outSum + size)
    }

    private mutating func check() {
        hold(gate.used == outSum, "permits were lost or invented")
        hold(out.count <= 1 || gate.limit.covers(outSum), "more than the limit is out")
        hold(gate.waitingCount == line.count, "the line is told wrongly")
        if let first = line.first {
            hold(gate.isShutForLag || !fits(first.size), "somebody waits who may pass")
        }
        guard let bound else { return }
        if gate.isShutForLag { hold(tickAt != nil, "nobody looks at the cap") }
        if let since = gate.lagsSince, !gate.isCapped {
            hold(now - since < Self.cap, "shut for longer than the cap")
        }
        let lag = Int(end - released) + outSum.records
        if isElsewhere { isBehind = gate.lagRecords == nil || isBehind && lag > bound }
        guard isLive || isElsewhere && !isBehind else { return }
        hold(gate.isCapped || lag <= bound + 2, "the lag exceeds its bound by two appends")
        hold(lag > 0 || !gate.isShutForLag, "shut without a lag")
    }

    /// Lets every append end, and the consumer release all it sees; time passes only where nobody
    /// is there to release, as where one elsewhere does not commit (`isSilent`). Then nobody may be
    /// left waiting.
    func faultWhenItGoesOn(isSilent: Bool = false) -> String? {
        var world = self
        for _ in 0..<24 where !(world.line.isEmpty && world.out.isEmpty) {
            while !world.out.isEmpty { world.happen(.giveBack(0, isAppended: true)) }
            if world.bound != nil, world.isLive { world.happen(.release(world.end)) }
            if world.bound == nil || world.isLive { continue }
            world.happen(world.isElsewhere && !isSilent ? .commit(world.end) : .time)
        }
        world.hold(world.line.isEmpty, "somebody waits for ever")
        world.hold(world.gate.used == .zero, "permits are out for ever")
        return world.fault
    }

    /// Cheaper than an expectation, of which millions would be met.
    private mutating func hold(_ condition: Bool, _ text: String) {
        if !condition, fault == nil { fault = "\(text): \(key)" }
    }

    /// Equal for worlds that go on alike: positions and times matter by their differences only.
    struct Key: Hashable {
        let out: [[Int]]
        let line: [Credit]
        let lag: UInt64
        let isLive: Bool
        let isBehind: Bool
        let gateLag: Int?
        let isCapped: Bool
        let shutFor: Int64?
        let refused: Credit?
        let tickIn: Int64?
    }
    var key: Key {
        Key(
            out: out.map { [$0.bytes, $0.records] }.sorted { $0.lexicographicallyPrecedes($1) },
            line: line.map(\.size), lag: bound == nil ? 0 : end - released, isLive: isLive,
            isBehind: isBehind, gateLag: gate.lagRecords, isCapped: gate.isCapped,
            shutFor: gate.lagsSince.map { min(now - $0, Self.cap) }, refused: gate.refusedSize,
            tickIn: tickAt.map { $0 - now })
    }
}

@Suite("Every state of a small gate")
struct AppendGateExploration {
    @Test(
        arguments: [
            (1, nil, false), (2, nil, false), (3, nil, false), (1, 2, false), (2, 1, false),
            (3, 4, false), (1, 2, true), (2, 1, true), (3, 4, true),
        ] as [(Int, Int?, Bool)])
    func `keeps its permits, its order and its bound, and lets everybody pass at last`(
        limit: Int, bound: Int?, isElsewhere: Bool
    ) {
        var seen: Set<World.Key> = []
        var open = [
            World(
                limit: Credit(bytes: limit, records: 2), bound: bound, isElsewhere: isElsewhere)
        ]
        while let world = open.popLast() {
            guard seen.insert(world.key).inserted else { continue }
            if let fault = world.fault ?? world.faultWhenItGoesOn()
                ?? (isElsewhere ? world.faultWhenItGoesOn(isSilent: true) : nil)
            {
                Issue.record("\(fault)")
                return
            }
            for event in world.events {
                var next = world
                next.happen(event)
                open.append(next)
            }
        }
        // So many that the walk did not end at its beginning.
        #expect(seen.count > (bound == nil ? 30 : 1000))
    }
}
