import WeirBase
import WeirFiles
import WeirFormat
import WeirRecovery

/// Performs the steps of a plan, by whoever holds the store's lock.
struct RepairRun<Files: FileSystem> {
    private let files: Files
    private let host: Host
    private let slots: [StreamID: (index: Int, slot: TailSlot)]
    private let isSameBoot: (Epoch?) -> Bool
    private var aside: SetAside<Files>
    /// The stream that the last step was of.
    private var repair: StreamRepair<Files>?

    init(files: Files, host: Host) throws(WeirError) {
        self.files = files
        self.host = host
        self.slots = try TailFile.read(files: files)
        self.isSameBoot = StoreEngine<Files>.bootCheck(try Self.history(files), host)
        self.aside = SetAside(files: files, at: host.now())
    }

    var folder: String? { aside.folder }

    mutating func perform(_ step: RepairStep) throws(WeirError) {
        switch step.kind {
        case .writeStoreHeader: try writeStoreHeader()
        case .writeEpochs: try writeEpochs()
        case .recoverStream: try recover(step)
        case .writeHeader, .writeFooter, .acknowledgeLoss: try mend(step)
        case .setAside:
            try aside.keep(step.path, why: "no part of the store")
            try files.removeFile(step.path)
            try files.syncDirectory(Self.folder(of: step.path))
        case .removeIndex:
            try IndexFiles.remove(but: nil, files: files)
            try files.syncDirectory("")
        }
    }

    mutating func end() throws(WeirError) { try aside.end() }

    // MARK: the store's own files

    /// Whose store it is, the file `tail` still says, as a rule: then the index stays good.
    private mutating func writeStoreHeader() throws(WeirError) {
        var id = StoreID(host.random())
        let start = TailSlot.header(StoreID(0)).prefix(8)
        if try files.list("").contains(StoreLayout.tail) {
            let bytes = try read(StoreLayout.tail, byteCount: 16)
            if bytes.starts(with: start), bytes.count == 16 {
                id = StoreID(bytes[8..<16].reversed().reduce(0) { $0 << 8 | UInt64($1) })
            }
        }
        let header = StoreHeader(storeID: id, creationTime: host.now())
        try replace(StoreLayout.header, with: header.encode(), why: "the file WEIR did not hold")
    }

    private mutating func writeEpochs() throws(WeirError) {
        let history = try Self.history(files)
        var records = history.records
        let named = try highestEpoch()
        if records.allSatisfy({ $0.epoch < max(named, history.last) }) {
            // What it said of the newest opening is lost but for its number.
            records.append(
                EpochRecord(
                    kind: .opened, epoch: max(named, history.last), bootID: .unknown,
                    time: host.now()))
        }
        var bytes: [UInt8] = []
        var previous: UInt32 = 0
        for record in records {
            let (encoded, checksum) = record.encode(previous: previous)
            bytes += encoded
            previous = checksum
        }
        try replace(StoreLayout.epochs, with: bytes, why: "records of EPOCHS did not hold")
    }

    /// The newest epoch that any manifest names.
    private func highestEpoch() throws(WeirError) -> Epoch {
        var highest = Epoch(0)
        for name in try files.list(StoreLayout.streams) {
            guard let id = StreamID(hexadecimal: name) else { continue }
            let directory = try StreamDirectory.list(id, files: files)
            guard
                let state = try ManifestLoader.load(directory, files: files, settling: false)?.state
            else { continue }
            highest = max(highest, state.lastOpening ?? Epoch(0))
            for entry in state.segments { highest = max(highest, entry.epoch) }
        }
        return highest
    }

    private mutating func replace(
        _ path: String, with bytes: [UInt8], why: String
    ) throws(WeirError) {
        if try files.list("").contains(path) { try aside.keep(path, why: why) }
        try files.close(try files.replace(path, with: bytes, beside: path + ".new", in: ""))
    }

    // MARK: streams

    private mutating func recover(_ step: RepairStep) throws(WeirError) {
        guard let id = Self.stream(of: step.path + "/" + StoreLayout.manifestName) else { return }
        let directory = try StreamDirectory.list(id, files: files)
        if directory.hasManifest {
            try aside.keep(StoreLayout.manifest(id), why: "before the stream is put in order")
        }
        repair = try StreamRepair(
            id, files: files, tail: slots[id]?.slot, isSameBoot: isSameBoot)
    }

    private mutating func mend(_ step: RepairStep) throws(WeirError) {
        guard let (stream, name) = StoreLayout.parse(streamPath: step.path),
            let segment = StoreLayout.parse(segmentName: name)?.id
        else { return }
        if repair?.state.streamID != stream {
            repair = try StreamRepair(
                stream, files: files, tail: slots[stream]?.slot, isSameBoot: isSameBoot)
        }
        guard let entry = repair?.state.segments.first(where: { $0.id == segment }) else { return }
        switch step.kind {
        case .writeHeader:
            try aside.keep(step.path, 0..<SegmentHeader.alignment, why: "a damaged header")
            try repair?.writeHeader(of: segment)
        case .writeFooter:
            let start = Int(clamping: entry.sealed?.batchesEnd.value ?? 0)
            try aside.keep(step.path, start..<Int.max, why: "a damaged footer")
            try repair?.writeFooter(of: segment)
        default: try repair?.acknowledgeLoss(of: segment)
        }
    }

    private static func stream(of path: String) -> StreamID? {
        StoreLayout.parse(streamPath: path)?.stream
    }

    private static func folder(of path: String) -> String {
        path.split(separator: "/").dropLast().joined(separator: "/")
    }

    // MARK: files

    private static func history(_ files: Files) throws(WeirError) -> EpochRecord.History {
        do throws(WeirError) {
            let file = try files.open(StoreLayout.epochs, .read)
            let bytes = try files.read(file, at: .zero, byteCount: try files.size(of: file))
            try files.close(file)
            return EpochRecord.decodeAll(bytes)
        } catch {
            guard error.code == .notFound else { throw error }
            return EpochRecord.decodeAll([])
        }
    }

    private func read(_ path: String, byteCount: Int) throws(WeirError) -> [UInt8] {
        let file = try files.open(path, .read)
        let bytes = try files.read(file, at: .zero, byteCount: byteCount)
        try files.close(file)
        return bytes
    }
}
