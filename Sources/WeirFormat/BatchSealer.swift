package import WeirBase

/// Raw memory that grows and is kept: where compressed bodies are made and unpacked ones stand.
@safe
package struct ScratchMemory: ~Copyable, @unchecked Sendable {
    // @unchecked: one owner, as a non-copyable value has.
    package private(set) var base: UnsafeMutableRawPointer
    package private(set) var capacity: Int

    private static let capacityMin = 4096

    /// Without room: each stream of a store has one, and most of them are never appended to.
    package init() {
        self.capacity = 0
        unsafe self.base = .allocate(byteCount: 0, alignment: 16)
    }

    deinit { unsafe base.deallocate() }

    /// Makes room for `byteCount` bytes; what was there is forgotten.
    package mutating func reserve(_ byteCount: Int) {
        guard byteCount > capacity else { return }
        capacity = max(byteCount, capacity * 2, Self.capacityMin)
        unsafe base.deallocate()
        unsafe base = .allocate(byteCount: capacity, alignment: 16)
    }

    package func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= capacity, "beyond the scratch")
        return unsafe UnsafeMutableRawBufferPointer(
            start: base + range.lowerBound, count: range.count)
    }
}

/// What the writer knows when it gives a batch its place.
package struct BatchSeal: Sendable {
    package var place: BatchPlace
    package var firstOffset: Offset
    package var epoch: Epoch
    package var durableEnd: Offset
    package var appendTime: Timestamp
    /// Offsets that the batch has, where compaction took some of its records; else one a record.
    package var offsetSpan: Int?

    package init(
        place: BatchPlace, firstOffset: Offset, epoch: Epoch, durableEnd: Offset,
        appendTime: Timestamp
    ) {
        self.place = place
        self.firstOffset = firstOffset
        self.epoch = epoch
        self.durableEnd = durableEnd
        self.appendTime = appendTime
    }
}

/// A finished batch: its header as a value, and the bytes to write.
@safe
package struct SealedBatch {
    package let header: BatchHeader
    /// In the builder's memory or the scratch; valid until either is used again.
    package let bytes: UnsafeRawBufferPointer
}

extension BatchBuilder {
    /// Sub-batches below this size are not worth a frame's own bytes.
    private static let compressedBytesMin = 64

    /// Compresses if asked to, fills in the header and the checksums. Takes no memory once
    /// `scratch` has grown. The builder keeps its records, so a failed write loses none.
    ///
    /// The entries stand where the header ends: behind an `extension`, whose length is a multiple
    /// of eight, goes a copy of them. A body that was adopted, `packed`, stays as it is.
    package mutating func seal(
        _ seal: BatchSeal, compression: Compression, extension sections: [UInt8] = [],
        packed adopted: BatchHeader? = nil, scratch: inout ScratchMemory
    ) -> SealedBatch {
        precondition(sections.count % 8 == 0, "an extension of odd length")
        var header = BatchHeader(
            kind: .records, firstOffset: seal.firstOffset, epoch: seal.epoch,
            durableEnd: seal.durableEnd, appendTime: seal.appendTime)
        header.recordCount = recordCount
        header.offsetSpan = seal.offsetSpan ?? recordCount
        header.keyedCount = keyedCount
        header.tombstoneCount = tombstoneCount
        header.rawBodyLength = bodyByteCount
        if timedCount > 0 {
            header.minRecordTime = minRecordTime
            header.maxRecordTime = maxRecordTime
        }
        if timedCount < recordCount {
            header.minRecordTime = min(header.minRecordTime, seal.appendTime)
            header.maxRecordTime = max(header.maxRecordTime, seal.appendTime)
        }
        let start = BatchBuilder.bodyStart + sections.count
        let isKept = compression == .off || adopted != nil
        let packed = isKept ? 0 : compress(compression, to: start, scratch: &scratch)
        if !sections.isEmpty {
            if packed == 0 { copyBody(to: start, scratch: &scratch) }
            unsafe scratch.bytes(BatchBuilder.bodyStart..<start).copyBytes(from: sections)
            header.extensionLength = sections.count
            header.extensionChecksum = crc32c(sections)
        }
        let target = packed > 0 || !sections.isEmpty ? unsafe scratch.base : unsafe base
        header.bodyLength = packed > 0 ? packed : bodyByteCount
        header.entryCount = packed > 0 ? 1 : recordCount
        if packed > 0 { header.compat |= BatchHeader.compatHasSubBatches }
        if let adopted {
            header.rawBodyLength = adopted.rawBodyLength
            header.entryCount = adopted.entryCount
            header.compat = adopted.compat
        }
        return unsafe BatchBuilder.finish(header, in: target, at: seal.place)
    }

