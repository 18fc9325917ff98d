import WeirBase
import WeirFiles
import WeirIndex

/// Reads a stream's keys part by part, on a thread of its own, while parts before them are written.
///
///     thread ──read──▶ part, part, part ──take──▶ who writes the index
///
/// A part begins where the one before it ends. The thread ends behind the last part of the stream
/// or the first one that cannot be read, and when it is told to.
final class KeyReadAhead: Sendable {
    typealias Part = Result<[KeyRun], WeirError>

    /// Parts that nobody took yet: about as many as are read while SQLite's journal is moved into
    /// the file, which takes as long as writing three of them.
    static let partsMax = 3

    private struct State {
        var parts: [Part] = []
        /// Of the first part that nobody took.
        var start: Offset
        var isStopped = false
        var hasEnded = false
    }

    private let stream: StreamID
    private let monitor: Monitor<State>

    /// Begins to read, each part with `read`. Throws `system` if the system has no thread to give.
    init(
        of stream: StreamID, from start: Offset, _ read: @escaping @Sendable (Offset) -> Part
    ) throws(WeirError) {
        self.stream = stream
        let monitor = Monitor(State(start: start))
        self.monitor = monitor
        // The thread lets go of the store before it says that it has ended.
        let work = Lock<(@Sendable (Offset) -> Part)?>(read)
        try SystemThread.start {
            SystemThread.yieldToOthers(.interruptible)
            Self.run(work, from: start, monitor)
            monitor.signal { $0.hasEnded = true }
        }
    }

    private static func run(
        _ work: Lock<(@Sendable (Offset) -> Part)?>, from start: Offset, _ monitor: Monitor<State>
    ) {
        guard let read = work.withLock({ $0.take() }) else { return }
        var next = start
        while hasRoom(monitor) {
            let part = read(next)
            // At the end of that moment: whoever takes up there looks for itself.
            if case .success(let runs) = part, runs.isEmpty { return }
            monitor.signal { $0.parts.append(part) }
            guard let end = part.end else { return }
            next = end
        }
    }

    /// Waits for it. `false`: nobody wants more.
    private static func hasRoom(_ monitor: Monitor<State>) -> Bool {
        monitor.wait { state in
            if state.isStopped { return false }
            return state.parts.count < partsMax ? true : nil
        } ?? false
    }

    /// Whether there is a part, or one is being read, of a stream from an offset on.
    func continues(_ stream: StreamID, at start: Offset) -> Bool {
        guard stream == self.stream else { return false }
        return monitor.read { $0.start == start && !($0.hasEnded && $0.parts.isEmpty) }
    }

    /// The next part; waits for it. `nil` if there is none. For one thread.
    func take() -> Part? {
        let hasOne = monitor.wait { state -> Bool? in
            state.parts.isEmpty ? (state.hasEnded ? false : nil) : true
        }
        guard hasOne == true else { return nil }
        return monitor.signal { state in
            let part = state.parts.removeFirst()
            if let end = part.end { state.start = end }
            return part
        }
    }

    /// Ends the thread, and waits for it. What it read can still be taken.
    func stop() {
        monitor.signal { $0.isStopped = true }
        _ = monitor.wait { $0.hasEnded ? true : nil }
    }
}

extension KeyReadAhead.Part {
    /// Where the next part begins; `nil` if this one holds nothing.
    fileprivate var end: Offset? {
        guard case .success(let runs) = self else { return nil }
        return runs.last?.end
    }
}
