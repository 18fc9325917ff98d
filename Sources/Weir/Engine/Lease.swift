import WeirBase

/// Whoever accounts for batches in a consumer's hands.
protocol LeaseHolder: AnyObject, Sendable {
    func release(_ id: UInt64) throws(WeirError)
    func keep(_ id: UInt64) throws(WeirError)
    /// Its memory goes; what was kept is off the account.
    func forget(_ id: UInt64)
}

/// A consumer's hold on a batch. Letting go of it frees memory and gives no credit back: Swift may
/// do so after the last use of a batch, before the work on it is done.
final class Lease: Sendable {
    private let id: UInt64
    private let holder: any LeaseHolder

    init(_ id: UInt64, of holder: any LeaseHolder) {
        self.id = id
        self.holder = holder
    }

    deinit { holder.forget(id) }

    func release() throws(WeirError) { try holder.release(id) }
    func keep() throws(WeirError) { try holder.keep(id) }
}
