import Synchronization
public import WeirBase
import WeirFormat

extension Store {
    /// Has threads whose appends wait, at the gate or at a quota, ask ten times a second whether to
    /// go on, and tell for what; one that does not ends as if its time were over. For a command,
    /// which somebody may want to end.
    package func watchWaitingAppends(_ goesOn: @escaping @Sendable (String) -> Bool) {
        flow.waitingWatch.withLock { $0 = goesOn }
    }
}

extension LogStream {
    /// What appends may have under way, what the others do, and which consumers hold them back.
    ///
    /// ```swift
    /// try orders.setProducerPolicy(
    ///     ProducerPolicy(
    ///         admission: .failFast, lagBound: .init(consumers: ["billing"], records: 100_000)))
    /// ```
    ///
    /// Holds at once, for appends that wait already too; each of them keeps its timeout. It is not
    /// stored: set it again after the store was opened. Throws `invalidArgument` for a policy that
    /// contradicts itself, and for Weir's own streams, which pass no gate; `closed` once the stream
    /// was deleted. A bound consumer that does not live counts by its cursor, if there is one of
    /// its name.
    public func setProducerPolicy(_ policy: ProducerPolicy) throws(WeirError) {
        guard !name.isSystem else {
            throw WeirError(
                .invalidArgument,
                "The stream \(name) is one of Weir's own, whose appends pass no gate; set policies "
                    + "for streams of your own.")
        }
        try policy.validate()
        let committer = try writable()
        var names: [String] = []
        if policy.lagBound != nil {
            names = try parts.cursors.all(of: open.id).map(\.key.name)
        }
        try committer.setPolicy(policy)
        for name in names { committer.cursorMoved(name, committed(name)) }
    }

    /// Asked by the gate when it is told of a change: what stands then counts. `nil` where the
    /// consumer of the name is to hold nobody back.
    func committed(_ name: String) -> () -> Offset? {
        {
            guard self.flow.variant(for: name).lagBoundProducers else { return nil }
            return self.parts.cursors.committed(CursorKey(stream: self.open.id, name: name))
        }
    }

    /// The policy that holds now.
    public var producerPolicy: ProducerPolicy { committer?.policy ?? ProducerPolicy() }

    /// The gate in front of the producers; `nil` where there is none: in a reading process, and for
    /// Weir's own streams.
    package func gateReport() -> FlowReport.Gate? {
        name.isSystem ? nil : committer?.gateReport()
    }

    /// A named live consumer has released everything below an offset. Cheap without a lag bound.
    package func consumer(_ name: String, released: Offset) {
        committer?.consumer(name, released: released)
    }

    /// A named consumer is gone; where its cursor stands, or else its last position, holds
    /// producers back until the cap.
    package func consumerEnded(_ name: String) {
        committer?.consumerEnded(name)
        committer?.cursorMoved(name, committed(name))
    }
}