    private func copyBody(to start: Int, scratch: inout ScratchMemory) {
        // Room for the padding too.
        scratch.reserve(start + bodyByteCount + 8)
        unsafe (scratch.base + start).copyMemory(
            from: base + BatchBuilder.bodyStart, byteCount: bodyByteCount)
    }

    /// The length of the body that `scratch` then holds; zero if the body stays as it is.
    private func compress(
        _ compression: Compression, to bodyStart: Int, scratch: inout ScratchMemory
    ) -> Int {
        let raw = bodyByteCount
        guard raw >= BatchBuilder.compressedBytesMin else { return 0 }
        let start = bodyStart + SubBatchHead.byteCount
        let bound = LZ4Frame.bound(raw)
        scratch.reserve(start + bound + 8)
        let count = unsafe LZ4Frame.compress(
            UnsafeRawBufferPointer(start: base + BatchBuilder.bodyStart, count: raw),
            into: scratch.bytes(start..<start + bound))
        let packed = SubBatchHead.byteCount + count
        // `automatic` wants a tenth; even `lz4` does not store what grew beyond a decoder's limit.
        let most = compression == .automatic ? raw - raw / 10 : Limits.decodedBodyBytesMax
        guard count > 0, packed <= most else { return 0 }
        let head = SubBatchHead(
            codec: SubBatchHead.codecLZ4, recordCount: recordCount, rawByteCount: raw,
            storedByteCount: count)
        unsafe head.encode(to: scratch.base + bodyStart)
        return packed
    }

    /// Bytes of an empty batch, as a marker or as padding of `byteCount` bytes in all.
    package static func sealEmpty(
        _ kind: BatchHeader.Kind, _ seal: BatchSeal, byteCount: Int = BatchHeader.byteCount,
        scratch: inout ScratchMemory
    ) -> SealedBatch {
        precondition(byteCount >= BatchHeader.byteCount && byteCount % 8 == 0, "odd padding")
        var header = BatchHeader(
            kind: kind, firstOffset: seal.firstOffset, epoch: seal.epoch,
            durableEnd: seal.durableEnd, appendTime: seal.appendTime)
        header.bodyLength = byteCount - BatchHeader.byteCount
        scratch.reserve(byteCount)
        unsafe scratch.base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        return unsafe finish(header, in: scratch.base, at: seal.place)
    }

    private static func finish(
        _ unfinished: BatchHeader, in target: UnsafeMutableRawPointer, at place: BatchPlace
    ) -> SealedBatch {
        var header = unfinished
        let body = unsafe UnsafeRawBufferPointer(
            start: target + header.bodyStart, count: header.bodyLength)
        header.bodyChecksum = unsafe crc32(body)
        unsafe header.encode(to: target, at: place)
        let end = header.bodyStart + header.bodyLength
        let padding = header.storedByteCount - end
        unsafe (target + end).initializeMemory(as: UInt8.self, repeating: 0, count: padding)
        return unsafe SealedBatch(
            header: header,
            bytes: UnsafeRawBufferPointer(start: target, count: header.storedByteCount))
    }
}
