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

/// What to do about a batch whose header was found.
package enum Admission: Sendable, Hashable {
    /// Bring it in and prove it. Behind it the reader may bring in whole batches of so much; `nil`
    /// for whoever reads on its own thread, and takes some megabytes at a time.
    case read(ahead: Credit?)
    /// Go past it: nobody wants it.
    case pass
    /// Leave it there: there is no credit for it, or nobody may see it yet.
    case hold
    case hide
}

/// The part of a segment that a reader looks at: a map, or a copy of some of it.
///
///     segment   |··········[ window )···············) readable end
///                          ^ origin
package struct SegmentWindow<Files: FileSystem>: ~Copyable {
    package let segment: ReadableSegment<Files>
    private var mode: ReadingMode
    private let isExact: Bool
    private let files: Files
    private(set) var map: SegmentMap?
    private var file: Files.File?
    /// Mapped: what was brought into memory last; what lies before it may be gone again.
    private var populatedStart = FilePosition.zero
    private var populatedEnd = FilePosition.zero
    private var scratch = ScratchMemory()
    private var origin = FilePosition.zero
    private var byteCount = 0
    /// Up to here the last step could look; an active segment may have grown since.
    private(set) var limit = FilePosition.zero
    /// Copied: the file ended before its limit.
    private var isCut = false
    /// What is brought in at once, where nobody says how much: little for who looks at one place,
    /// more from step to step for who reads on.
    private var pieceBytes = 64 << 10
    private static var copiedBytesFirst: Int { 256 << 10 }
    /// Of the batch that a block ends with.
    private static var seenBehindBytes: Int { 32 << 10 }

    /// `isExact`: nothing is read that was not admitted, batch by batch, and a long search behind
    /// damage is told in pieces.
    package init(segment: ReadableSegment<Files>, mode: ReadingMode, isExact: Bool = false) {
        self.isExact = isExact
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

    /// Whether what may be read from a position on, of so many bytes, is mapped and in memory.
    package borrowing func isInMemory(from start: FilePosition, upTo byteCountMax: Int) -> Bool {
        let end = min(segment.readableEnd, start + byteCountMax)
        guard let mapping = map?.mapping, start < end else { return false }
        return mapping.isInMemory(Int(clamping: start.value)..<Int(clamping: end.value))
    }

    /// Steps over the next batch, moving the window along.
    ///
    /// Throws what the medium said, `damaged` where mapped pages were lost under the reader.
    package mutating func next(
        _ scanner: inout SegmentScanner, checkingBody: Bool
    ) throws(WeirError) -> SegmentScanner.Step {
        let step = try next(&scanner) { _ in checkingBody ? .read(ahead: nil) : .pass }
        guard let step else { return .end(at: scanner.position) }
        return step
    }

    /// The same for a reader that decides by each header whether its batch is brought in: nothing
    /// but that header is read before. `nil` if it is held; then the scanner stays in front of it.
    package mutating func next(
        _ scanner: inout SegmentScanner, admitting admits: (BatchHeader) -> Admission
    ) throws(WeirError) -> SegmentScanner.Step? {
        let limit = segment.readableEnd
        self.limit = limit
        if mode == .mapped, map == nil {
            map = try segment.map()
            // Beyond the bound on maps, reading goes on, by copies.
            if map == nil { mode = .copied }
        }
        if let mapping = map?.mapping {
            do throws(WeirError) {
                return try nextMapped(mapping, &scanner, limit: limit, admits)
            } catch {
                // The file was cut, or its medium fails. Copies tell which bytes are still there;
                // what was lost under the reader is told first.
                readByCopies()
                if error.code == .damaged { throw error }
            }
        }
        let step = try nextCopied(&scanner, limit: limit, admits)
        switch step {
        // Who reads exactly waits now, perhaps for long: nothing is held for it meanwhile.
        case nil, .end: if isExact { forgetCopy() }
        default: break
        }
        return step
    }

    private mutating func forgetCopy() {
        scratch = ScratchMemory()
        byteCount = 0
    }

    private mutating func nextMapped(
        _ mapping: Mapping, _ scanner: inout SegmentScanner, limit: FilePosition,
        _ admits: (BatchHeader) -> Admission
    ) throws(WeirError) -> SegmentScanner.Step? {
        byteCount = Int(clamping: limit.value)
        try bring(mapping, scanner.position, to: scanner.position + BatchHeader.byteCount, limit)
        let start = scanner.position
        var trial = scanner
        var step = trial.next(in: bytes, checkingBody: false, dataEnd: 0)
        if case .end = step {
            guard let found = try resynchronise(&trial, limit: limit) else {
                throw Self.lost(segment.path, at: start)
            }
            step = found
        } else if case .batch(let header, let position) = step {
            switch admits(header) {
            case .hold, .hide: return nil
            case .pass: break
            case .read(let ahead):
                let end = position + header.storedByteCount
                try bringIn(mapping, position..<end, ahead: ahead, limit)
                if !SegmentScanner.isWhole(header, in: bytes, at: position) {
                    step = .damage(start.value..<trial.position.value, lost: header)
                } else if header.extensionLength > 0 {
                    // What its sections ask of a reader is looked at only where there are any.
                    trial = scanner
                    step = trial.next(in: bytes)
                }
            }
        }
        if mapping.lostPages { throw Self.lost(segment.path, at: start) }
        scanner = trial
        return step
    }

    /// Brings a batch into memory, and what may come in behind it.
    private mutating func bringIn(
        _ mapping: Mapping, _ batch: Range<FilePosition>, ahead: Credit?, _ limit: FilePosition
    ) throws(WeirError) {
        guard batch.upperBound > populatedEnd || batch.lowerBound < populatedStart else { return }
        var end = batch.upperBound
        if let ahead {
            end = try granted(mapping, behind: end, ahead, limit)
        } else {
            end = max(end, batch.lowerBound + nextPiece(upTo: Limits.prefetchBytes))
        }
        try bring(mapping, batch.lowerBound, to: end, limit)
    }

    /// The end of the whole batches behind a position that a credit covers, some megabytes at most.
    /// Their headers are looked at, a page each.
    private mutating func granted(
        _ mapping: Mapping, behind start: FilePosition, _ credit: Credit, _ limit: FilePosition
    ) throws(WeirError) -> FilePosition {
        var walker = SegmentScanner(segment: segment.id, position: start)
        var left = credit
        while left.isPositive, walker.position < start + Limits.prefetchBytes {
            let place = walker.position
            guard place + BatchHeader.byteCount <= limit else { break }
            try bring(mapping, place, to: place + BatchHeader.byteCount, limit)
            guard let header = walker.header(in: bytes), left.covers(header.credit),
                place + header.storedByteCount <= limit
            else { break }
            left -= header.credit
            walker.move(to: place + header.storedByteCount)
        }
        // The header that ended the walk is in memory alone: what lies before it is not yet.
        populatedEnd = .zero
        return walker.position
    }

    private mutating func nextPiece(upTo bytesMax: Int) -> Int {
        defer { pieceBytes = min(pieceBytes * 4, Limits.prefetchBytes) }
        return min(pieceBytes, bytesMax)
    }

    /// Brings a range into memory, as far as it is not there already.
    private mutating func bring(
        _ mapping: Mapping, _ start: FilePosition, to end: FilePosition, _ limit: FilePosition
    ) throws(WeirError) {
        let end = min(end, limit)
        guard end > start, end > populatedEnd || start < populatedStart else { return }
        // Who comes from elsewhere walks over a block's headers next, to a batch in it: what of
        // them is in memory is asked for once.
        let isJump = start < populatedStart || start > populatedEnd
        let bound = isJump ? start + Limits.blockIndexStride + Self.seenBehindBytes : .zero
        let seen = try mapping.populate(
            Int(clamping: start.value)..<Int(clamping: end.value),
            lookingUpTo: Int(clamping: bound.value))
        guard seen >= Int(clamping: end.value) else {
            // Copies then, which wait for the disk and tell its errors as well.
            throw WeirError(.system, "No page of \(segment.path) can be brought into memory.")
        }
        populatedStart = start
        // The kernel brings in whole pages.
        populatedEnd = FilePosition((UInt64(seen) + 4095) & ~4095)
    }

    static func lost(_ path: String, at position: FilePosition) -> WeirError {
        WeirError.damaged(
            "Pages of a segment vanished while it was read: the file was cut, or its medium "
                + "fails. Read it with copying, and check the disk", path: path, at: position)
    }

    mutating func readByCopies() {
        map = nil
        mode = .copied
        byteCount = 0
    }

    private mutating func nextCopied(
        _ scanner: inout SegmentScanner, limit: FilePosition,
        _ admits: (BatchHeader) -> Admission
    ) throws(WeirError) -> SegmentScanner.Step? {
        let start = scanner.position
        let chunk = isExact ? 0 : min(pieceBytes, Self.copiedBytesFirst)
        try load(from: start, byteCount: BatchHeader.byteCount, chunk: chunk, limit)
        if let header = scanner.header(in: bytes, origin: origin),
            start + header.storedByteCount <= limit
        {
            switch admits(header) {
            case .hold, .hide: return nil
            case .pass:
                scanner.move(to: start + header.storedByteCount)
                return .batch(header, at: start)
            case .read:
                try load(from: start, byteCount: header.storedByteCount, chunk: chunk, limit)
                return scanner.next(in: bytes, origin: origin)
            }
        }
        if let step = try resynchronise(&scanner, limit: limit) { return step }
        return try nextCopied(&scanner, limit: limit, admits)
    }

    /// No header stands here: looks for the next one that holds, whose batch ends before the limit.
    /// Of what is passed nothing is kept, and behind that header at most a step has been read. Who
    /// reads exactly is told the damage up to where one call may search, and asks again from there.
    /// `nil`: a header stands here after all, and is in the copy; the read before had come short.
    private mutating func resynchronise(
        _ scanner: inout SegmentScanner, limit: FilePosition
    ) throws(WeirError) -> SegmentScanner.Step? {
        let start = scanner.position
        var trial = scanner
        while trial.position < limit {
            let place = trial.position
            let shownEnd = try show(place, limit)
            let step = trial.next(
                in: bytes, origin: origin, checkingBody: false,
                dataEnd: shownEnd - origin - BatchHeader.byteCount, limit: limit)
            switch step {
            case .newer where place == start: return step
            case .batch where place == start: return nil
            case .batch, .newer:
                scanner.move(to: place)
                return .damage(start.value..<place.value, lost: nil)
            case .damage:
                scanner = trial
                return .damage(start.value..<trial.position.value, lost: nil)
            case .end:
                guard shownEnd < limit, !isCut else { return .end(at: start) }
                // A header may begin in the last bytes.
                let next = (shownEnd.value - UInt64(BatchHeader.byteCount - 8)) & ~7
                trial.move(to: FilePosition(next))
                let nextEnd = trial.position + Limits.headerSearchBytes
                if isExact, nextEnd > start + Limits.headerSearchBytesMax {
                    scanner = trial
                    return .damage(start.value..<next, lost: nil)
                }
            }
        }
        return .end(at: start)
    }

    /// Has the next step of a search in `bytes`; returns where what they show of it ends.
    private mutating func show(
        _ place: FilePosition, _ limit: FilePosition
    ) throws(WeirError) -> FilePosition {
        let byteCount = isExact ? Limits.headerSearchBytes : Self.copiedBytesFirst
        if let mapping = map?.mapping {
            let end = min(place + byteCount, limit)
            try bring(mapping, place, to: end, limit)
            return end
        }
        try load(from: place, byteCount: byteCount, chunk: byteCount, limit)
        return origin + self.byteCount
    }

    /// Has so many bytes from `start` on in the copy, as far as the segment goes; reads `chunk`
    /// bytes at once where it must read.
    private mutating func load(
        from start: FilePosition, byteCount wanted: Int, chunk: Int, _ limit: FilePosition
    ) throws(WeirError) {
        if start >= origin, start + min(wanted, limit - start) <= origin + byteCount { return }
        let needed = min(max(wanted, chunk), limit - start)
        _ = nextPiece(upTo: chunk)
        let kept = keep(from: start, roomFor: needed)
        origin = start
        // A read that fails leaves nothing to look at.
        byteCount = 0
        isCut = false
        if file == nil { file = try segment.file() }
        guard let file else { return }
        let read = unsafe try files.read(
            file, into: scratch.bytes(kept..<needed), at: start + kept)
        byteCount = kept + read
        isCut = byteCount < needed
    }

    /// Bytes from `start` on that are in the copy already come to its front: written ones never
    /// change. None do where the copy must become larger first.
    private mutating func keep(from start: FilePosition, roomFor needed: Int) -> Int {
        let end = origin + byteCount
        let kept = start >= origin && start < end ? min(end - start, needed) : 0
        guard kept > 0, needed <= scratch.capacity else {
            scratch.reserve(max(needed, 1))
            return 0
        }
        let first = start - origin
        unsafe scratch.bytes(0..<kept).copyMemory(
            from: UnsafeRawBufferPointer(scratch.bytes(first..<first + kept)))
        return kept
    }
}

extension BatchHeader {
    /// What the batch costs its reader.
    package var credit: Credit { Credit(bytes: rawBodyLength, records: recordCount) }
}
