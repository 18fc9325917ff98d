import WeirBase
import WeirFiles
import WeirFormat

/// The file of the next segment, made before it is needed, with room that is written already.
///
///     none ──want──▶ wanted ──▶ being made ──▶ ready ──take──▶ none
///                                    └─ refused by the disk ──▶ none ◀── the stream rests
///
/// It has a name of its own until a segment takes it, so that what a crash leaves of it is known to
/// hold nothing. The leader wants and takes; any thread makes.
final class NextFile<Files: FileSystem>: Sendable {
    private enum State {
        case none
        case wanted(byteCount: Int)
        case beingMade
        case ready(Files.File, path: String, end: FilePosition)
        case ended
    }
    private let monitor = Monitor(State.none)
    private let files: Files
    private let streamID: StreamID

    init(files: Files, streamID: StreamID) {
        self.files = files
        self.streamID = streamID
    }

    var isWanted: Bool {
        monitor.read { if case .wanted = $0 { true } else { false } }
    }

    func want(byteCount: Int) {
        monitor.signal { if case .none = $0 { $0 = .wanted(byteCount: byteCount) } }
    }

    /// Blocks the thread while zeros are written and synced.
    func makeIfWanted() {
        let wanted = monitor.signal { state -> Int? in
            guard case .wanted(let byteCount) = state else { return nil }
            state = .beingMade
            return byteCount
        }
        guard let wanted else { return }
        let path = StoreLayout.nextSegment(streamID)
        var made: State
        do throws(WeirError) {
            made = .ready(
                try make(path, byteCount: wanted), path: path, end: FilePosition(UInt64(wanted)))
        } catch {
            // No failure: the segment then makes its file itself, and tells what the disk says.
            made = .none
        }
        monitor.signal { $0 = made }
    }

    private func make(_ path: String, byteCount: Int) throws(WeirError) -> Files.File {
        let file = try files.open(path, .createExclusive)
        do throws(WeirError) {
            try files.writeZeros(file, from: .zero, to: FilePosition(UInt64(byteCount)))
            try files.sync(file)
        } catch {
            try files.close(file)
            try files.removeFile(path)
            throw error
        }
        return file
    }

    /// A segment's file under its own name, with its header, and where its written room ends.
    /// Nothing of it is synced. When it throws, there is no such file.
    func take(
        as path: String, header: [UInt8]
    ) throws(WeirError) -> (file: Files.File, end: FilePosition) {
        let ready = monitor.signal { state -> (Files.File, String, FilePosition)? in
            guard case .ready(let file, let path, let end) = state else { return nil }
            state = .none
            return (file, path, end)
        }
        let file: Files.File
        if let ready {
            file = ready.0
            try files.rename(ready.1, to: path)
        } else {
            file = try files.open(path, .createExclusive)
        }
        do throws(WeirError) {
            try files.writeAll(file, header, at: .zero)
        } catch {
            try files.close(file)
            try files.removeFile(path)
            throw error
        }
        return (file, ready?.2 ?? .zero)
    }

    /// Makes nothing more, and removes what was made for nobody.
    func end() throws(WeirError) { try giveUp(until: .ended) }

    /// Removes what was made, or is being made: a stream at rest needs none for a while.
    func giveUp() throws(WeirError) { try giveUp(until: .none) }

    private func giveUp(until next: State) throws(WeirError) {
        let left = monitor.wait { state -> State? in
            if case .beingMade = state { return nil }
            defer { state = next }
            return state
        }
        if case .ready(let file, let path, _)? = left {
            try files.close(file)
            try files.removeFile(path)
        }
    }
}
