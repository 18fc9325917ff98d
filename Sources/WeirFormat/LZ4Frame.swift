import CLZ4
package import WeirBase

/// LZ4 frames: the one codec that is built in.
package enum LZ4Frame {
    /// A block of contents as `compress` makes it, at most.
    package static let blockBytes = 64 << 10

    /// Bytes that compressing `byteCount` may need at most.
    package static func bound(_ byteCount: Int) -> Int {
        LZ4F_compressFrameBound(byteCount, nil)
    }

    /// Compresses into `target`; zero if it did not fit.
    ///
    /// The frame has no checksum of its own, as the batch's covers it.
    package static func compress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Int {
        let count = unsafe LZ4F_compressFrame(
            target.baseAddress, target.count, source.baseAddress, source.count, nil)
        return LZ4F_isError(count) != 0 ? 0 : count
    }
}

/// Unpacks LZ4 frames; keeps its context, so that a reader makes one and uses it for every batch.
@safe
package final class LZ4Decompressor {
    private let context: OpaquePointer

    /// Throws `system` if there is no memory for a context.
    package init() throws(WeirError) {
        var created: OpaquePointer?
        let code = unsafe LZ4F_createDecompressionContext(&created, UInt32(LZ4F_VERSION))
        guard LZ4F_isError(code) == 0, let context = unsafe created else {
            throw WeirError(.system, "LZ4 could not be started: there is no memory for it.")
        }
        // Freed in `deinit`, used by one reader at a time.
        unsafe self.context = context
    }

    deinit { unsafe LZ4F_freeDecompressionContext(context) }

    /// Unpacks exactly one frame to exactly so many bytes at the target's start.
    ///
    /// `false` for anything else: a frame that is cut, followed by more bytes, or whose contents
    /// are shorter or longer than was declared. Never writes beyond the target. Where that is a
    /// block longer than the contents, the last block is unpacked in place, not by a copy.
    package func decompress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer,
        byteCount: Int
    ) -> Bool {
        // What was unpacked stays where it is until the frame ends.
        var options = LZ4F_decompressOptions_t(
            stableDst: 1, skipChecksums: 0, reserved1: 0, reserved0: 0)
        unsafe LZ4F_resetDecompressionContext(context)
        var read = 0
        var written = 0
        while true {
            var targetCount = target.count - written
            var sourceCount = source.count - read
            let hint = unsafe LZ4F_decompress(
                context, target.baseAddress.map { unsafe $0 + written }, &targetCount,
                source.baseAddress.map { unsafe $0 + read }, &sourceCount, &options)
            guard LZ4F_isError(hint) == 0 else { return false }
            read += sourceCount
            written += targetCount
            if hint == 0 { return read == source.count && written == byteCount }
            if sourceCount == 0 && targetCount == 0 { return false }
        }
    }
}
