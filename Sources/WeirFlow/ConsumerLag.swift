package import WeirBase

/// How far the slowest of a stream's named consumers is behind what the stream shows.
package struct ConsumerLag: Sendable, Hashable {
    private struct Consumer: Sendable, Hashable {
        /// In this process, and below what it has committed: both as far as they are known.
        var released: Offset?
        var committed: Offset?
        var isLive = false

        /// Who lives goes by what it released, who does not by what it committed.
        var position: Offset? { isLive ? released : committed ?? released }
    }
    private var consumers: [String: Consumer] = [:]
    /// The smallest position; `nil` without a consumer.
    private var slowest: Offset?
    /// Somebody may be there who is not live: spares a search where nobody is.
    private var hasEnded = false
    /// The offset behind the last record that consumers can see.
    package private(set) var end: Offset

    package init(end: Offset) { self.end = end }

    /// `nil` without a consumer.
    package var records: Int? { slowest.map { end - $0 } }

    /// Who that is; of equals, the first by name.
    package var slowestName: String? {
        consumers.filter { $0.value.position == slowest }.keys.min()
    }

    package mutating func appended(end: Offset) { self.end = max(self.end, end) }

    /// A live consumer has released everything below an offset. It may go back, as one does that
    /// starts anew.
    ///
    /// Beyond `countMax` names, further consumers are not counted.
    package mutating func note(_ name: String, released: Offset, countMax: Int) {
        let old = consumers[name]
        guard old != nil || consumers.count < countMax else { return }
        consumers[name] = Consumer(
            released: released, committed: old?.committed, isLive: true)
        // What was released was there.
        end = max(end, released)
        if let slowest, released >= slowest, old?.position != slowest { return }
        findSlowest()
    }

    /// A consumer's cursor stands here, or is gone; it counts while nobody of that name lives.
    ///
    /// Beyond `countMax` names, further consumers are not counted.
    package mutating func note(_ name: String, committed: Offset?, countMax: Int) {
        let old = consumers[name]
        guard old != nil || committed != nil && consumers.count < countMax else { return }
        var consumer = old ?? Consumer()
        consumer.committed = committed
        consumers[name] = consumer.position == nil ? nil : consumer
        if let committed { end = max(end, committed) }
        if !consumer.isLive { hasEnded = true }
        findSlowest()
    }

    /// The consumer is gone; what it committed counts on, or else what it released.
    package mutating func end(_ name: String) {
        consumers[name]?.isLive = false
        hasEnded = true
        findSlowest()
    }

    /// Forgets those who are gone and more than so many records behind.
    package mutating func forgetEnded(beyond recordCount: Int) {
        guard hasEnded else { return }
        let end = end
        consumers = consumers.filter { _, consumer in
            consumer.isLive || consumer.position.map { end - $0 <= recordCount } ?? false
        }
        hasEnded = consumers.values.contains { !$0.isLive }
        findSlowest()
    }

    /// Forgets those whom `isKept` refuses.
    package mutating func keep(where isKept: (String) -> Bool) {
        consumers = consumers.filter { name, _ in isKept(name) }
        findSlowest()
    }

    private mutating func findSlowest() { slowest = consumers.values.compactMap(\.position).min() }
}
