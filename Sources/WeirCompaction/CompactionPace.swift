package import WeirBase

/// Asked by a compaction after each batch: whether it may go on, and how fast.
///
/// The facade makes one that rests while appends are under way and ends when the store closes.
package protocol CompactionPace: Sendable {
    /// Rests if others need the machine. Throws `closed` when the compaction is to end; then
    /// nothing is left half done.
    func step(byteCount: Int) throws(WeirError)
    /// A phase begins in which about so many bytes will be stepped over: for a person who waits.
    func begin(_ phase: CompactionPhase, byteCount: UInt64)
}
