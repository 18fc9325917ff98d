import Weir

/// Prints the records that a command was asked for, when they are due, and knows when it has them
/// all.
struct RecordPrinter {
    let output: StandardOutput
    private let formatter: RecordFormatter
    private let notBefore: Timestamp?
    private let to: EndArgument?
    private var count: Int?
    /// Of what is asked for, only the last ones: they wait here until all is seen.
    private var last: LastOnes<(record: Record, stream: StreamName)>?
    private var pace: Pace?
    private(set) var printed = 0
    private(set) var seen = 0
    private(set) var isDone = false
    /// What stands before the first record was printed, now or by an earlier command.
    var hasHead = false

    init(
        _ formatter: RecordFormatter, from: StartPosition = .first, to: EndArgument? = nil,
        count: Int? = nil, last: Int? = nil, pace: Pace? = nil
    ) {
        self.init(formatter, output: StandardOutput(), from: from, to: to)
        self.count = count
        self.last = last.map { LastOnes(countMax: $0) }
        self.pace = pace
        isDone = count == 0
    }

    /// Prints all of them, wherever they go.
    init(
        _ formatter: RecordFormatter, output: StandardOutput, from: StartPosition,
        to: EndArgument?
    ) {
        self.formatter = formatter
        self.output = output
        // Record times may go back: with an end in time, each record is looked at.
        if case .time(let time) = from, case .time? = to {
            notBefore = time
        } else {
            notBefore = nil
        }
        self.to = to
    }

    /// `false` when nothing more is wanted.
    mutating func print(_ record: Record, of stream: StreamName) throws -> Bool {
        seen += 1
        switch to {
        case .offset(let end) where record.offset >= end:
            isDone = true
            return false
        case .time(let end) where record.time >= end: return true
        default: break
        }
        if let notBefore, record.time < notBefore { return true }
        guard last == nil else {
            last?.add((record, stream))
            return true
        }
        try put(record, of: stream)
        return !isDone
    }

    private mutating func put(_ record: Record, of stream: StreamName) throws {
        let output = output
        try pace?.wait(for: record.time, before: output)
        try output.write { out in
            if !hasHead { formatter.appendHead(to: &out) }
            formatter.append(record, of: stream, to: &out)
        }
        hasHead = true
        printed += 1
        if printed == count { isDone = true }
    }

    /// Prints what waited for the end, and flushes. What comes afterwards is printed at once.
    mutating func finish() throws {
        let waiting = last?.all.prefix(count ?? .max) ?? []
        last = nil
        for found in waiting { try put(found.record, of: found.stream) }
        if !hasHead {
            // A table without rows has its columns all the same.
            try output.write { formatter.appendHead(to: &$0) }
            hasHead = true
        }
        try output.flush()
    }
}

/// Holds records back until they are due.
struct Pace {
    private var pacer: ReplayPacer
    private let beginning = ContinuousClock.now

    init(_ speed: ReplaySpeed) throws { pacer = try ReplayPacer(speed) }

    /// Sleeps until a record of that time is due. What was printed is seen before.
    mutating func wait(for time: Timestamp, before output: StandardOutput) throws {
        let elapsed = ContinuousClock.now - beginning
        guard case .wait(let left) = pacer.next(time, at: elapsed) else { return }
        try output.flush()
        if left > ReplayPacer.longWait {
            Words.say(
                "weir: note: the next record, of \(time), is due in \(left.formattedHours); Ctrl-C "
                    + "ends the waiting, and a higher --speed shortens it")
        }
        while try Interrupt.sleep(until: beginning + elapsed + left) {}
    }
}

extension Duration {
    /// 26 h 5 min
    fileprivate var formattedHours: String {
        let minutes = components.seconds / 60
        return "\(Numbers.grouped(Int(clamping: minutes / 60))) h \(minutes % 60) min"
    }
}

/// The last so many of a sequence, the oldest first.
struct LastOnes<Element> {
    private var ring: [Element] = []
    private var next = 0
    private let countMax: Int

    init(countMax: Int) { self.countMax = countMax }

    mutating func add(_ record: Element) {
        guard countMax > 0 else { return }
        if ring.count < countMax {
            ring.append(record)
        } else {
            ring[next] = record
            next = (next + 1) % countMax
        }
    }

    var all: ArraySlice<Element> { ring[next...] + ring[..<next] }
}
