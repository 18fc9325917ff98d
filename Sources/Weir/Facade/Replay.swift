public import WeirBase

extension Store {
    /// Streams, or the partitions of one, as an asynchronous sequence of records in the order of
    /// their times, at their pace or as fast as they are read.
    ///
    /// ```swift
    /// for try await found in try Store.replay(orders.partitions, speed: .times(60)) {
    ///     print(found.stream, found.record.time)
    /// }
    /// ```
    ///
    /// Ends where all streams end. The order is that of `Store.merged`, and so are the bounds of
    /// memory, with a megabyte of records above. Records that are missing are an error with the
    /// code `gap`; the next call goes on behind them, as does one after an error of the device.
    /// Each loop begins anew. Throws `invalidArgument` for a speed outside its range.
    public static func replay(
        _ streams: [LogStream], from start: StartPosition = .first, speed: ReplaySpeed = .max
    ) throws(WeirError) -> Replay {
        Replay(streams: streams, start: start, pacer: try ReplayPacer(speed))
    }
}

/// Records of several streams, merged and paced; see `Store.replay`.
public struct Replay: AsyncSequence, Sendable {
    public typealias Element = MergedRecord
    let streams: [LogStream]
    let start: StartPosition
    let pacer: ReplayPacer

    public func makeAsyncIterator() -> Iterator {
        Iterator(reader: ReplayReader(streams: streams, start: start), pacer: pacer)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let reader: ReplayReader
        var pacer: ReplayPacer
        private let beginning = ContinuousClock.now
        /// Read and not given yet, the next one last.
        private var waiting: [MergedRecord] = []

        init(reader: ReplayReader, pacer: ReplayPacer) {
            self.reader = reader
            self.pacer = pacer
        }

        /// The next record, when it is due; `nil` at the end of all streams.
        ///
        /// Throws `CancellationError` for a task that is cancelled while it waits.
        public mutating func next() async throws -> MergedRecord? {
            if waiting.isEmpty { waiting = try await reader.read().reversed() }
            guard let found = waiting.last else { return nil }
            let elapsed = ContinuousClock.now - beginning
            if case .wait(let time) = pacer.next(found.record.time, at: elapsed) {
                try await Task.sleep(for: time, tolerance: .milliseconds(1))
            }
            waiting.removeLast()
            return found
        }
    }
}

/// Reads ahead for a replay, on Weir's threads.
final class ReplayReader: @unchecked Sendable {
    // @unchecked: its iterator asks for one reading after the other, and waits for each.
    private let streams: [LogStream]
    private let start: StartPosition
    private var cursor: MergedCursor?
    private var isOpen = false
    /// Met behind records that were read with it, and told after them.
    private var failure: WeirError?
    private static let bytesMax = 1 << 20
    private static let recordsMax = 1024

    init(streams: [LogStream], start: StartPosition) {
        self.streams = streams
        self.start = start
    }

    /// Some records; none at the end.
    func read() async throws -> [MergedRecord] {
        guard let pool = streams.first?.pool else { return [] }
        return try await pool.call { () throws(WeirError) in try self.readBlocking() }
    }

    private func readBlocking() throws(WeirError) -> [MergedRecord] {
        if let failure {
            self.failure = nil
            throw failure
        }
        if !isOpen {
            cursor = try Store.merged(streams, from: start)
            isOpen = true
        }
        var found: [MergedRecord] = []
        do throws(WeirError) {
            try read(into: &found)
        } catch {
            if found.isEmpty { throw error }
            failure = error
        }
        return found
    }

    private func read(into found: inout [MergedRecord]) throws(WeirError) {
        var bytes = 0
        while found.count < Self.recordsMax, bytes < Self.bytesMax {
            switch try cursor?.next() {
            case .record(let merged):
                found.append(merged)
                let record = merged.record
                bytes +=
                    Credit.record(
                        key: record.key?.count, headers: record.headers,
                        value: record.value?.count ?? 0
                    ).bytes
            case .gap(let gap, let stream):
                throw WeirError(
                    .gap,
                    "Records \(gap.expected) to before \(gap.next) of \(stream) are missing "
                        + "(\(gap.reason.rawValue)): \(gap.detail). Ask again to go on behind "
                        + "them.",
                    at: .init(stream: stream.description, offset: gap.expected))
            case .end, nil: return
            }
        }
    }
}
