public import WeirBase
import WeirFiles

extension Store {
    /// How often each signal came, by stream and consumer, since the store was opened.
    public var signalCounts: [SignalSource: SignalCounts] { flow.signals.counts }

    /// Every signal from now on, bounded: see `SignalFeed`. Ends with the store.
    public var signals: SignalFeed { flow.signals.events() }

    /// The mechanisms of flow control that are on, and for which share of the consumers.
    public var flowFlags: FlowFlags { flow.currentFlags }

    /// Changes them for subscriptions that begin from now on. Throws `invalidArgument` for a
    /// percentage outside 0 to 100.
    public func setFlowFlags(_ flags: FlowFlags) throws(WeirError) {
        try flags.validate()
        flow.set(flags)
    }
}

extension StoreFlow: FlowSource {
    func add(to report: inout FlowReport, streams: Set<String>?) { report.budget = budget.report }
}

/// The streams that are in use, each with its subscriptions, gate and latencies. Keeps no store.
struct OpenStreams: FlowSource {
    weak let store: Store?

    func add(to report: inout FlowReport, streams: Set<String>?) {
        for open in store?.openStreams ?? []
        where streams?.contains(open.name.description) ?? true {
            open.add(to: &report)
        }
    }
}

extension LogStream {
    fileprivate func add(to report: inout FlowReport) {
        report.consumers += consumerReports()
        if let gate = gateReport() { report.gates.append(gate) }
        report.latencies += feeds.latencyReport(stream: name.description)
    }

    func consumerReports() -> [FlowReport.Consumer] {
        feeds.all.map { entry in
            var report = FlowReport.Consumer(
                name: entry.label.name, stream: name.description,
                partition: configuration.partition?.index,
                mode: entry.label.mode, variant: "\(entry.label.variant)", releasedOffset: 0,
                lagRecords: 0, windowBytes: 0, windowRecords: 0, queuedBytes: 0,
                queuedRecords: 0, leasedBytes: 0, keptBytes: 0, shareBytes: entry.account.share,
                isWaiting: false, occupancy: [], occupancyMilliseconds: 0)
            entry.feed.report(into: &report)
            return report
        }
    }
}
