package import WeirBase

/// A file's bytes in memory, shared with whoever writes the file.
///
/// The memory lives as long as this object. It may be larger than the file; reading beyond the
/// file's end is a fault, so every reader keeps below a published watermark.
@safe
package final class Mapping: @unchecked Sendable {
    // @unchecked: the fields never change, and the memory is only read (or published, below).
    @usableFromInline package let base: UnsafeRawPointer
    package let byteCount: Int
    private let operations: MappingOperations

    package init(base: UnsafeRawPointer, byteCount: Int, operations: MappingOperations) {
        unsafe self.base = base
        self.byteCount = byteCount
        self.operations = operations
    }

    deinit { unsafe operations.unmap(base, byteCount) }

    /// The bytes, borrowed: they cannot be kept longer than the mapping.
    package var bytes: RawSpan {
        @_lifetime(borrow self) get {
            let span = unsafe RawSpan(_unsafeStart: base, byteCount: byteCount)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Brings a range into memory. Does the waiting for the disk, and throws where a touch would
    /// raise `SIGBUS` (the file was cut, or its medium fails).
    ///
    /// Says up to where everything is in memory now: looks as far as `bound`, and brings nothing in
    /// behind the range. Less than the range's end: the kernel cannot do that, and a touch would
    /// wait, or read zeros of a page that is `lostPages` then.
    @discardableResult
    package func populate(
        _ range: Range<Int>, lookingUpTo bound: Int = 0
    ) throws(WeirError) -> Int {
        unsafe try operations.populate(base, range, min(bound, byteCount))
    }

    /// Whether a range of a few pages is in memory, so that neither `populate` nor a touch waits
    /// for the disk; `false` also where the system does not tell.
    package func isInMemory(_ range: Range<Int>) -> Bool {
        unsafe operations.isInMemory(base, range)
    }

    /// Whether a page vanished under a reader: it then read zeros, and what it made of them must
    /// be thrown away.
    package var lostPages: Bool { unsafe operations.lostPages(base, byteCount) }

    /// Stores bytes into a mapping made by `mapForPublishing`, and wakes those who wait on the
    /// 32-bit word at `wordPosition`, in this and in other processes. The bytes reach the medium
    /// some time later, or never.
    package func publish(
        _ bytes: UnsafeRawBufferPointer, at position: Int, waking wordPosition: Int
    ) {
        precondition(position >= 0 && position + bytes.count <= byteCount, "publish beyond the map")
        unsafe operations.publish(base, bytes, position, wordPosition)
    }

    /// Waits until the 32-bit word is no longer `value`, somebody wakes it, or the time is over;
    /// may return for no reason. Blocks the thread: never called on Swift's own threads.
    package func wait(while value: UInt32, at wordPosition: Int, milliseconds: Int) {
        unsafe operations.wait(base, value, wordPosition, milliseconds)
    }
}

/// What a file system does for its mappings: the real one by system calls, a simulated one in
/// memory.
@safe
package struct MappingOperations: Sendable {
    package let unmap: @Sendable (UnsafeRawPointer, Int) -> Void
    package let populate: @Sendable (UnsafeRawPointer, Range<Int>, Int) throws(WeirError) -> Int
    package let isInMemory: @Sendable (UnsafeRawPointer, Range<Int>) -> Bool
    package let lostPages: @Sendable (UnsafeRawPointer, Int) -> Bool
    package let publish: @Sendable (UnsafeRawPointer, UnsafeRawBufferPointer, Int, Int) -> Void
    package let wait: @Sendable (UnsafeRawPointer, UInt32, Int, Int) -> Void

    package init(
        unmap: @escaping @Sendable (UnsafeRawPointer, Int) -> Void,
        populate: @escaping @Sendable (UnsafeRawPointer, Range<Int>, Int) throws(WeirError) -> Int,
        isInMemory: @escaping @Sendable (UnsafeRawPointer, Range<Int>) -> Bool,
        lostPages: @escaping @Sendable (UnsafeRawPointer, Int) -> Bool,
        publish: @escaping @Sendable (UnsafeRawPointer, UnsafeRawBufferPointer, Int, Int) -> Void,
        wait: @escaping @Sendable (UnsafeRawPointer, UInt32, Int, Int) -> Void
    ) {
        unsafe self.unmap = unmap
        unsafe self.populate = populate
        unsafe self.isInMemory = isInMemory
        unsafe self.lostPages = lostPages
        unsafe self.publish = publish
        unsafe self.wait = wait
    }
}
