/// Whom to name as holding back what a stream's retention lets go, look by look.
///
///     held back:  nothing │ 1 GiB by a │ 1.5 GiB by a │ 1.6 GiB by a and b │ 3.2 GiB by both
///     named:              │ a          │              │ b                  │ whoever is furthest
///                         │            │              │                    │ behind
///
/// Pure. A cursor is named when it begins to hold back, and the one that is furthest behind again
/// each time that the bytes have doubled since anybody was named: without a bound they grow until
/// the disk is full, and one line of the log long ago is nothing that anybody sees.
package struct HeldAlarm: Sendable, Hashable {
    private var holders: Set<String> = []
    private var toldBytes: UInt64 = 0

    package init() {}

    /// A look found this. What goes by force is an alarm of its own, and begins the count anew.
    package mutating func look(_ plan: RetentionPlan) -> [String] {
        guard let furthest = plan.heldBy else {
            self = HeldAlarm()
            return []
        }
        if plan.isForced {
            holders.insert(furthest)
            toldBytes = plan.heldBytes
            return []
        }
        var named = plan.holders.subtracting(holders)
        if named.isEmpty, plan.heldBytes / 2 >= toldBytes { named = [furthest] }
        holders = plan.holders
        if !named.isEmpty { toldBytes = plan.heldBytes }
        return named.sorted()
    }
}
