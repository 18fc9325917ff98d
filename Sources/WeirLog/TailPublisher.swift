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
    /// 64 bytes, written over at each publish; freed in `deinit`.
    private let buffer = ScratchSlot()

    package init(mapping: Mapping, slot: Int) {
        self.mapping = mapping
        self.position = slot * TailSlot.byteCount
        self.generation = 0
    }

    package func publish(_ slot: TailSlot) {
        generation &+= 1
        buffer.fill(slot, generation: generation)
        unsafe mapping.publish(
            buffer.bytes, at: position, waking: position + TailSlot.Field.futexWord)
    }
}

/// The memory that a slot is made in before it is copied into the map.
@safe
private final class ScratchSlot: @unchecked Sendable {
    // @unchecked: belongs to one publisher, which has one leader.
    private let base: UnsafeMutableRawPointer

    init() { unsafe base = .allocate(byteCount: TailSlot.byteCount, alignment: 8) }
    deinit { unsafe base.deallocate() }

    func fill(_ slot: TailSlot, generation: UInt32) {
        unsafe slot.encode(to: base, generation: generation)
    }

    /// Without the futex word, which publishing counts up.
    var bytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base, count: TailSlot.Field.futexWord)
    }
}
