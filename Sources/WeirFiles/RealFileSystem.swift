import CWeirSystem
package import WeirBase

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The operating system's files, beneath one root directory.
package struct RealFileSystem: FileSystem {
    /// A descriptor and the name it was opened by.
    package final class File: Sendable {
        package let descriptor: Int32
        package let path: String
        private let isOpen = Lock(true)

        init(descriptor: Int32, path: String) {
            self.descriptor = descriptor
            self.path = path
        }

        deinit {
            // Whoever forgot to close it has looked at no result either; at least nothing leaks.
            if isOpen.withLock({ $0 }) { _ = systemClose(descriptor) }
        }

        /// Does something with the descriptor that a closing waits for; nothing once it is closed.
        func whileOpen(_ body: (Int32) -> Void) {
            isOpen.withLock { if $0 { body(descriptor) } }
        }

        /// True the first time only.
        func beginClosing() -> Bool {
            isOpen.withLock { isOpen in
                defer { isOpen = false }
                return isOpen
            }
        }
    }

    /// The root; every path is resolved beneath it.
    let root: File

    /// Opens a directory as the root.
    ///
    /// With `creating`, makes it (readable by its owner only) where it is missing. Throws
    /// `notFound`, `permissionDenied`, or `invalidArgument` where something else stands there.
    package static func openRoot(
        _ path: String, creating: Bool
    ) throws(WeirError) -> RealFileSystem {
        if creating, systemMakeDirectory(AT_FDCWD, path) != 0, errno != EEXIST {
            throw SystemError.make("make the directory", path, errno)
        }
        let descriptor = systemOpen(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOTDIR {
                throw WeirError(
                    .invalidArgument, "\(path) is not a directory; expected a store's directory.",
                    at: .init(path: path), errno: ENOTDIR)
            }
            throw SystemError.make("open the directory", path, errno)
        }
        return RealFileSystem(root: File(descriptor: descriptor, path: path))
    }

    package var rootPath: String { root.path }

    func full(_ path: String) -> String {
        path.isEmpty ? root.path : root.path + (root.path.hasSuffix("/") ? "" : "/") + path
    }

    private func fail(_ action: String, _ path: String) -> WeirError {
        SystemError.make(action, full(path), errno)
    }

    package func open(_ path: String, _ mode: OpenMode) throws(WeirError) -> File {
        let flags: Int32 =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .createExclusive: O_RDWR | O_CREAT | O_EXCL
            }
        // Not blocking: a FIFO that somebody planted must not hold the open for ever.
        let descriptor = systemOpenBeneath(
            root.descriptor, path, flags | O_CLOEXEC | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else {
            throw fail(mode == .createExclusive ? "create" : "open", path)
        }
        let file = File(descriptor: descriptor, path: full(path))
        try checkKind(of: file, mode)
        return file
    }

    /// What stands at a name of the root folder: nothing is opened, and no link followed. To close
    /// a file of SQLite's lets go of all locks that this process has on it.
    package func kind(of name: String) throws(WeirError) -> FileKind {
        guard let found = LocalSocket.status(of: name, in: self) else {
            if errno == ENOENT { return .missing }
            throw SystemError.make("examine", full(name), errno)
        }
        switch found.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .directory
        default: return .other
        }
    }

    package enum FileKind: Sendable {
        case missing, file, directory
        /// Such as a link, a FIFO or a socket.
        case other
    }

    private func checkKind(of file: File, _ mode: OpenMode) throws(WeirError) {
        var status = stat()
        guard unsafe fstat(file.descriptor, &status) == 0 else {
            throw SystemError.make("examine", file.path, errno)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw WeirError(
                .permissionDenied,
                "\(file.path) is not a regular file; remove what somebody put in its place.",
                at: .init(path: file.path))
        }
        guard mode == .read || status.st_nlink == 1 else {
            throw WeirError(
                .permissionDenied,
                "\(file.path) has \(status.st_nlink) names; expected one, since a second name "
                    + "would let other programs change it. Remove the others.",
                at: .init(path: file.path))
        }
    }

    package func close(_ file: File) throws(WeirError) {
        guard file.beginClosing() else { return }
        // On Linux the descriptor is gone after EINTR as well.
        if systemClose(file.descriptor) != 0, errno != EINTR {
            throw SystemError.make("close", file.path, errno)
        }
    }

    package func size(of file: File) throws(WeirError) -> Int {
        var status = stat()
        guard unsafe fstat(file.descriptor, &status) == 0 else {
            throw SystemError.make("examine", file.path, errno)
        }
        return Int(status.st_size)
    }

    package func allocatedBytes(of file: File) throws(WeirError) -> Int {
        var status = stat()
        guard unsafe fstat(file.descriptor, &status) == 0 else {
            throw SystemError.make("examine", file.path, errno)
        }
        return Int(status.st_blocks) * 512
    }

    package func read(
        _ file: File, into buffer: UnsafeMutableRawBufferPointer, at position: FilePosition
    ) throws(WeirError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = unsafe pread(
                file.descriptor, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done,
                off_t(clamping: position.value) + off_t(done))
            if count == 0 { break }
            if count > 0 {
                done += count
            } else if errno != EINTR {
                throw SystemError.make("read", file.path, errno, at: position + done)
            }
        }
        return done
    }

    package func write(
        _ file: File, _ bytes: UnsafeRawBufferPointer, at position: FilePosition
    ) throws(WeirError) -> Int {
        while true {
            let count = unsafe pwrite(
                file.descriptor, bytes.baseAddress, bytes.count, off_t(clamping: position.value))
            if count > 0 { return count }
            if count == 0 || errno != EINTR {
                throw SystemError.make(
                    "write", file.path, count == 0 ? ENOSPC : errno, at: position)
            }
        }
    }

    package func sync(_ file: File) throws(WeirError) {
        // Never retried, not even after EINTR: what was written back and what was dropped is open.
        if systemSync(file.descriptor) != 0 { throw SystemError.make("sync", file.path, errno) }
    }

    package func startWriting(
        _ file: File, from start: FilePosition, to end: FilePosition
    ) {
        file.whileOpen {
            weir_start_writing($0, off_t(clamping: start.value), off_t(end - start))
        }
    }

    package func truncate(_ file: File, to size: Int) throws(WeirError) {
        while ftruncate(file.descriptor, off_t(size)) != 0 {
            if errno != EINTR { throw SystemError.make("cut", file.path, errno) }
        }
    }

    package func reserve(
        _ file: File, from start: FilePosition, to end: FilePosition
    ) -> Bool {
        weir_reserve(file.descriptor, off_t(clamping: start.value), off_t(end - start)) == 0
    }

    package func dropCache(_ file: File) throws(WeirError) {
        #if os(Linux)
            let code = posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED)
            if code != 0 { throw SystemError.make("drop the cache of", file.path, code) }
        #endif
    }

    package func nextData(
        in file: File, from position: FilePosition
    ) throws(WeirError) -> FilePosition? {
        #if os(Linux)
            let seekData: Int32 = 3
            let found = lseek(file.descriptor, off_t(clamping: position.value), seekData)
            if found >= 0 { return FilePosition(UInt64(found)) }
            if errno == ENXIO { return nil }
            if errno != EINVAL { throw SystemError.make("search", file.path, errno) }
        #endif
        return try size(of: file) > Int(clamping: position.value) ? position : nil
    }

    // MARK: directories

    package func createDirectory(_ path: String) throws(WeirError) {
        let (parent, name) = try parent(of: path)
        guard systemMakeDirectory(parent.descriptor, name) == 0 else {
            throw fail("make the directory", path)
        }
    }

    package func list(_ path: String) throws(WeirError) -> [String] {
        let descriptor = try directory(path)
        // `fdopendir` owns the descriptor from here on; `closedir` gives it back.
        guard let stream = unsafe fdopendir(descriptor) else {
            let code = errno
            _ = systemClose(descriptor)
            throw SystemError.make("list", full(path), code)
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        if errno != 0 { throw fail("list", path) }
        return names
    }

    package func rename(_ source: String, to target: String) throws(WeirError) {
        let (from, fromName) = try parent(of: source)
        let (to, toName) = try parent(of: target)
        guard unsafe renameat(from.descriptor, fromName, to.descriptor, toName) == 0 else {
            throw fail("rename", source)
        }
    }

    package func removeFile(_ path: String) throws(WeirError) {
        let (parent, name) = try parent(of: path)
        guard unsafe unlinkat(parent.descriptor, name, 0) == 0 else { throw fail("remove", path) }
    }

    package func removeDirectory(_ path: String) throws(WeirError) {
        let (parent, name) = try parent(of: path)
        guard unsafe unlinkat(parent.descriptor, name, AT_REMOVEDIR) == 0 else {
            throw fail("remove the directory", path)
        }
    }

    package func syncDirectory(_ path: String) throws(WeirError) {
        let descriptor = try directory(path)
        defer { _ = systemClose(descriptor) }
        if fsync(descriptor) != 0 { throw fail("sync the directory", path) }
    }

    private func directory(_ path: String) throws(WeirError) -> Int32 {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        let descriptor = systemOpenBeneath(root.descriptor, path.isEmpty ? "." : path, flags, 0)
        guard descriptor >= 0 else { throw fail("open the directory", path) }
        return descriptor
    }

    /// A path's directory, opened, and its last component.
    func parent(of path: String) throws(WeirError) -> (File, String) {
        guard let slash = path.lastIndex(of: "/") else { return (root, path) }
        let directoryPath = String(path[..<slash])
        let name = String(path[path.index(after: slash)...])
        return (File(descriptor: try directory(directoryPath), path: full(directoryPath)), name)
    }

    // MARK: locks

    package func lock(_ file: File) throws(WeirError) -> Bool {
        let outcome = weir_lock_take(file.descriptor)
        if outcome < 0 { throw SystemError.make("lock", file.path, errno) }
        return outcome == 0
    }

    package func isLocked(_ file: File) throws(WeirError) -> Bool {
        let outcome = weir_lock_query(file.descriptor)
        if outcome < 0 { throw SystemError.make("query the lock of", file.path, errno) }
        return outcome == 1
    }
}
