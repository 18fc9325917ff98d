package import WeirBase
package import WeirFiles
import WeirFormat

/// A change of segment that is under way: the writer goes on in the new file already, and what
/// makes the change durable is done away from the appends.
///
///     leader                          whoever performs it, a thread of Weir's or the leader
///     create, header, switch  ──▶     sync the old · footer, trim, sync · sync the new and the
///     go on in the new file           directory · one synced manifest edit: "sealed" and "added"
///
/// What a crash leaves after each step: a segment that ends early, or has a footer, and is sealed
/// by recovery; a new file that no manifest lists, which recovery takes over if it belongs to the
/// last epoch. Nothing behind a roll is called durable before the roll is done.
package struct Roll<Files: FileSystem>: Sendable {
    typealias Left = (file: Files.File, readable: ReadableSegment<Files>, end: FilePosition)
    /// What the footer says of the log's producers.
    enum Producers: Sendable {
        case known(ProducerTable)
        /// What the segment before it says: none wrote into this one.
        case asBefore
        /// An earlier writer began the segment: its batches tell.
        case unread
    }
    /// The segment that is left, with the place where its batches end; `nil` for the first.
    let old: Left?
    let new: (file: Files.File, entry: SegmentEntry)
    let producers: Producers

    /// Every step can be taken again after a failed write. A failed sync ends the writer.
    func perform(
        files: Files, manifest: ManifestFile<Files>, view: LogView<Files>
    ) throws(WriteFailure) {
        var edits: [ManifestEdit] = []
        if let old {
            // The data first: a footer says that everything before it is durable.
            try WriteFailure.syncing { () throws(WeirError) in try files.sync(old.file) }
            let sealed: SealedSegment
            do throws(WeirError) {
                let footer = try producers.footer(of: old.readable, manifest.state, view)
                sealed = try write(footer, to: old, files)
            } catch {
                throw .write(error)
            }
            try WriteFailure.syncing { () throws(WeirError) in try files.sync(old.file) }
            old.readable.seal(sealed, summary: nil)
            edits.append(.segmentSealed(old.readable.id, sealed))
        }
        try WriteFailure.syncing { () throws(WeirError) in
            try files.sync(new.file)
            try files.syncDirectory(StoreLayout.stream(manifest.state.streamID))
        }
        edits.append(.segmentAdded(new.entry))
        try manifest.append(edits)
        guard let old else { return }
        try WriteFailure.syncing { () throws(WeirError) in try files.close(old.file) }
    }

    private func write(
        _ footer: SegmentFooter, to old: Left, _ files: Files
    ) throws(WeirError) -> SealedSegment {
        let (bytes, checksum) = footer.encode(at: old.end)
        try files.writeAll(old.file, bytes, at: old.end)
        let fileBytes = old.end + bytes.count
        try files.truncate(old.file, to: Int(clamping: fileBytes.value))
        return SealedSegment(
            summary: footer.summary, batchesEnd: old.end, fileBytes: fileBytes.value,
            footerChecksum: checksum)
    }
}

extension Roll.Producers {
    /// What the segment says of itself once it is sealed.
    func footer(
        of segment: ReadableSegment<Files>, _ state: ManifestState, _ view: LogView<Files>
    ) throws(WeirError) -> SegmentFooter {
        var footer = SegmentFooter(
            segmentID: segment.id, summary: try segment.summary(), logStart: state.logStart,
            configuration: state.configuration)
        switch self {
        case .known(let table): footer.producers = table.rows
        case .asBefore: footer.producers = try view.producers(upTo: segment, isIncluded: false)
        case .unread: footer.producers = try view.producers(upTo: segment, isIncluded: true)
        }
        return footer
    }
}

/// Rolls in their order, at most one of them being performed.
package final class RollQueue<Files: FileSystem>: Sendable {
    private struct State {
        var rolls: [Roll<Files>] = []
        var isPerforming = false
        var hasEnded = false
        /// Everything below was synced before the newest segment that is done was made known.
        var durableEnd = Offset.zero
        @Rare var failure: WriteFailure? = nil
    }
    private let monitor = Monitor(State())
    private let files: Files
    private let manifest: ManifestFile<Files>
    private let tenure: Tenure
    private let view: LogView<Files>

    init(
        files: Files, manifest: ManifestFile<Files>, tenure: Tenure, view: LogView<Files>
    ) {
        self.files = files
        self.manifest = manifest
        self.tenure = tenure
        self.view = view
    }

    /// What the leader looks at before each append.
    var standing: (count: Int, durableEnd: Offset, failure: WriteFailure?) {
        monitor.read { ($0.rolls.count, $0.durableEnd, $0.failure) }
    }

    func add(_ roll: Roll<Files>) { monitor.signal { $0.rolls.append(roll) } }

    /// Performs what waits, unless somebody does, until so many are left; stops at a failure. Any
    /// thread; blocks it.
    func perform(downTo countMax: Int = 0) {
        while let roll = begin(downTo: countMax) {
            do throws(WriteFailure) {
                // A process that stood still must not seal what another has recovered.
                try WriteFailure.syncing(tenure.check)
                try roll.perform(files: files, manifest: manifest, view: view)
                finish(roll, nil)
            } catch {
                return finish(roll, error)
            }
        }
    }

    private func begin(downTo countMax: Int) -> Roll<Files>? {
        monitor.signal { state in
            if case .sync? = state.failure { return nil }
            guard !state.hasEnded, !state.isPerforming, state.rolls.count > countMax,
                let roll = state.rolls.first
            else { return nil }
            state.isPerforming = true
            state.failure = nil
            return roll
        }
    }

    private func finish(_ roll: Roll<Files>, _ failure: WriteFailure?) {
        monitor.signal { state in
            state.isPerforming = false
            state.failure = failure
            guard failure == nil else { return }
            state.rolls.removeFirst()
            state.durableEnd = roll.new.entry.base
        }
    }

    /// Returns when at most `countMax` rolls are left, or one failed. Performs them itself where
    /// nobody does. Blocks the thread.
    func settle(downTo countMax: Int = 0) throws(WriteFailure) {
        perform(downTo: countMax)
        let failure = monitor.wait { state -> WriteFailure?? in
            if state.rolls.count <= countMax { return .some(nil) }
            return state.isPerforming ? nil : state.failure.map { .some($0) }
        }
        if let failure, let failure { throw failure }
    }

    /// Performs nothing more. Gives up what waits, once nobody performs any more; the files are
    /// closed.
    func abandon() throws(WeirError) {
        let left = monitor.wait { state -> [Roll<Files>]? in
            if state.isPerforming { return nil }
            state.hasEnded = true
            defer { state.rolls = [] }
            return state.rolls
        }
        for roll in left ?? [] {
            if let old = roll.old { try files.close(old.file) }
        }
    }
}

/// What failed: a write, which may be tried again, or a sync, after which nothing may.
package enum WriteFailure: Error, Sendable {
    case write(WeirError)
    case sync(WeirError)

    package var cause: WeirError {
        switch self {
        case .write(let error), .sync(let error): error
        }
    }

    package static func syncing(_ body: () throws(WeirError) -> Void) throws(WriteFailure) {
        do throws(WeirError) {
            try body()
        } catch {
            throw .sync(error)
        }
    }
}
