import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// Whether the cursors of a store say something, and something that can be.
enum CursorCheck {
    static func reports<Files: FileSystem>(
        of engine: StoreEngine<Files>
    ) throws(WeirError) -> [DamageReport] {
        guard let stream = engine.stream(CursorLog.streamName) else { return [] }
        var log = CursorLog()
        try log.walk(stream.view)
        var views: [StreamID: LogView<Files>] = [:]
        for other in engine.streams { views[other.id] = other.view }
        // A stream that cannot be opened is there all the same.
        let unreadable = Set(engine.unreadableStreams)
        let name = stream.name.description
        let path = StoreLayout.stream(stream.id)
        func report(_ kind: DamageReport.Kind, _ detail: String) -> DamageReport {
            DamageReport(kind: kind, stream: name, path: path, detail: detail)
        }
        var found: [DamageReport] = []
        if log.strangers > 0 {
            found.append(
                report(.damagedCursor, "\(log.strangers) of its records are none of a cursor"))
        }
        for (key, standing) in log.standings.sorted(by: { $0.key.name < $1.key.name }) {
            let owner = views[key.stream]?.name.description ?? key.stream.description
            let cursor = "the cursor \(key.name) of stream \(owner)"
            guard let view = views[key.stream] else {
                if !unreadable.contains(key.stream) {
                    found.append(
                        report(.cursorOfNoStream, "\(cursor) is there, and the stream is not"))
                }
                continue
            }
            do throws(WeirError) {
                if let detail = try trouble(standing, in: view) {
                    found.append(report(detail.kind, cursor + detail.words))
                }
            } catch {
                let words = "\(cursor) cannot be held against its log: \(error)"
                found.append(report(.damagedCursor, words))
            }
        }
        return found
    }

    private static func trouble<Files: FileSystem>(
        _ standing: CursorStanding, in view: LogView<Files>
    ) throws(WeirError) -> (kind: DamageReport.Kind, words: String)? {
        switch try standing.settled(in: view) {
        case .at(_, lost: nil): return nil
        case .at(let commit, let lost?):
            return (
                .cursorBeyondLog,
                " stands at offset \(lost), and what its epoch left of the log ends at "
                    + "\(commit.position.offset)"
            )
        case .unreadable(let error): return (.damagedCursor, " says nothing: \(error)")
        }
    }
}
