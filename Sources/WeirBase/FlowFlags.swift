/// Whether a mechanism is at work: for nobody, for all, or for a share of the consumers.
///
/// Who belongs to a share is decided by a hash of the consumer's name, the same in every process
/// and every version, so that a consumer keeps its variant.
public enum Rollout: Sendable, Hashable {
    case off
    case on
    /// 0 to 100.
    case percentage(Int)

    /// Throws `invalidArgument` for a percentage outside 0 to 100.
    public func validate() throws(WeirError) {
        if case .percentage(let share) = self, !(0...100).contains(share) {
            throw WeirError(
                .invalidArgument, "The percentage is \(share); expected 0 to 100.")
        }
    }

    /// Whether it is on for a consumer. `mechanism` keeps the shares of two mechanisms apart.
    package func isOn(for consumer: String, mechanism: String) -> Bool {
        switch self {
        case .off: false
        case .on: true
        case .percentage(let share):
            Int(stableHash(mechanism + "/" + consumer) % 100) < share
        }
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo), with a last mixing step so that the low digits are even.
package func stableHash(_ text: String) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    hash ^= hash >> 33
    hash &*= 0xff51_afd7_ed55_8ccd
    return hash ^ (hash >> 33)
}

/// The mechanisms of flow control, each off, on, or on for a share of the consumers. A change holds
/// for subscriptions that begin after it.
public struct FlowFlags: Sendable, Hashable {
    /// Off: a fixed window of two of the largest batches.
    public var adaptiveWindow: Rollout
    /// Off: the consumer's lag holds no producer back.
    public var lagBoundProducers: Rollout
    /// Off: a batch is read when the consumer waits for it, and not before.
    public var prefetch: Rollout

    public init(
        adaptiveWindow: Rollout = .on, lagBoundProducers: Rollout = .on, prefetch: Rollout = .on
    ) {
        self.adaptiveWindow = adaptiveWindow
        self.lagBoundProducers = lagBoundProducers
        self.prefetch = prefetch
    }

    /// Throws `invalidArgument` for a percentage outside 0 to 100.
    public func validate() throws(WeirError) {
        try adaptiveWindow.validate()
        try lagBoundProducers.validate()
        try prefetch.validate()
    }

    /// What is on for one consumer.
    package func variant(for consumer: String) -> FlowVariant {
        FlowVariant(
            adaptiveWindow: adaptiveWindow.isOn(for: consumer, mechanism: "adaptive"),
            lagBoundProducers: lagBoundProducers.isOn(for: consumer, mechanism: "lag"),
            prefetch: prefetch.isOn(for: consumer, mechanism: "prefetch"))
    }
}

/// The mechanisms that are on for one consumer; its description labels every figure.
public struct FlowVariant: Sendable, Hashable, CustomStringConvertible {
    public let adaptiveWindow: Bool
    public let lagBoundProducers: Bool
    public let prefetch: Bool

    package init(adaptiveWindow: Bool, lagBoundProducers: Bool, prefetch: Bool) {
        self.adaptiveWindow = adaptiveWindow
        self.lagBoundProducers = lagBoundProducers
        self.prefetch = prefetch
    }

    public var description: String {
        let names = [
            adaptiveWindow ? "adaptive" : nil, lagBoundProducers ? "lag" : nil,
            prefetch ? "prefetch" : nil,
        ].compactMap { $0 }
        return names.isEmpty ? "none" : names.joined(separator: "+")
    }
}
