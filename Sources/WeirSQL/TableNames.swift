import WeirBase

/// What the streams' tables are called: as the streams, if SQLite can tell them apart so.
///
/// SQLite does not tell capital letters from small ones, and keeps names that begin with `sqlite_`
/// for itself, as Weir does with `weir_`. A stream's name cannot begin with an underscore, so one
/// that is put before it makes a name that no stream bears.
struct TableNames: Sendable {
    /// In the order of the streams' names.
    let all: [(stream: StreamName, table: String)]
    private let tables: [StreamName: String]

    init(_ streams: [StreamName]) {
        let sorted = streams.sorted { $0.description < $1.description }
        var taken: Set<String> = []
        var tables: [StreamName: String] = [:]
        // Who can have its own name has it, whatever others are called.
        for stream in sorted where taken.insert(Self.plain(stream).lowercased()).inserted {
            tables[stream] = Self.plain(stream)
        }
        for stream in sorted where tables[stream] == nil {
            var number = 2
            while !taken.insert("\(Self.plain(stream))_\(number)".lowercased()).inserted {
                number += 1
            }
            tables[stream] = "\(Self.plain(stream))_\(number)"
        }
        self.tables = tables
        all = sorted.compactMap { stream in tables[stream].map { (stream, $0) } }
    }

    /// `nil` for a stream that is younger than the connection.
    subscript(stream: StreamName) -> String? { tables[stream] }

    private static func plain(_ stream: StreamName) -> String {
        let name = stream.description
        let isKept = ["weir_", "sqlite_"].contains { name.lowercased().hasPrefix($0) }
        return isKept ? "_\(name)" : name
    }
}
