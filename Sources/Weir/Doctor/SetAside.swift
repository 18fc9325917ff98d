import WeirBase
import WeirFiles
import WeirFormat

/// The folder of one repair: copies of what it removes or writes over, and a list of them.
///
///     repair-20260102T030405Z/
///       CONTENTS     a line a copy: its name, the path, first byte and end, CRC-32C, why
///       1-MANIFEST
///
/// A copy is durable, and listed, before anything happens to what was copied. Made with the first
/// copy; a repair that is done again makes another.
struct SetAside<Files: FileSystem> {
    private let files: Files
    private let stem: String
    private(set) var folder: String?
    private var list: Files.File?
    private var listByteCount = 0
    private var count = 0
    private static var pieceBytes: Int { 1 << 20 }

    init(files: Files, at time: Timestamp) {
        self.files = files
        let digits = time.description.filter { $0.isNumber || $0 == "T" }
        self.stem = StoreLayout.repairPrefix + digits + "Z"
    }

    /// Copies a range of a file, or all of it.
    mutating func keep(
        _ path: String, _ range: Range<Int>? = nil, why: String
    ) throws(WeirError) {
        let folder = try openFolder()
        let source = try files.open(path, .read)
        let size = try files.size(of: source)
        let range = range?.clamped(to: 0..<size) ?? 0..<size
        count += 1
        let name = "\(count)-" + (path.split(separator: "/").last.map(String.init) ?? "file")
        let target = try files.open(folder + "/" + name, .createExclusive)
        var checksum: UInt32 = 0
        var place = range.lowerBound
        while place < range.upperBound {
            let bytes = try files.read(
                source, at: FilePosition(UInt64(place)),
                byteCount: min(Self.pieceBytes, range.upperBound - place))
            if bytes.isEmpty { break }
            try files.writeAll(
                target, bytes, at: FilePosition(UInt64(place - range.lowerBound)))
            checksum = crc32c(bytes[...], seed: checksum)
            place += bytes.count
        }
        try files.sync(target)
        try files.close(target)
        try files.close(source)
        let digits = String(checksum, radix: 16)
        try note(
            [
                name, path, "\(range.lowerBound)", "\(place)",
                String(repeating: "0", count: 8 - digits.count) + digits, why,
            ].joined(separator: "\t"))
        try files.syncDirectory(folder)
    }

    private mutating func openFolder() throws(WeirError) -> String {
        if let folder { return folder }
        var number = 1
        while true {
            let name = number == 1 ? stem : "\(stem)-\(number)"
            do throws(WeirError) {
                try files.createDirectory(name)
                try files.syncDirectory("")
                folder = name
                list = try files.open(
                    name + "/" + StoreLayout.repairListName, .createExclusive)
                return name
            } catch {
                // Two repairs within a second, or one that was interrupted.
                guard error.code == .alreadyExists, folder == nil else { throw error }
                number += 1
            }
        }
    }

    private mutating func note(_ line: String) throws(WeirError) {
        guard let list else { return }
        let bytes = Array((line + "\n").utf8)
        try files.writeAll(list, bytes, at: FilePosition(UInt64(listByteCount)))
        try files.sync(list)
        listByteCount += bytes.count
    }

    mutating func end() throws(WeirError) {
        if let list { try files.close(list) }
        list = nil
    }
}
