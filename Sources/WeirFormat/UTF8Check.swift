/// Whether bytes are text: decides between AMQP's string and binary.
package enum UTF8Check {
    /// Eight bytes at a time while all are ASCII, which most keys are.
    package static func isValid(_ bytes: RawSpan) -> Bool {
        unsafe bytes.withUnsafeBytes { buffer in
            var index = 0
            while index + 8 <= buffer.count {
                let word = unsafe buffer.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                if word & 0x8080_8080_8080_8080 != 0 { break }
                index += 8
            }
            while unsafe index < buffer.count && buffer[index] < 0x80 { index += 1 }
            if index == buffer.count { return true }
            return unsafe isValidSlowly(UnsafeRawBufferPointer(rebasing: buffer[index...]))
        }
    }

    private static func isValidSlowly(_ bytes: UnsafeRawBufferPointer) -> Bool {
        unsafe bytes.withMemoryRebound(to: UInt8.self) { buffer in
            do {
                _ = unsafe try UTF8Span(validating: Span(_unsafeElements: buffer))
                return true
            } catch {
                return false
            }
        }
    }
}
