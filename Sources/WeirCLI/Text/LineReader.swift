import Foundation
import Weir

/// The bytes of a file or pipe, a chunk at a time; knows whether the next read would wait.
final class InputSource {
    private let descriptor: Int32
    private let name: String
    private var chunk: [UInt8]
    private var position = 0
    private var end = 0
    private(set) var bytesRead = 0
    private var isEnded = false
    /// Called before a read that may wait long: what is half full goes now.
    var onPause: () throws -> Void = {}
    private static let pauseMilliseconds: Int32 = 10

    /// Standard input for `-` or nothing. Throws `notFound`, `permissionDenied`, `invalidArgument`
    /// for a directory.
    init(path: String?, chunkBytes: Int = 256 << 10) throws(WeirError) {
        chunk = [UInt8](repeating: 0, count: chunkBytes)
        guard let path, path != "-" else {
            descriptor = 0
            name = "standard input"
            return
        }
        guard !isDirectory(path) else {
            throw WeirError(
                .invalidArgument,
                "The input \(path) is a directory; give a file, or - for standard input.")
        }
        let opened = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard opened >= 0 else {
            throw WeirError(
                errno == ENOENT ? .notFound : .permissionDenied,
                "The input \(path) cannot be opened: \(systemMessage()); give a "
                    + "file that can be read, or - for standard input.", errno: errno)
        }
        descriptor = opened
        name = path
    }

    deinit { if descriptor != 0 { close(descriptor) } }

    /// How many bytes there will be, if that can be known.
    var totalBytes: Int? {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return nil
        }
        return Int(status.st_size)
    }

    /// The next byte without taking it; `nil` at the end of the input.
    func peek() throws -> UInt8? {
        if position == end { try fill() }
        return position < end ? chunk[position] : nil
    }

    /// Up to so many of the next bytes without taking them; fewer only at the end of the input.
    func peek(upTo count: Int) throws -> ArraySlice<UInt8> {
        if position + count > chunk.count {
            chunk.removeSubrange(..<position)
            end -= position
            position = 0
            chunk += repeatElement(0, count: max(0, max(count, 1) - chunk.count))
        }
        while end - position < count, !isEnded { try fill() }
        return chunk[position..<min(end, position + count)]
    }

    /// Whether these bytes come next. Takes none, and waits for none behind the first that differs.
    func begins(with bytes: [UInt8]) throws -> Bool {
        for count in bytes.indices.map({ $0 + 1 })
        where try !peek(upTo: count).elementsEqual(bytes.prefix(count)) { return false }
        return true
    }

    func skip() { position += 1 }

    /// Whether the last byte that was taken ended a line.
    var endsLine: Bool { position > 0 && chunk[position - 1] == 10 }

    /// Of the bytes read, those that were taken.
    var bytesTaken: Int { bytesRead - (end - position) }

    /// What is there, at least a byte; `nil` at the end of the input.
    func piece() throws -> [UInt8]? {
        if position == end { try fill() }
        defer { position = end }
        return position < end ? Array(chunk[position..<end]) : nil
    }

    /// Moves bytes up to a delimiter, which stays, to `target`; `false` at the end of the input.
    func take(until delimiter: UInt8, into target: inout [UInt8], limit: Int) throws -> Bool {
        while true {
            if position == end {
                try fill()
                if position == end { return false }
            }
            let found = chunk[position..<end].firstIndex(of: delimiter)
            let stop = found ?? end
            if target.count + stop - position <= limit {
                target += chunk[position..<stop]
            } else if target.count <= limit {
                // One more than the limit says that it was passed; the rest is not kept.
                target += repeatElement(0, count: limit + 1 - target.count)
            }
            position = stop
            if found != nil { return true }
        }
    }

    /// Reads more, behind what was not taken yet.
    private func fill() throws {
        if isEnded { return }
        try awaitData()
        if position == end { (position, end) = (0, 0) }
        let count = unsafe chunk.withUnsafeMutableBytes { bytes in
            unsafe read(descriptor, bytes.baseAddress.map { unsafe $0 + end }, bytes.count - end)
        }
        if count < 0 {
            if errno == EINTR { return try fill() }
            throw WeirError(
                .system,
                "Reading \(name) failed: \(systemMessage()); give a file that can be read, or - "
                    + "for standard input.",
                errno: errno)
        }
        isEnded = count == 0
        end += count
        bytesRead += count
    }

    private func awaitData() throws {
        if Interrupt.isRequested { throw ExitRequest(status: ExitStatus.interrupted) }
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        if unsafe poll(&waiting, 1, Self.pauseMilliseconds) == 0 {
            try onPause()
            // Woken by data, the end, or a signal.
            while unsafe poll(&waiting, 1, 200) == 0 {
                if Interrupt.isRequested { throw ExitRequest(status: ExitStatus.interrupted) }
            }
        }
        if Interrupt.isRequested { throw ExitRequest(status: ExitStatus.interrupted) }
    }
}

/// Lines of an input, numbered from 1; the last needs no line feed.
struct LineReader {
    let source: InputSource
    private(set) var number = 0
    private let limit: Int

    init(_ source: InputSource, limit: Int = Limits.recordBytesMax) {
        self.source = source
        self.limit = limit
    }

    mutating func next() throws -> [UInt8]? {
        var line: [UInt8] = []
        number += 1
        let isEnded = try source.take(until: 10, into: &line, limit: limit)
        if isEnded { source.skip() }
        guard isEnded || !line.isEmpty else { return nil }
        if line.count > limit {
            throw malformed(number, "it has more than \(limit) bytes.")
        }
        return line
    }
}

func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// What the system says of the last failed call.
func systemMessage() -> String { unsafe String(cString: strerror(errno)) }
