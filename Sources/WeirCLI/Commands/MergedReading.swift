import ArgumentParser
import Foundation
import Weir

/// The streams that a command reads.
struct ReadSources {
    let streams: [LogStream]
    /// In the order of their record times.
    let isMerged: Bool
    /// Each record tells where it stands: the command names several streams, or a partitioned one.
    let namesStream: Bool
    /// By what names the command knows the partitions that it reads.
    private let groups: [StreamName: StreamName]

    /// A partitioned stream stands for all its partitions, or for the one of a key.
    init(_ names: [String], in store: Store, merging: Bool = false, key: String? = nil) throws {
        var streams: [LogStream] = []
        var groups: [StreamName: StreamName] = [:]
        for name in names {
            guard store.partitionedEntry(name) != nil else {
                streams.append(try store.streamBlocking(name))
                continue
            }
            let group = try store.partitionedStreamBlocking(name)
            if let key {
                streams.append(group.partitions[group.partition(for: key)])
            } else {
                streams += group.partitions
            }
            for partition in group.partitions { groups[partition.name] = group.name }
        }
        self.streams = streams
        self.groups = groups
        self.namesStream = !groups.isEmpty || merging
        self.isMerged = namesStream && (key == nil || streams.count > 1)
    }

    /// A cursor that never committed begins at the first record, and may be a misspelt one.
    func note(unknownCursorOf start: StartPosition, in store: Store) throws {
        guard case .cursor(let name) = start else { return }
        var known: Set<String> = []
        for stream in streams {
            for cursor in try store.cursorsBlocking(of: stream.name.description) {
                if cursor.name == name { return }
                known.insert(cursor.name)
            }
        }
        let others =
            known.sorted().prefix(5).joined(separator: ", ") + (known.count > 5 ? ", …" : "")
        let there = known.count == 1 ? "there is \(others)" : "there are \(others)"
        Words.say(
            "weir: note: no cursor is called \(name) here, so reading begins at the first record; "
                + (known.isEmpty ? "there is none yet" : there))
    }

    /// What the command calls a stream that it reads.
    func title(of stream: LogStream) -> StreamName { groups[stream.name] ?? stream.name }

    /// Records that are held in memory for the last of those that are chosen.
    static let lastMax = 1_000_000

    static func tooMany(_ count: Int) -> String {
        "The last \(count) records are asked for; expected at most \(lastMax) where they are "
            + "chosen by a key, a header, a condition or an end, or stand in several streams. "
            + "Begin at a time instead."
    }

    /// A cursor over the last so many records of each.
    func cursor(ofLast count: Int) throws -> MergedCursor {
        guard count <= Self.lastMax else {
            throw WeirError(.invalidArgument, Self.tooMany(count))
        }
        return try Store.merged(
            streams.map { (stream: $0, start: .offset(try $0.offset(ofLast: count))) })
    }
}

extension OpenedStore {
    /// Hands on every record up to the end of all streams; `false` ends the reading.
    mutating func forEach(
        _ cursor: inout MergedCursor, _ body: (MergedRecord) throws -> Bool
    ) throws {
        while true {
            try Interrupt.check()
            switch try cursor.next() {
            case .record(let record):
                let goesOn = try body(record)
                if !goesOn { return }
            case .gap(let gap, let stream): say(gap, of: stream)
            case .end: return
            }
        }
    }

    mutating func sayReports(of cursor: borrowing MergedCursor) {
        for report in cursor.reports { say(report) }
    }
}

extension ReadCommand {
    /// Several streams as one.
    func readMerged(
        _ sources: ReadSources, _ opened: inout OpenedStore, _ printer: inout RecordPrinter
    ) throws {
        var cursor =
            if let key {
                try Store.merged(sources.streams, key: key, from: start)
            } else if let header {
                try Store.merged(
                    sources.streams, header: header.name, printedAs: header.text, from: start)
            } else if let window {
                try Store.merged(sources.streams, time: window)
            } else if let last, to == nil {
                try sources.cursor(ofLast: last)
            } else {
                try Store.merged(sources.streams, from: start)
            }
        if printer.isDone { return }
        let bar = ProgressBar("read", total: nil)
        try opened.forEach(&cursor) { found in
            defer { if isatty(1) == 0 { bar.update(done: 0, records: printer.seen) } }
            return try printer.print(found.record, of: found.stream)
        }
        bar.end()
        try printer.output.flush()
        if let reason = cursor.scanReason { sayScan(reason) }
        opened.sayReports(of: cursor)
    }

    func sayScan(_ reason: String) {
        Words.say("weir: note: the log is read instead of the index: \(reason)")
    }

    /// What does not go together where several streams are read.
    func expectSensible(_ sources: ReadSources) throws {
        guard sources.isMerged else { return }
        let hasOffset =
            if case .offset = start { true } else if case .offset? = to { true } else { false }
        let reason: String? =
            if hasOffset {
                "Offsets count in one stream, and several are read; begin and end at a time, or "
                    + "read one of the streams."
            } else if flow.isGiven {
                "Reading ahead is set for one stream, and several are read, each a batch at a "
                    + "time; leave these options out, or read one of the streams."
            } else {
                nil
            }
        if let reason { throw WeirError(.invalidArgument, reason) }
    }
}

extension TailCommand {
    /// The last records of several streams, and what follows.
    func tailMerged(
        _ sources: ReadSources, _ opened: inout OpenedStore, _ printer: inout RecordPrinter
    ) throws {
        guard !flow.isGiven else {
            throw WeirError(
                .invalidArgument,
                "Reading ahead is set for one stream, and \(stream) has "
                    + "\(sources.streams.count) partitions; leave these options out, or follow one "
                    + "of them.")
        }
        var cursor = try sources.cursor(ofLast: count)
        try opened.forEach(&cursor) { try printer.print($0.record, of: $0.stream) }
        try printer.finish()
        while follow {
            // A wait for several streams does not end with a signal: Ctrl-C is looked for between.
            try Interrupt.check()
            try printer.output.expectReader()
            try cursor.wait(milliseconds: 100)
            try opened.forEach(&cursor) { try printer.print($0.record, of: $0.stream) }
            try printer.output.flush()
        }
        opened.sayReports(of: cursor)
    }
}
