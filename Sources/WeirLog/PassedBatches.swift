package import WeirBase
package import WeirFormat

/// Batches that a reader has no use for, as their headers tell.
package enum PassedBatches: Sendable {
    case none
    /// Those in which no record has a key.
    case keyless
    /// Those in which no record's time is in the window.
    case outside(Range<Timestamp>)

    package func hold(_ header: BatchHeader) -> Bool {
        switch self {
        case .none: false
        case .keyless: header.keyedCount == 0
        case .outside(let window): window.isAside(of: header.minRecordTime, header.maxRecordTime)
        }
    }
}

extension Range<Timestamp> {
    /// Whether it has none of the times from the least to the greatest.
    package func isAside(of least: Timestamp, _ greatest: Timestamp) -> Bool {
        greatest < lowerBound || least >= upperBound
    }
}
