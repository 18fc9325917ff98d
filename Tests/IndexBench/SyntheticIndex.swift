import Foundation
import WeirBase
import WeirIndex

/// An index of a log in which every record has a key of its own, filled without reading the log.
struct SyntheticIndex {
    let path: String
    let identity: IndexIdentity
    let stream: StreamID
    let recordCount: Int
    /// Of the key of a record, by its offset.
    let hash: (Int) -> UInt64

    private static let runEntries = 128 << 10

    /// Makes the file, as quiet moments leave it. `tell` is told of what it took, in seconds.
    func make(_ tell: (String, Double) -> Void) throws {
        guard FileManager.default.createFile(atPath: path, contents: nil) else {
            throw Usage("\(path) cannot be made.")
        }
        let writer = try IndexWriter.create(path: path, identity)
        let start = ContinuousClock.now
        for first in stride(from: 0, to: recordCount, by: Self.runEntries) {
            let end = min(first + Self.runEntries, recordCount)
            let entries = (first..<end).map {
                KeyEntry(hash: hash($0), offset: Offset(UInt64($0)))
            }
            try writer.append([
                KeyRun(
                    stream: stream, first: Offset(UInt64(first)), end: Offset(UInt64(end)),
                    entries: entries)
            ])
            _ = try writer.tidy(.busy)
        }
        tell("fill", (ContinuousClock.now - start).seconds)
        while try writer.tidy(.idle) {}
        tell("fill and merge", (ContinuousClock.now - start).seconds)
        try writer.close()
    }
}
