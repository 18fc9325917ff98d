package import WeirFiles
package import WeirFormat

/// Writes a stream's slot in the `tail` file, and wakes readers in other processes.
///
/// A store in memory, and a stream that nobody else can see, do without one.
package final class TailPublisher: @unchecked Sendable {
    // @unchecked: only the writer's leader publishes.
    private let mapping: Mapping
    private let position: Int
    private var generation: UInt32

    package init(mapping: Mapping, slot: Int) {
        self.mapping = mapping
        self.position = slot * TailSlot.byteCount
        self.generation = 0
    }

    package func publish(_ slot: TailSlot) {
        generation &+= 1
        // Made on the stack, and copied into the map without the futex word, which is counted up.
        unsafe withUnsafeTemporaryAllocation(byteCount: TailSlot.byteCount, alignment: 8) {
            guard let base = $0.baseAddress else { return }
            unsafe slot.encode(to: base, generation: generation)
            unsafe mapping.publish(
                UnsafeRawBufferPointer(rebasing: $0[..<TailSlot.Field.futexWord]),
                at: position, waking: position + TailSlot.Field.futexWord)
        }
    }
}
