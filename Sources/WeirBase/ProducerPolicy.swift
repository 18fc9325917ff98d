/// How many appends a stream takes at a time, what the others do, and which consumers may hold them
/// back.
///
/// ```swift
/// var policy = ProducerPolicy(admission: .wait(timeout: .seconds(2)))
/// policy.lagBound = .init(consumers: ["billing"], records: 100_000, cap: .seconds(30))
/// try orders.setProducerPolicy(policy)
/// ```
public struct ProducerPolicy: Sendable, Hashable {
    /// What appends may have under way, from before their bytes are copied until their outcome is
    /// known: the bound of the memory that they hold. One append larger than it passes alone.
    public var permits: Credit
    public var admission: Admission
    /// `nil`: however far consumers are behind, appends go on.
    public var lagBound: LagBound?

    /// What an append does that finds no permit.
    public enum Admission: Sendable, Hashable {
        /// It waits for its turn, and throws `timedOut` after so long; `nil`: for ever.
        case wait(timeout: Duration? = nil)
        /// It throws `wouldBlock` at once.
        case failFast
    }

    /// Appends wait while a named consumer has more than so many records yet to release.
    public struct LagBound: Sendable, Hashable {
        /// `nil`: every consumer that has a name. Those that were never there do not count.
        public var consumers: [String]?
        /// Records appended, or on their way, that the slowest has not released.
        public var records: Int
        /// How long lag may hold appends back. Then they go on, with the signal `gateCapped`, until
        /// the lag was within the bound again.
        public var cap: Duration

        public init(consumers: [String]? = nil, records: Int, cap: Duration = .seconds(60)) {
            self.consumers = consumers
            self.records = records
            self.cap = cap
        }
    }

    public init(
        permits: Credit = Credit(
            bytes: Limits.producerBytesDefault, records: Limits.producerRecordsDefault),
        admission: Admission = .wait(timeout: nil),
        lagBound: LagBound? = nil
    ) {
        self.permits = permits
        self.admission = admission
        self.lagBound = lagBound
    }

    /// Throws `invalidArgument` for the first value that is outside its range, or contradicts
    /// another.
    public func validate() throws(WeirError) {
        try FlowKnobs.expect(permits, "number of permits", minimum: 1)
        if case .wait(let timeout?) = admission { try Self.expectTimeout(timeout) }
        try lagBound?.validate()
    }

    private static func expectTimeout(_ timeout: Duration) throws(WeirError) {
        guard timeout != .zero else {
            throw WeirError(
                .invalidArgument,
                "The timeout of waiting appends is zero; expected more than that, nil for no "
                    + "timeout, or .failFast for appends that do not wait at all.")
        }
        try expect(timeout, "timeout of waiting appends", minimum: .microseconds(1))
    }

    fileprivate static func expect(
        _ duration: Duration, _ what: String, minimum: Duration
    ) throws(WeirError) {
        let most = Duration.seconds(Limits.producerSecondsMax)
        guard (minimum...most).contains(duration) else {
            throw WeirError(
                .invalidArgument, "The \(what) is \(duration); expected \(minimum) to \(most).")
        }
    }
}

extension ProducerPolicy.LagBound {
    fileprivate func validate() throws(WeirError) {
        guard (1...Credit.unlimited.records).contains(records) else {
            throw WeirError(
                .invalidArgument,
                "The lag bound is \(records) records; expected 1 to \(Credit.unlimited.records), "
                    + "or no bound at all.")
        }
        try ProducerPolicy.expect(cap, "cap of the lag bound", minimum: .milliseconds(1))
        guard let consumers else { return }
        guard !consumers.isEmpty else {
            throw WeirError(
                .invalidArgument,
                "The lag bound names no consumer; expected names of consumers, or nil for all "
                    + "that have one.")
        }
        // Nobody could bear another name, and so it would bind nobody.
        for name in consumers { _ = try StreamName(name, what: "consumer") }
        guard Set(consumers).count == consumers.count else {
            throw WeirError(
                .invalidArgument,
                "The lag bound names a consumer twice; expected each name once.")
        }
        guard consumers.count <= Limits.boundConsumersMax else {
            throw WeirError(
                .invalidArgument,
                "The lag bound names \(consumers.count) consumers; expected at most "
                    + "\(Limits.boundConsumersMax).")
        }
    }
}
