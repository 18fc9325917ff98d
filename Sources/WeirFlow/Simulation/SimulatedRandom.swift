/// SplitMix64 (S. Vigna), and the distributions that a load needs. Its logarithm is its own, so
/// that a seed gives the same numbers on every machine.
struct SimulatedRandom {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// From 0 up to 1, never 1.
    mutating func uniform() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }

    /// Of mean 1: the time between events that know nothing of each other.
    mutating func exponential() -> Double { -logarithm(1 - uniform()) }

    /// Spread evenly over orders of magnitude.
    mutating func logUniform(_ low: Double, _ high: Double) -> Double {
        low * power(ofE: uniform() * logarithm(high / low))
    }
}

/// Natural logarithm of a positive number: its exponent, and a series for what is left.
private func logarithm(_ x: Double) -> Double {
    let ratio = (x.significand - 1) / (x.significand + 1)
    let square = ratio * ratio
    // Up to the 13th power; `ratio` is at most a third.
    let series =
        1 + square
        * (1 / 3.0 + square
            * (0.2 + square
                * (1 / 7.0 + square
                    * (1 / 9.0
                        + square * (1 / 11.0 + square / 13.0)))))
    return Double(x.exponent) * 0.693_147_180_559_945_3 + 2 * ratio * series
}

/// e to the power of a number between 0 and some tens: halved until small, then squared again.
private func power(ofE x: Double) -> Double {
    let small = x / 1_024
    var result = 1 + small * (1 + small / 2 * (1 + small / 3))
    for _ in 0..<10 { result *= result }
    return result
}
