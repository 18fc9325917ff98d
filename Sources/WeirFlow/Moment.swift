/// A moment of a clock that nobody sets, in nanoseconds since some start. Handed in, so that a
/// simulation can choose it.
package struct Moment: Sendable, Hashable, Comparable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static let zero = Moment(nanoseconds: 0)

    package static func < (a: Moment, b: Moment) -> Bool { a.nanoseconds < b.nanoseconds }
    /// Nanoseconds from `b` to `a`.
    package static func - (a: Moment, b: Moment) -> Int64 { a.nanoseconds &- b.nanoseconds }
    package static func + (a: Moment, nanoseconds: Int64) -> Moment {
        let (sum, overflow) = a.nanoseconds.addingReportingOverflow(nanoseconds)
        return Moment(nanoseconds: overflow ? .max : sum)
    }
}
