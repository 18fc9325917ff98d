import WeirBase

/// Memory that an unpacked body stands in; shared by a cursor and the batches that it lent.
package final class UnpackedBody: @unchecked Sendable {
    // @unchecked: written by the one cursor that holds it alone, then only read.
    fileprivate var scratch = ScratchMemory()

    package init() {}

    package var base: UnsafeMutableRawPointer { unsafe scratch.base }
    package var capacity: Int { scratch.capacity }
    package func reserve(_ byteCount: Int) { scratch.reserve(byteCount) }
    package func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
        unsafe scratch.bytes(range)
    }

    func copy(_ source: RawSpan, to position: Int) {
        unsafe source.withUnsafeBytes { source in
            unsafe bytes(position..<position + source.count).copyMemory(from: source)
        }
    }
}

/// Memory of unpacked bodies that nobody reads any more, for the next ones: a bounded number of
/// bytes. Whoever finds none takes new memory, so the bound blocks nobody.
package final class BodyPool: Sendable {
    private let spare = Lock<[UnpackedBody]>([])
    private let byteCountMax: Int

    package init(byteCountMax: Int = Limits.spareBodyBytesMax) { self.byteCountMax = byteCountMax }

    /// Memory that nobody else looks at.
    package func take() -> UnpackedBody {
        spare.withLock { spare in
            // The cursor that unpacked it may still stand at it.
            for index in spare.indices.reversed() where isKnownUniquelyReferenced(&spare[index]) {
                return spare.remove(at: index)
            }
            return UnpackedBody()
        }
    }

    /// Nobody reads this batch any more.
    package func giveBack(_ body: UnpackedBody) {
        spare.withLock { spare in
            let held = spare.reduce(0) { $0 + $1.capacity }
            if held + body.capacity <= byteCountMax { spare.append(body) }
        }
    }

    package var spareByteCount: Int { spare.withLock { $0.reduce(0) { $0 + $1.capacity } } }
}
