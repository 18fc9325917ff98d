import WeirBase
import WeirFiles

/// Sends what was appended without a sync to the medium, piece by piece, beside the appends.
///
/// Left to itself, the system does that in bursts: a whole segment when it is sealed. While such a
/// burst is prepared, hundreds of milliseconds on a core, threads wait for milliseconds at a time.
/// The leader says how far it has come; any thread performs.
final class WriteBack<Files: FileSystem>: Sendable {
    private struct Piece {
        let file: Files.File
        let start: FilePosition
        var end: FilePosition
    }
    private let files: Files
    private let wanted = Lock<Piece?>(nil)

    init(files: Files) { self.files = files }

    var isWanted: Bool { wanted.withLock { $0 != nil } }

    /// Takes a range that nothing is written to any more; it follows the one before, if that is of
    /// the same file. What is left of another file its own sync sends.
    func want(_ file: Files.File, from start: FilePosition, to end: FilePosition) {
        wanted.withLock { piece in
            if piece?.file === file {
                piece?.end = end
            } else {
                piece = Piece(file: file, start: start, end: end)
            }
        }
    }

    /// May wait for the medium.
    func perform() {
        guard let piece = wanted.withLock({ $0.take() }) else { return }
        files.startWriting(piece.file, from: piece.start, to: piece.end)
    }
}
