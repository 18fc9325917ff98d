/// The state of a store's flow control at one moment: what `weir flow` shows.
public struct FlowReport: Sendable, Codable {
    /// Wall clock, microseconds since 1970.
    public var timeMicroseconds: Int64
    /// How many partitions it is about; `nil` if it was not asked for a partitioned stream.
    public var partitions: Int?
    public var budget: Budget
    public var consumers: [Consumer]
    public var gates: [Gate]
    public var latencies: [Latency]
    public var signals: [SignalLine]

    /// Memory that all subscriptions of the store share, in bytes of records.
    public struct Budget: Sendable, Codable {
        public var totalBytes: Int
        /// Set aside, one batch of the largest size for each subscription.
        public var reservedBytes: Int
        /// Held by subscriptions now.
        public var usedBytes: Int
        /// Subscriptions that wait to be admitted.
        public var waiting: Int
    }

    /// One subscription.
    public struct Consumer: Sendable, Codable {
        /// Its name, or a number that the store gave it.
        public var name: String
        public var stream: String
        public var partition: Int?
        /// `adaptive`, `fixed`, `manual` or `degraded`.
        public var mode: String
        /// Which mechanisms are on for it, such as `adaptive+prefetch`.
        public var variant: String
        /// Everything below this offset was released.
        public var releasedOffset: UInt64
        /// Records that the stream shows beyond it.
        public var lagRecords: Int
        /// What may be out at once; in the mode `manual`, what was granted and not released yet.
        public var windowBytes: Int
        public var windowRecords: Int
        /// Read ahead and not taken yet.
        public var queuedBytes: Int
        public var queuedRecords: Int
        /// In the consumer's hands.
        public var leasedBytes: Int
        /// For how long it has had the batch in its hands; `nil` without one.
        public var leaseMicroseconds: Int?
        /// Kept on the consumer's own account.
        public var keptBytes: Int
        /// The part of the store's budget that it may use now.
        public var shareBytes: Int
        /// Whether it waits for a batch.
        public var isWaiting: Bool
        /// Time × occupancy: a row for each stretch of time, oldest first; in it the milliseconds
        /// spent with the window empty, at each tenth of it, and beyond it: twelve numbers.
        public var occupancy: [[Int]]
        public var occupancyMilliseconds: Int
    }

    /// The gate in front of a stream's producers.
    public struct Gate: Sendable, Codable {
        public var stream: String
        public var isOpen: Bool
        public var usedBytes: Int
        public var usedRecords: Int
        public var limitBytes: Int
        public var limitRecords: Int
        /// Appends that wait.
        public var waiting: Int
        /// How far the slowest consumer that the stream waits for is behind; `nil` without one.
        public var lagRecords: Int?
        public var lagBoundRecords: Int?
        /// Who that is.
        public var slowestConsumer: String?
    }

    /// How long records took, in microseconds.
    public struct Latency: Sendable, Codable {
        public var stream: String
        public var variant: String
        /// `append to delivery` or `delivery to release`.
        public var what: String
        public var count: Int
        public var p50: Int
        public var p90: Int
        public var p99: Int
        public var p999: Int
        public var p9999: Int
        public var max: Int
    }

    /// How often a signal came, and when last.
    public struct SignalLine: Sendable, Codable {
        public var kind: String
        public var stream: String
        public var partition: Int?
        public var consumer: String
        public var variant: String
        public var count: Int
        public var lastMicroseconds: Int64
    }
}
