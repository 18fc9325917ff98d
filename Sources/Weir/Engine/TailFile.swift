import WeirBase
package import WeirFiles
import WeirFormat
import WeirLog

/// The file `tail`: a slot a stream, through which readers elsewhere follow the writer.
///
/// Grown in place and never replaced, so that a map of it stays good. Derived: it is made anew at
/// each opening, and what a crash left in it is evidence for recovery before that.
package final class TailFile<Files: FileSystem>: Sendable {
    private let files: Files
    private let file: Files.File
    private let state: Lock<State>
    /// The map reaches beyond the file, which grows into it: 65,536 streams.
    private static var mapByteCount: Int { 4 << 20 }
    private static var growthBytes: Int { 64 << 10 }

    private struct State {
        var mapping: Mapping
        var fileBytes: Int
        var used: Int
        /// Readers: where a stream's slot was found last.
        var places: [StreamID: Int] = [:]
    }

    private init(
        files: Files, file: Files.File, mapping: Mapping, fileBytes: Int, used: Int
    ) {
        self.files = files
        self.file = file
        self.state = Lock(State(mapping: mapping, fileBytes: fileBytes, used: used))
    }

    /// What the slots say; damaged ones are left out.
    static func read(
        files: Files
    ) throws(WeirError) -> [StreamID: (index: Int, slot: TailSlot)] {
        let bytes = try content(files)
        return unsafe slots(in: bytes.span.bytes)
    }

    /// Slots that neither are empty nor hold; a writer that lives may be writing one.
    static func damagedSlotCount(files: Files) throws(WeirError) -> Int {
        let bytes = try content(files)
        var count = 0
        unsafe forEachSlot(in: bytes.span.bytes) { _, reading in
            if reading == .torn { count += 1 }
        }
        return count
    }

    /// Nothing where there is no file.
    private static func content(_ files: Files) throws(WeirError) -> [UInt8] {
        do throws(WeirError) {
            let file = try files.open(StoreLayout.tail, .read)
            let size = min(try files.size(of: file), mapByteCount)
            let bytes = try files.read(file, at: .zero, byteCount: size)
            try files.close(file)
            return bytes
        } catch {
            if error.code == .notFound { return [] }
            throw error
        }
    }

    private static func slots(
        in bytes: RawSpan
    ) -> [StreamID: (index: Int, slot: TailSlot)] {
        var found: [StreamID: (index: Int, slot: TailSlot)] = [:]
        forEachSlot(in: bytes) { index, reading in
            if case .slot(let slot) = reading { found[slot.streamID] = (index, slot) }
        }
        return found
    }

    private static func forEachSlot(in bytes: RawSpan, _ body: (Int, TailSlot.Reading) -> Void) {
        var index = 1
        while (index + 1) * TailSlot.byteCount <= bytes.byteCount {
            let start = index * TailSlot.byteCount
            body(index, TailSlot.decode(bytes.extracting(start..<start + TailSlot.byteCount)))
            index += 1
        }
    }

    /// Makes room for so many streams and maps the file. Slots are filled as streams are adopted.
    static func rebuild(
        files: Files, store: StoreID, streamCount: Int
    ) throws(WeirError) -> TailFile {
        let file: Files.File
        do throws(WeirError) {
            file = try files.open(StoreLayout.tail, .readWrite)
        } catch {
            guard error.code == .notFound else { throw error }
            file = try files.open(StoreLayout.tail, .createExclusive)
        }
        let needed = roundedUp((streamCount + 1) * TailSlot.byteCount, to: growthBytes)
        // Written with zeros, not merely cut longer: a page without a block would fault later.
        let bytes = TailSlot.header(store) + [UInt8](repeating: 0, count: needed - 64)
        let size = max(needed, try files.size(of: file))
        try files.writeAll(file, bytes, at: .zero)
        let mapping = try files.mapForPublishing(file, byteCount: mapByteCount)
        return TailFile(files: files, file: file, mapping: mapping, fileBytes: size, used: 1)
    }

    /// `nil` where there is none: then readers find the ends themselves.
    static func openForReading(files: Files) throws(WeirError) -> TailFile? {
        do throws(WeirError) {
            let file = try files.open(StoreLayout.tail, .read)
            let mapping = try files.map(file, byteCount: mapByteCount)
            let size = try files.size(of: file)
            return TailFile(files: files, file: file, mapping: mapping, fileBytes: size, used: 0)
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    /// A slot for one more stream; `nil` when the file holds no more, which costs other processes
    /// their wake-ups and nobody anything else.
    func newPublisher() throws(WeirError) -> TailPublisher? {
        let (index, mapping, end) = state.withLock { state -> (Int, Mapping, Int) in
            defer { state.used += 1 }
            return (state.used, state.mapping, state.fileBytes)
        }
        let slotEnd = (index + 1) * TailSlot.byteCount
        guard slotEnd <= Self.mapByteCount else { return nil }
        if slotEnd > end {
            let zeros = [UInt8](repeating: 0, count: Self.growthBytes)
            try files.writeAll(file, zeros, at: FilePosition(UInt64(end)))
            state.withLock { $0.fileBytes = max($0.fileBytes, end + zeros.count) }
        }
        return TailPublisher(mapping: mapping, slot: index)
    }

    /// Readers: all slots, as they are now.
    var slots: [StreamID: (index: Int, slot: TailSlot)] {
        let (mapping, end) = state.withLock { ($0.mapping, min($0.fileBytes, Self.mapByteCount)) }
        return Self.slots(in: mapping.bytes.extracting(0..<end))
    }

    /// Readers: a stream's slot, where it is, and its futex word; `nil` where there is none.
    ///
    /// Each opening of the writer deals the slots anew, so the place is checked every time.
    func slot(of stream: StreamID) -> (slot: TailSlot, index: Int, word: UInt32)? {
        if let index = state.withLock({ $0.places[stream] }), let found = slot(at: index),
            found.slot.streamID == stream
        {
            return (found.slot, index, found.word)
        }
        // One walk finds the places of all streams, for those who ask for one after the other.
        let places = slots.mapValues(\.index)
        state.withLock { $0.places = places }
        guard let index = places[stream], let found = slot(at: index),
            found.slot.streamID == stream
        else { return nil }
        return (found.slot, index, found.word)
    }

    /// Read again while it is being written.
    private func slot(at index: Int) -> (slot: TailSlot, word: UInt32)? {
        let mapping = state.withLock { $0.mapping }
        let start = index * TailSlot.byteCount
        for _ in 0..<100 {
            let span = mapping.bytes.extracting(start..<start + TailSlot.byteCount)
            let word = unsafe span.unsafeLoad(
                fromByteOffset: TailSlot.Field.futexWord, as: UInt32.self)
            switch TailSlot.decode(span) {
            case .slot(let slot): return (slot, word)
            case .empty: return nil
            case .torn: continue
            }
        }
        return nil
    }

    /// Waits for the slot's next publish. Blocks the thread.
    func wait(_ index: Int, while word: UInt32, milliseconds: Int) {
        let mapping = state.withLock { $0.mapping }
        mapping.wait(
            while: word, at: index * TailSlot.byteCount + TailSlot.Field.futexWord,
            milliseconds: milliseconds)
    }

    func close() throws(WeirError) { try files.close(file) }
}
