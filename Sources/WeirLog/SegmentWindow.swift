package import WeirBase
package import WeirFiles
package import WeirFormat

/// How a reader gets at a segment's bytes.
package enum ReadingMode: Sendable, Hashable {
    /// Through a shared map: no copy, and the kernel's page cache is the only one.
    case mapped
    /// By `pread` into memory of the reader's own: for media that nobody trusts.
    case copied
}

/// The part of a segment that a reader looks at: a map, or a copy of some of it.
///
///     segment   |··········[ window )···············) readable end
///                          ^ origin
package struct SegmentWindow<Files: FileSystem>: ~Copyable {
    package let segment: ReadableSegment<Files>
    private var mode: ReadingMode
    private let files: Files
    private(set) var map: SegmentMap?
    private var file: Files.File?
    /// Mapped: bytes below this were brought into memory.
    private var populatedEnd = FilePosition.zero
    private var scratch = ScratchMemory()
    private var origin = FilePosition.zero
    private var byteCount = 0
    /// Up to here the last step could look; an active segment may have grown since.
    private(set) var limit = FilePosition.zero
    /// Copied: the file ended before its limit.
    private var isCut = false
    private static var copiedBytesFirst: Int { 256 << 10 }
    /// A whole batch of the largest kind, header and extension with it.
    private static var copiedBytesMax: Int {
        Limits.decodedBodyBytesMax + Limits.extensionBytesMax + BatchHeader.byteCount + 8
    }

    package init(segment: ReadableSegment<Files>, mode: ReadingMode) {
        self.segment = segment
        self.mode = mode
        self.files = segment.files
    }

    /// What the window shows at the moment, and where in the file it begins.
    package var bytes: RawSpan {
        @_lifetime(borrow self) borrowing get {
            if let mapping = map?.mapping {
                let end = min(byteCount, mapping.byteCount)
                let span = unsafe mapping.bytes.extracting(unchecked: 0..<end)
                return unsafe _overrideLifetime(span, borrowing: self)
            }
            let span = unsafe RawSpan(
                _unsafeBytes: UnsafeRawBufferPointer(scratch.bytes(0..<byteCount)))
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// A batch's bytes that the last step found.
    @_lifetime(borrow self)
    package borrowing func bytes(at position: FilePosition, byteCount: Int) -> RawSpan {
        let start = position - origin
        let span = bytes.extracting(start..<start + byteCount)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// Steps over the next batch, moving the window along.
    ///
    /// Throws what the medium said, `damaged` where mapped pages were lost under the reader.
    package mutating func next(
        _ scanner: inout SegmentScanner, checkingBody: Bool
    ) throws(WeirError) -> SegmentScanner.Step {
        let limit = segment.readableEnd
        self.limit = limit
        if mode == .mapped, map == nil {
            map = try segment.map()
            // Beyond the bound on maps, reading goes on, by copies.
            if map == nil { mode = .copied }
        }
        if let mapping = map?.mapping {
            do throws(WeirError) {
                return try nextMapped(mapping, &scanner, limit: limit, checkingBody: checkingBody)
            } catch {
                // The file was cut, or its medium fails. Copies tell which bytes are still there;
                // what was lost under the reader is told first.
                map = nil
                mode = .copied
                byteCount = 0
                if error.code == .damaged { throw error }
            }
        }
        return try nextCopied(&scanner, limit: limit, checkingBody: checkingBody)
    }

    private mutating func nextMapped(
        _ mapping: Mapping, _ scanner: inout SegmentScanner, limit: FilePosition,
        checkingBody: Bool
    ) throws(WeirError) -> SegmentScanner.Step {
        byteCount = Int(clamping: limit.value)
        try populate(mapping, from: scanner.position, byteCount: BatchHeader.byteCount, limit)
        let start = scanner.position
        var trial = scanner
        var step = trial.next(in: bytes, checkingBody: false)
        if case .batch(let header, let position) = step, checkingBody {
            try populate(mapping, from: position, byteCount: header.storedByteCount, limit)
            if !SegmentScanner.isWhole(header, in: bytes, at: position) {
                step = .damage(start.value..<trial.position.value, lost: header)
            } else if header.extensionLength > 0 {
                // What its sections ask of a reader is looked at only where there are any.
                trial = scanner
                step = trial.next(in: bytes)
            }
        }
        if mapping.lostPages { throw lost(at: start) }
        scanner = trial
        return step
    }

    private mutating func populate(
        _ mapping: Mapping, from position: FilePosition, byteCount: Int, _ limit: FilePosition
    ) throws(WeirError) {
        let needed = min(position + byteCount, limit)
        guard needed > populatedEnd || position + Limits.prefetchBytes < populatedEnd else {
            return
        }
        let end = min(limit, position + max(byteCount, Limits.prefetchBytes))
        if end > position {
            try mapping.populate(Int(clamping: position.value)..<Int(clamping: end.value))
        }
        populatedEnd = end
    }

    private func lost(at position: FilePosition) -> WeirError {
        WeirError.damaged(
            "Pages of a segment vanished while it was read: the file was cut, or its medium "
                + "fails. Read it with copying, and check the disk",
            path: segment.path, at: position)
    }

    /// A window that is too short makes a whole batch look cut: it grows until the batch fits, the
    /// segment ends, or no batch could be longer.
    private mutating func nextCopied(
        _ scanner: inout SegmentScanner, limit: FilePosition, checkingBody: Bool
    ) throws(WeirError) -> SegmentScanner.Step {
        let start = scanner.position
        var wanted = Self.copiedBytesFirst
        while true {
            try load(from: start, byteCount: wanted, limit)
            let reachesLimit = origin + byteCount >= limit || isCut
            var trial = scanner
            let step = trial.next(in: bytes, origin: origin, checkingBody: checkingBody)
            switch step {
            case .batch, .newer, .damage(_, lost: .some):
                scanner = trial
                return step
            case .damage, .end:
                if reachesLimit || wanted >= Self.copiedBytesMax {
                    return skip(step, trial, &scanner, reachesLimit: reachesLimit)
                }
                wanted = min(wanted * 8, Self.copiedBytesMax)
            }
        }
    }

    private func skip(
        _ step: SegmentScanner.Step, _ trial: SegmentScanner, _ scanner: inout SegmentScanner,
        reachesLimit: Bool
    ) -> SegmentScanner.Step {
        if case .end = step, !reachesLimit {
            // Nothing in all this: go on behind it, where a header may begin in its last bytes.
            let start = scanner.position
            let next = max(start + 8, origin + (byteCount - BatchHeader.byteCount) / 8 * 8)
            scanner.move(to: next)
            return .damage(start.value..<next.value, lost: nil)
        }
        scanner = trial
        return step
    }

    private mutating func load(
        from start: FilePosition, byteCount wanted: Int, _ limit: FilePosition
    ) throws(WeirError) {
        let needed = min(wanted, limit - start)
        // A copy is good for several batches, but not for bytes that were appended since.
        if start >= origin, start + min(needed, Self.copiedBytesFirst / 4) <= origin + byteCount,
            wanted == Self.copiedBytesFirst
        {
            return
        }
        scratch.reserve(max(needed, 1))
        origin = start
        // A read that fails leaves nothing to look at.
        byteCount = 0
        isCut = false
        if file == nil { file = try segment.file() }
        guard let file else { return }
        byteCount = unsafe try files.read(file, into: scratch.bytes(0..<needed), at: start)
        isCut = byteCount < needed
    }
}
