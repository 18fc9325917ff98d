public import WeirBase
import WeirFormat

extension Store {
    /// The state of flow control at this moment: budget, consumers, gates, latencies, and how often
    /// each signal came since the store was opened. Of one stream only, where one is named, or of
    /// all partitions of a partitioned one.
    ///
    /// Costs a few microseconds and holds nobody up; meant to be asked once a second, not once a
    /// record.
    public func flowReport(stream: String? = nil) -> FlowReport {
        flowSources.report(on: stream, of: engine)
    }

    /// The same, of a store that another process has open for writing. Blocks the thread, for at
    /// most some seconds.
    ///
    /// ```swift
    /// let report = try Store.flowReport(ofStoreAt: "orders.weir", stream: "orders")
    /// ```
    ///
    /// Throws `notFound` if there is no store or stream, or no writer has the store open (the
    /// message says which), `permissionDenied` for another user's store, `wouldBlock` if the writer
    /// does not answer or too many ask at once.
    public static func flowReport(
        ofStoreAt path: String, stream: String? = nil
    ) throws(WeirError) -> FlowReport {
        let client = try ControlClient(path: path)
        return try client.ask(FlowRequest(stream: stream), for: FlowReport.self)
    }

    /// Serves the control socket, or reports why not: a store without it is as good as another.
    static func serveControl(
        _ engine: SystemEngine, _ flow: FlowSources, _ commands: ControlCommands
    ) -> ControlServer? {
        commands.register("ping") { (_: PingRequest) throws(WeirError) in
            Pong(epoch: engine.epoch.value)
        }
        commands.register("flow") { (request: FlowRequest) throws(WeirError) in
            if let stream = request.stream {
                let name = try StreamName(stream)
                guard engine.stream(name) != nil || !engine.partitions(claiming: name).isEmpty
                else { throw engine.noStream(name) }
            }
            return flow.report(on: request.stream, of: engine)
        }
        do throws(WeirError) {
            return try ControlServer.start(
                in: engine.files, at: StoreLayout.control, commands: commands)
        } catch {
            engine.add(reports: [
                DamageReport(
                    kind: .noControl, stream: "", path: StoreLayout.control,
                    detail: "the store is open, but other processes cannot ask this one for its "
                        + "figures, or to commit: \(error)")
            ])
            return nil
        }
    }
}

private struct FlowRequest: Codable {
    var command = "flow"
    var stream: String?
}

private struct PingRequest: Codable {
    var command = "ping"
}

private struct Pong: Codable {
    var epoch: UInt64
}
