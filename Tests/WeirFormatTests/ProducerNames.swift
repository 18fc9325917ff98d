import WeirBase

/// Names of tests, written as text.
extension ProducerName: ExpressibleByStringInterpolation {
    public init(stringLiteral text: String) { self.init(stored: Array(text.utf8)) }
}
