package import WeirBase

/// The seam between Weir and the operating system: everything that Weir asks of files, on a page.
///
/// An instance is bound to one root directory (a store). Every path is relative to it, has
/// components of `[A-Za-z0-9._-]` separated by `/`, and is resolved beneath the root without
/// following symbolic links. A regular file is expected wherever a file is opened.
///
/// Every operation throws `WeirError` with the path in its place and the system's error number.
/// `EINTR` never reaches the caller. What each leaves behind after power loss is said with it; what
/// is not said may be lost. `checkFileSystem` in `WeirTesting` holds these laws as a checker that
/// runs on the real, the crashing and the faulty implementation.
package protocol FileSystem: Sendable {
    /// An open file. Ended by `close`; any number of threads may use it at once.
    associatedtype File: AnyObject & Sendable

    /// Opens a file. `createExclusive` throws `alreadyExists` where there is one; the new name
    /// survives power loss only after `syncDirectory`.
    func open(_ path: String, _ mode: OpenMode) throws(WeirError) -> File
    func close(_ file: File) throws(WeirError)

    func size(of file: File) throws(WeirError) -> Int
    /// Bytes that the file occupies on the medium, holes left out.
    func allocatedBytes(of file: File) throws(WeirError) -> Int

    /// Reads up to the buffer's length; fewer bytes only at the end of the file, zero beyond it.
    func read(
        _ file: File, into buffer: UnsafeMutableRawBufferPointer, at position: FilePosition
    ) throws(WeirError) -> Int
    /// Writes at least one byte, perhaps fewer than asked for; `writeAll` goes on to the end.
    /// Nothing of it is durable before `sync`; a crash leaves any mixture of old and new bytes in
    /// the written range, and only there.
    func write(
        _ file: File, _ bytes: UnsafeRawBufferPointer, at position: FilePosition
    ) throws(WeirError) -> Int
    /// When it returns, every earlier write to this file and the file's size are durable. When it
    /// throws, any of them may be lost, whatever a later call says.
    func sync(_ file: File) throws(WeirError)
    /// Has the system begin to write a range to the medium, so that a later `sync` finds less to
    /// do. Promises nothing, and hides no error from `sync`. May wait for the medium.
    func startWriting(_ file: File, from start: FilePosition, to end: FilePosition)
    /// Sets the file's size; bytes that are added read as zero.
    func truncate(_ file: File, to size: Int) throws(WeirError)
    /// Sets room aside, so that writes there need not look for it: neither the size nor any byte
    /// changes. `false` where there is not so much, or the file system cannot; then nothing is
    /// different. Room behind the size goes back with `truncate`.
    func reserve(_ file: File, from start: FilePosition, to end: FilePosition) -> Bool
    /// Makes the next reads come from the medium, as far as the kernel lets itself be told.
    func dropCache(_ file: File) throws(WeirError)
    /// The first position from `position` on that may hold data; `nil` if there is none. Where
    /// holes cannot be told, `position` itself.
    func nextData(in file: File, from position: FilePosition) throws(WeirError) -> FilePosition?

    /// Maps `byteCount` bytes from the file's start for reading; they may reach beyond its end,
    /// and nobody reads there. Later writes to the file show in the map.
    func map(_ file: File, byteCount: Int) throws(WeirError) -> Mapping
    /// Maps a whole file for reading and `publish`.
    func mapForPublishing(_ file: File, byteCount: Int) throws(WeirError) -> Mapping

    /// Throws `alreadyExists` where there is one. Durable after `syncDirectory` of its parent.
    func createDirectory(_ path: String) throws(WeirError)
    /// The names in a directory, in no order.
    func list(_ path: String) throws(WeirError) -> [String]
    /// Replaces the target if there is one, in one step; which of the two names survives power
    /// loss is open until `syncDirectory` of both parents.
    func rename(_ source: String, to target: String) throws(WeirError)
    /// Lets `target`, an empty file beneath this or another root, have the bytes of `source` and
    /// writes none: the two share blocks until one is changed. `false` where the system cannot;
    /// then nothing is different. Durable after `sync` of the target.
    func clone(_ source: File, into target: File) -> Bool
    /// Gives a file of another root a second name here. `false` where the system cannot, as between
    /// two devices. Durable after `syncDirectory` of its parent.
    func link(_ source: String, of other: Self, as target: String) throws(WeirError) -> Bool
    func removeFile(_ path: String) throws(WeirError)
    func removeDirectory(_ path: String) throws(WeirError)
    /// When it returns, every earlier creation, renaming and removal in this directory is durable.
    /// The root is `""`.
    func syncDirectory(_ path: String) throws(WeirError)

    /// Takes the lock of a file for as long as it is open; `false` if somebody holds it, another
    /// opening in this process among them. The kernel drops it when the process dies.
    func lock(_ file: File) throws(WeirError) -> Bool
    /// Whether somebody holds it; takes nothing.
    func isLocked(_ file: File) throws(WeirError) -> Bool
}

