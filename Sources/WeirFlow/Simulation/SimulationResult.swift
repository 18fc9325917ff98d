package import WeirBase

/// What came of a run: numbers to judge by, and series to draw.
package struct SimulationResult: Sendable {
    package var pattern: LoadPattern
    package var policy: FlowSimulation.Policy
    package var seed: UInt64
    package var latencyBudgetMilliseconds: Double

    /// The part of the settled records that were released within the latency budget.
    package var withinBudget: Double
    package var settledRecords: Int
    /// Records a second of the time in which there was something to do.
    package var recordsPerSecond: Double
    /// How often the window went from flooded to starved or back, for each disturbance; of the
    /// worst consumer.
    package var swings: Double
    /// The same, as the mean of all consumers.
    package var meanSwings: Double
    /// At the end; the mean of all consumers.
    package var finalWindowBytes: Int
    /// The controller's steps, of all consumers.
    package var steps: Int
    package var signals: [(kind: SignalKind, count: Int)]
    /// Of equal length, oldest first.
    package var series: [Slice]

    /// A stretch of time: the sums of all consumers.
    package struct Slice: Sendable {
        package var startMilliseconds = 0.0
        package var windowBytes = 0.0
        package var occupiedBytes = 0.0
        /// Of the records that were released in it; 0 where none was.
        package var p50Milliseconds = 0.0
        package var p99Milliseconds = 0.0
        package var records = 0
        package var starvedMilliseconds = 0.0
        /// Milliseconds at each tenth of the window, the last for more than all of it.
        package var occupancyMilliseconds = [Double](repeating: 0, count: 11)
    }
}
