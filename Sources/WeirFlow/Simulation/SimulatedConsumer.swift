import WeirBase

/// A subscription in simulated time: its part of the log, its window, and the consumer.
struct SimulatedConsumer {
    struct Batch {
        var size: Credit
        /// In the log.
        var arrived: Int64
        /// Read, and in the window.
        var delivered: Int64
    }
    let slowness: Double
    /// Each part of the world has a seed of its own, so that all windows meet the same one.
    var logRandom: SimulatedRandom
    var workRandom: SimulatedRandom
    var diskRandom: SimulatedRandom
    /// For a fixed window it only watches: its steps are the clock that settling is told by.
    var controller: AdaptiveWindow
    let fixed: Credit?

    /// The next batch of the log, and whether an event for its arrival is under way.
    var next = Batch(size: .zero, arrived: 0, delivered: 0)
    var awaitsArrival = false
    /// A thread reads for it, or will.
    var isReading = false
    /// Bytes of the log since its last wait for the disk.
    var fetchedBytes = 0

    var queue: [Batch] = []
    var queueHead = 0
    var waiting = Credit.zero
    var outstanding = Credit.zero
    var lease: Batch?
    var taken: Int64 = 0
    /// Since when the consumer waits.
    var waitStart: Int64? = 0
    var isExhausted = false

    var window: Credit { fixed ?? controller.window }
    var isQueueEmpty: Bool { queueHead == queue.count }

    mutating func enqueue(_ batch: Batch) {
        queue.append(batch)
        waiting += batch.size
    }

    mutating func dequeue() -> Batch {
        let batch = queue[queueHead]
        queueHead += 1
        waiting -= batch.size
        if isQueueEmpty {
            queue.removeAll(keepingCapacity: true)
            queueHead = 0
        }
        return batch
    }
}
