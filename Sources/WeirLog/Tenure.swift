package import WeirBase

/// A writer's time of office: its epoch, and the question whether another has begun since.
///
/// The lock keeps a second writer out for as long as the kernel knows of it. A process that stood
/// still on a machine whose locks were lost (a network file system, a container moved) wakes up
/// believing in one that somebody else has taken; so it asks before it writes on.
package struct Tenure: Sendable {
    package let epoch: Epoch
    /// Throws `locked` if a later epoch stands in the store. Costs one look at a file's size.
    let check: @Sendable () throws(WeirError) -> Void
    /// A writer that wrote within this time has not stood still.
    static let pauseMicroseconds: Int64 = 1_000_000

    package init(epoch: Epoch, check: @escaping @Sendable () throws(WeirError) -> Void) {
        self.epoch = epoch
        self.check = check
    }
}
