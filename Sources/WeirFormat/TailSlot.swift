package import WeirBase

/// A stream's slot in the file `tail`, 64 bytes: how far it is written, for readers elsewhere.
///
///      0           8            16           24      32             40
///     | stream id | flushed end | durable end | epoch | active segment | written end |
///      48           52         56         60
///     | generation | checksum | settings | futex word |
///
/// Slot 0 is the file's header: magic "WEIRTAIL", store id, and a futex word for every publish.
///
/// One process writes, through a shared map; others read while it does. A reader that meets a slot
/// in the middle of a write finds its checksum wrong, and reads again. `generation` counts the
/// writes, and `settings` the changes of the stream's settings since the writer opened it: where
/// they differ from what a reader has seen, it reads the manifest again. After a crash the slot is
/// evidence: `durable end` was stored only after its sync had returned.
package struct TailSlot: Sendable, Hashable {
    package enum Field {
        package static let streamID = 0, flushedEnd = 8, durableEnd = 16, epoch = 24
        package static let segment = 32, writtenEnd = 40, generation = 48, checksum = 52
        package static let settings = 56, futexWord = 60, end = 64
    }
    package static let byteCount = Field.end
    /// "WEIRTAIL" as its bytes stand in the file.
    package static let magic: UInt64 = 0x4C49_4154_5249_4557

    package var streamID: StreamID
    package var flushedEnd: Offset
    package var durableEnd: Offset
    package var epoch: Epoch
    package var segment: SegmentID
    package var writtenEnd: FilePosition
    package var settingsCount: UInt32

    package init(
        streamID: StreamID, flushedEnd: Offset, durableEnd: Offset, epoch: Epoch,
        segment: SegmentID, writtenEnd: FilePosition, settingsCount: UInt32 = 0
    ) {
        self.streamID = streamID
        self.flushedEnd = flushedEnd
        self.durableEnd = durableEnd
        self.epoch = epoch
        self.segment = segment
        self.writtenEnd = writtenEnd
        self.settingsCount = settingsCount
    }

    /// Which settings hold: another one after each change, and each opening.
    package var edition: UInt64 { epoch.value << 32 | UInt64(settingsCount) }

    /// Writes all but the futex word, which `publish` counts up. `target` has 64 bytes.
    package func encode(to target: UnsafeMutableRawPointer, generation: UInt32) {
        unsafe target.storeLittle(streamID.value, Field.streamID)
        unsafe target.storeLittle(flushedEnd.value, Field.flushedEnd)
        unsafe target.storeLittle(durableEnd.value, Field.durableEnd)
        unsafe target.storeLittle(epoch.value, Field.epoch)
        unsafe target.storeLittle(segment.value, Field.segment)
        unsafe target.storeLittle(writtenEnd.value, Field.writtenEnd)
        unsafe target.storeLittle(generation, Field.generation)
        let checksum = unsafe crc32c(
            UnsafeRawBufferPointer(start: target, count: Field.generation))
        unsafe target.storeLittle(checksum, Field.checksum)
        unsafe target.storeLittle(settingsCount, Field.settings)
    }

    package enum Reading: Sendable, Hashable {
        case slot(TailSlot)
        case empty
        /// Being written at this moment, or damaged: read again, then give up.
        case torn
    }

    package static func decode(_ bytes: RawSpan) -> Reading {
        guard bytes.byteCount >= byteCount else { return .torn }
        return unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return .torn }
            let stream: UInt64 = unsafe base.little(Field.streamID)
            let generation: UInt32 = unsafe base.little(Field.generation)
            let found: UInt32 = unsafe base.little(Field.checksum)
            if stream == 0, generation == 0, found == 0 { return .empty }
            let expected = unsafe crc32c(
                UnsafeRawBufferPointer(start: base, count: Field.generation))
            guard found == expected else { return .torn }
            return unsafe .slot(
                TailSlot(
                    streamID: StreamID(stream), flushedEnd: Offset(base.little(Field.flushedEnd)),
                    durableEnd: Offset(base.little(Field.durableEnd)),
                    epoch: Epoch(base.little(Field.epoch)),
                    segment: SegmentID(base.little(Field.segment)),
                    writtenEnd: FilePosition(base.little(Field.writtenEnd)),
                    settingsCount: base.little(Field.settings)))
        }
    }

    /// The file's first slot.
    package static func header(_ store: StoreID) -> [UInt8] {
        var writer = ByteWriter(capacity: byteCount)
        writer.put(magic)
        writer.put(store)
        writer.zeros(byteCount - writer.count)
        return writer.bytes
    }
}

/// What the LOCK file says, for messages only: the lock itself is the kernel's.
package struct LockNote: Sendable, Hashable {
    package var processID: Int32
    package var host: String
    package var program: String
    package var since: Timestamp

    package init(processID: Int32, host: String, program: String, since: Timestamp) {
        self.processID = processID
        self.host = host
        self.program = program
        self.since = since
    }

    /// Four lines: pid, host, program, time; less than 1 KiB, which is what its readers take.
    package func encode() -> [UInt8] {
        func line(_ text: String) -> String {
            String(text.unicodeScalars.filter { $0.value >= 32 && $0.value != 127 }.prefix(100))
        }
        return Array("\(processID)\n\(line(host))\n\(line(program))\n\(since)\n".utf8)
    }

    /// `nil` if the note is not one; the lock counts all the same.
    package static func decode(_ bytes: [UInt8]) -> LockNote? {
        let lines = String(decoding: bytes.prefix(1024), as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 4, let processID = Int32(lines[0]),
            let since = Timestamp(iso8601: lines[3])
        else { return nil }
        return LockNote(
            processID: processID, host: String(lines[1]), program: String(lines[2]), since: since)
    }

    package var description: String {
        "process \(processID) (\(program)) on \(host), since \(since)"
    }
}
