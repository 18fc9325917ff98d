/// How far reading ahead may go for a consumer: the same three words in the API, on the command
/// line and in documents.
public struct FlowKnobs: Sendable, Hashable {
    /// What may wait, read ahead and not yet taken. Less than one batch is legal and means that a
    /// batch is read only when the consumer waits for it.
    public var maxQueue: Credit
    /// How long a record may be held from its delivery into the window to its release: the window
    /// is chosen so that 99 % of records stay within it.
    public var latencyBudget: Duration
    /// What may be out in all: waiting, and in the consumer's hands.
    public var maxOutstanding: Credit

    public init(
        maxQueue: Credit = Credit(bytes: 16 << 20, records: 1 << 20),
        latencyBudget: Duration = .milliseconds(100),
        maxOutstanding: Credit = Credit(bytes: 64 << 20, records: 4 << 20)
    ) {
        self.maxQueue = maxQueue
        self.latencyBudget = latencyBudget
        self.maxOutstanding = maxOutstanding
    }

    /// Throws `invalidArgument` for the first knob that is outside its range, or contradicts
    /// another.
    public func validate() throws(WeirError) {
        try FlowKnobs.expect(maxQueue, "maxQueue", minimum: 0)
        try FlowKnobs.expect(maxOutstanding, "maxOutstanding", minimum: 1)
        guard (.milliseconds(1)...Duration.seconds(3600)).contains(latencyBudget) else {
            throw WeirError(
                .invalidArgument,
                "The latencyBudget is \(latencyBudget); expected 1 millisecond to 1 hour.")
        }
        guard maxOutstanding.covers(maxQueue) else {
            throw WeirError(
                .invalidArgument,
                "The maxQueue of \(maxQueue) is more than the maxOutstanding of "
                    + "\(maxOutstanding), which counts what waits too; expected at most that.")
        }
    }

    package static func expect(
        _ credit: Credit, _ what: String, minimum: Int
    ) throws(WeirError) {
        let range = minimum...Credit.unlimited.bytes
        guard range.contains(credit.bytes), range.contains(credit.records) else {
            throw WeirError(
                .invalidArgument,
                "The \(what) is \(credit); expected \(minimum) to \(Credit.unlimited.bytes) of "
                    + "both.")
        }
    }
}
