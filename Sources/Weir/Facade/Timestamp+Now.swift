public import WeirBase
import WeirFiles

extension Timestamp {
    /// The wall clock, to the microsecond.
    public static var now: Timestamp { Host.wallClock() }
}
