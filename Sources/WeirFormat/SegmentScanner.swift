package import WeirBase

/// Steps through the batches of a segment, past damage.
///
/// Pure: it is given a window of the segment's bytes, from `origin` up to a limit that the caller
/// knows to be readable, and says what stands at its position. A batch whose header does not hold
/// costs the bytes up to the next eight-byte place where one does; a batch whose body does not hold
/// costs itself, as its header still tells its length and its offsets.
package struct SegmentScanner: Sendable {
    package enum Step: Sendable, Hashable {
        case batch(BatchHeader, at: FilePosition)
        /// Bytes that are no batch, with the header that proves where the next one is; or a batch
        /// whose body or extension fails its checksum, with its own header.
        case damage(Range<UInt64>, lost: BatchHeader?)
        /// No valid header from here to the limit: the end, a torn tail or worse.
        case end(at: FilePosition)
        /// A batch that a newer version wrote.
        case newer(String, at: FilePosition)
    }

    package let segment: SegmentID
    package private(set) var position: FilePosition

    package init(segment: SegmentID, position: FilePosition) {
        self.segment = segment
        self.position = position
    }

    /// Looks at the next batch and moves behind it.
    ///
    /// `bytes` begins at the file's byte `origin`, a multiple of eight. With `checkingBody` false
    /// only headers are proven, and batches may reach beyond `bytes`, up to `limit`; recovery and
    /// readers that deliver bytes check both. Behind byte `dataEnd` of them no header is looked
    /// for.
    package mutating func next(
        in bytes: RawSpan, origin: FilePosition = .zero, checkingBody: Bool = true,
        dataEnd: Int = .max, limit: FilePosition? = nil
    ) -> Step {
        let start = position
        let limit = limit ?? origin + bytes.byteCount
        switch look(in: bytes, origin: origin, at: start, limit: limit) {
        case .success(let header):
            position = start + header.storedByteCount
            if checkingBody,
                !SegmentScanner.isWhole(header, in: bytes, at: FilePosition.zero + (start - origin))
            {
                return .damage(start.value..<position.value, lost: header)
            }
            if checkingBody, header.extensionLength > 0 {
                return examined(header, in: bytes, origin: origin, at: start)
            }
            return .batch(header, at: start)
        case .failure(.newer(let what)):
            return .newer(what, at: start)
        case .failure:
            return resynchronise(in: bytes, origin: origin, dataEnd: dataEnd, limit: limit)
        }
    }

    /// A whole batch with an extension: whether its sections let a reader go on.
    private mutating func examined(
        _ header: BatchHeader, in bytes: RawSpan, origin: FilePosition, at start: FilePosition
    ) -> Step {
        let first = start - origin + BatchHeader.byteCount
        let sections = bytes.extracting(first..<first + header.extensionLength)
        switch BatchExtension.examine(sections) {
        case .understood: return .batch(header, at: start)
        case .malformed: return .damage(start.value..<position.value, lost: header)
        case .newer(let type):
            position = start
            return .newer("a batch extension of type \(type)", at: start)
        }
    }

    /// The header that stands at the position, if one does; the batch may reach beyond `bytes`.
    package func header(in bytes: RawSpan, origin: FilePosition = .zero) -> BatchHeader? {
        let start = position - origin
        guard position >= origin, start <= bytes.byteCount - BatchHeader.byteCount else {
            return nil
        }
        do throws(BatchHeader.Defect) {
            return try BatchHeader.decode(
                bytes.extracting(start..<start + BatchHeader.byteCount),
                at: BatchPlace(segment: segment, position: position))
        } catch {
            return nil
        }
    }

    /// The same, of bytes that begin at the position.
    package func header(at bytes: [UInt8]) -> BatchHeader? {
        unsafe header(in: bytes.span.bytes, origin: position)
    }

    /// Moves to a place that the caller knows of, such as a block's start.
    package mutating func move(to position: FilePosition) { self.position = position }

    /// A header that holds and whose batch lies below the limit.
    private func look(
        in bytes: RawSpan, origin: FilePosition, at position: FilePosition, limit: FilePosition
    ) -> Result<BatchHeader, BatchHeader.Defect> {
        let start = position - origin
        guard position >= origin, start <= bytes.byteCount - BatchHeader.byteCount else {
            return .failure(.notABatch)
        }
        do throws(BatchHeader.Defect) {
            let span = bytes.extracting(start..<start + BatchHeader.byteCount)
            let header = try BatchHeader.decode(
                span, at: BatchPlace(segment: segment, position: position))
            guard position + header.storedByteCount <= limit else {
                return .failure(.field("batch beyond the end"))
            }
            return .success(header)
        } catch {
            return .failure(error)
        }
    }

    private mutating func resynchronise(
        in bytes: RawSpan, origin: FilePosition, dataEnd: Int, limit: FilePosition
    ) -> Step {
        let start = position
        // A place from a footer or manifest may lie anywhere at all.
        guard start - origin < bytes.byteCount else { return .end(at: start) }
        var candidate = roundedUp(start - origin + 1, to: 8)
        while candidate <= min(bytes.byteCount - BatchHeader.byteCount, dataEnd) {
            let word = unsafe UInt32(
                littleEndian: bytes.unsafeLoadUnaligned(
                    fromByteOffset: candidate, as: UInt32.self))
            if word == BatchHeader.magic {
                let place = origin + candidate
                switch look(in: bytes, origin: origin, at: place, limit: limit) {
                case .success, .failure(.newer):
                    position = place
                    return .damage(start.value..<place.value, lost: nil)
                case .failure: break
                }
            }
            candidate += 8
        }
        return .end(at: start)
    }

    /// Whether extension and body are what was written; `position` counts from the first of
    /// `bytes`. The caller has bounded the lengths.
    package static func isWhole(
        _ header: BatchHeader, in bytes: RawSpan, at position: FilePosition
    ) -> Bool {
        let start = Int(clamping: position.value)
        let body = start + header.bodyStart
        guard body + header.bodyLength <= bytes.byteCount else { return false }
        if header.extensionLength > 0 {
            let span = bytes.extracting(start + BatchHeader.byteCount..<body)
            guard crc32c(span) == header.extensionChecksum else { return false }
        } else if header.extensionChecksum != 0 {
            return false
        }
        return crc32(bytes.extracting(body..<body + header.bodyLength)) == header.bodyChecksum
    }
}
