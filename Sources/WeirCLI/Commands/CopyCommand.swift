import ArgumentParser
import Foundation
import Weir

struct CopyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy", abstract: "Copy a stream, into this store or another.",
        discussion: """
            Its batches go over as they are. A stream that does not exist is made with the same \
            settings, and its records keep their offsets; a partitioned stream is copied with all \
            its partitions.

            The same command again copies what is new since, after an interruption too, and \
            nothing twice. The source may be appended to meanwhile: what it has when the copying \
            begins is copied.

            EXAMPLES
              weir copy orders orders-copy
              weir copy orders orders --to-store /backup/weir-data
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "The stream to copy.", completion: streamNames) var from: String
    @Argument(help: "The copy's name; made if there is none.") var to: String
    @Option(help: "The copy's store (default: the same); made if there is none.")
    var toStore: String?

    func validate() throws {
        guard isWithin, from == to else { return }
        throw ValidationError("The copy is the stream itself; give it another name, or --to-store.")
    }

    /// By any path: a store has one writer, which reads as well.
    private var isWithin: Bool {
        guard let toStore else { return true }
        return URL(filePath: toStore).resolvingSymlinksInPath().standardizedFileURL.path
            == URL(filePath: options.path).resolvingSymlinksInPath().standardizedFileURL.path
    }

    func run() throws {
        var source = try options.open(isWithin ? .write : .read)
        let target = try target(source)
        do {
            for (name, copy) in try streams(source.store, target.store) {
                let stream = try source.store.streamBlocking(name)
                try Self.copy(stream, into: copy, &source, target)
            }
        } catch {
            throw target.closed(after: error)
        }
        if !isWithin { try target.finish() }
        try source.finish()
    }

    private func target(_ source: OpenedStore) throws -> OpenedStore {
        guard let toStore, !isWithin else { return source }
        var options = options
        options.store = toStore
        // A store is not made for a source that does not exist.
        if source.store.partitionedEntry(from) == nil { _ = try source.store.streamBlocking(from) }
        return try options.open(making: to)
    }

    /// What is copied into what; partitions are made before.
    private func streams(_ source: Store, _ target: Store) throws -> [(String, String)] {
        guard source.partitionedEntry(from) != nil else { return [(from, to)] }
        let partitions = try source.partitionedStreamBlocking(from).partitions
        let copies = try target.partitionedStreamBlocking(
            to,
            copying: PartitionedConfiguration(
                partitions: partitions.count, partitions[0].configuration.placed(in: nil)))
        return zip(partitions, copies.partitions).map {
            ($0.0.name.description, $0.1.name.description)
        }
    }

    private static func copy(
        _ stream: LogStream, into name: String, _ source: inout OpenedStore, _ target: OpenedStore
    ) throws {
        let known = try target.store.importedEnd(of: stream, into: name)
        var export = try stream.exportArchive(from: known.map { .offset($0) } ?? .first)
        let range = export.range
        var moving = try ArchiveMoving(target.store, into: name, verb: "copied")
        let bar = ProgressBar("copy", total: range.upperBound - range.lowerBound)
        try moving.run(bar) {
            export.nextOffset - range.lowerBound
        } from: {
            while true {
                switch try export.next() {
                case .bytes(let bytes): return bytes
                case .gap(let gap): source.say(gap, of: stream.name)
                case .end: return nil
                }
            }
        }
        for report in export.reports { source.say(report) }
    }
}