package enum OpenMode: Sendable, Hashable {
    case read
    case readWrite
    case createExclusive
}

/// What few systems can do, and nobody relies on.
extension FileSystem {
    package func clone(_ source: File, into target: File) -> Bool { false }
    package func link(
        _ source: String, of other: Self, as target: String
    ) throws(WeirError) -> Bool { false }
}

extension FileSystem {
    /// Writes every byte, or throws; then any part of the range may have been written.
    package func writeAll(
        _ file: File, _ bytes: UnsafeRawBufferPointer, at position: FilePosition
    ) throws(WeirError) {
        var written = 0
        while written < bytes.count {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[written...])
            let count = unsafe try write(file, rest, at: position + written)
            precondition(count > 0 && count <= rest.count, "a write said it wrote \(count) bytes")
            written += count
        }
    }

    /// Before a file that an earlier process wrote is believed: what is only in the cache goes to
    /// the medium, and what is read afterwards comes from there. Without the first, a record could
    /// vanish from under the next one; without the second, pages that a failed sync left clean
    /// would be taken for written.
    package func settle(_ file: File) throws(WeirError) {
        try sync(file)
        try dropCache(file)
    }

    package func writeAll(
        _ file: File, _ bytes: [UInt8], at position: FilePosition
    ) throws(WeirError) {
        // `withUnsafeBytes` cannot throw a typed error in its closure's place: carry the result.
        let result: Result<Void, WeirError> = unsafe bytes.withUnsafeBytes { buffer in
            do throws(WeirError) {
                return .success(unsafe try writeAll(file, buffer, at: position))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// Puts a file in the place of another: written beside it, synced and renamed, so that
    /// whichever survives a crash is whole. Gives the new file, open for writing.
    package func replace(
        _ path: String, with bytes: [UInt8], beside newPath: String, in directory: String
    ) throws(WeirError) -> File {
        do throws(WeirError) {
            // What an earlier try left.
            try removeFile(newPath)
        } catch {
            if error.code != .notFound { throw error }
        }
        let file = try open(newPath, .createExclusive)
        try writeAll(file, bytes, at: .zero)
        try sync(file)
        try rename(newPath, to: path)
        try syncDirectory(directory)
        return file
    }

    /// Fills a range with zeros, in pieces.
    package func writeZeros(
        _ file: File, from start: FilePosition, to end: FilePosition
    ) throws(WeirError) {
        let zeros = [UInt8](repeating: 0, count: min(end - start, 1 << 20))
        var position = start
        while position < end {
            let count = min(zeros.count, end - position)
            try writeAll(file, count == zeros.count ? zeros : Array(zeros[..<count]), at: position)
            position = position + count
        }
    }

    /// Behind the last byte that is not in a hole at the file's end; costs a few questions.
    package func dataEnd(of file: File) throws(WeirError) -> Int {
        let size = try size(of: file)
        let block = 4096
        // The number of blocks before the hole, by halves: everything behind it has no data.
        var low = 0
        var high = (size + block - 1) / block
        if high > 0, try nextData(in: file, from: FilePosition(UInt64((high - 1) * block))) != nil {
            return size
        }
        while low < high {
            let middle = (low + high) / 2
            let hasData = try nextData(in: file, from: FilePosition(UInt64(middle * block))) != nil
            if hasData { low = middle + 1 } else { high = middle }
        }
        return min(size, low * block)
    }

    /// The bytes of a range, fewer where the file ends.
    package func read(
        _ file: File, at position: FilePosition, byteCount: Int
    ) throws(WeirError) -> [UInt8] {
        var failure: WeirError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            do throws(WeirError) {
                count = unsafe try read(
                    file, into: UnsafeMutableRawBufferPointer(buffer), at: position)
            } catch {
                count = 0
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }
}
