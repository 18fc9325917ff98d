import CWeirSystem
package import WeirBase

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Sockets in a store's directory: the only place that makes their system calls.
///
/// An address holds 107 bytes, and a store's path may be longer: on Linux the socket is reached
/// through the directory's open descriptor, which is short, and means the same directory whatever
/// happens to its name.
package enum LocalSocket {
    /// Serves at a name in the root directory, readable and writable by its owner only.
    ///
    /// A socket that a dead process left there is removed, so the caller holds the store's lock.
    /// Throws `alreadyExists` where something else has the name; that is left alone.
    package static func listen(
        _ name: String, in files: RealFileSystem
    ) throws(WeirError) -> LocalListener {
        try removeStale(name, in: files)
        let socket = LocalConnection(descriptor: try make(files.full(name)))
        var ends: [Int32] = [-1, -1]
        guard unsafe weir_pipe(&ends) == 0 else {
            throw SystemError.make("make a pipe for", files.full(name), errno)
        }
        let (waiting, waking) = (awayFromStandard(ends[0]), awayFromStandard(ends[1]))
        let wake = (LocalConnection(descriptor: waiting), LocalConnection(descriptor: waking))
        guard waiting >= 0, waking >= 0 else {
            throw SystemError.make("make a pipe for", files.full(name), errno)
        }
        let bound = addressed(name, in: files) { path in
            unsafe weir_socket_bind(socket.descriptor, path)
        }
        guard bound == 0 else {
            throw SystemError.make("make the socket", files.full(name), errno)
        }
        // Nobody can connect before `listen`, so nobody meets it with other permissions.
        guard unsafe fchmodat(files.root.descriptor, name, 0o600, 0) == 0,
            weir_socket_listen(socket.descriptor) == 0,
            let identity = status(of: name, in: files).map({ Identity($0) })
        else {
            let error = SystemError.make("serve at", files.full(name), errno)
            try files.removeFile(name)
            throw error
        }
        return LocalListener(
            files: files, name: name, socket: socket, wake: wake, identity: identity)
    }

    /// Throws `notFound` where nothing is there or nobody serves, `permissionDenied`,
    /// `invalidArgument` where something else has the name, and `wouldBlock` where too many ask.
    package static func connect(
        _ name: String, in files: RealFileSystem
    ) throws(WeirError) -> LocalConnection {
        let path = files.full(name)
        guard let found = status(of: name, in: files) else {
            throw SystemError.make("find the socket", path, errno)
        }
        guard found.st_mode & S_IFMT == S_IFSOCK else {
            throw WeirError(
                .invalidArgument,
                "\(path) is not a socket; remove what somebody put in its place, and open the "
                    + "store for writing again.", at: .init(path: path))
        }
        let connection = LocalConnection(descriptor: try make(path))
        let connected = addressed(name, in: files) { path in
            unsafe weir_socket_connect(connection.descriptor, path)
        }
        guard connected == 0 else { throw refusal(path, errno) }
        // Root may look at anybody's store, and is answered by whoever writes it.
        if geteuid() != 0 { try connection.expectSameUser(path) }
        return connection
    }

    private static func refusal(_ path: String, _ code: Int32) -> WeirError {
        switch code {
        case ECONNREFUSED:
            WeirError(
                .notFound, "Nobody serves at \(path); start the program that writes to the store.",
                at: .init(path: path), errno: code)
        case EAGAIN:
            WeirError(
                .wouldBlock, "Too many processes ask at \(path) already; ask again.",
                at: .init(path: path), errno: code)
        default: SystemError.make("connect to", path, code)
        }
    }

    private static func make(_ path: String) throws(WeirError) -> Int32 {
        let descriptor = awayFromStandard(weir_socket_make())
        guard descriptor >= 0 else { throw SystemError.make("make the socket", path, errno) }
        return descriptor
    }

    private static func removeStale(
        _ name: String, in files: RealFileSystem
    ) throws(WeirError) {
        guard let found = status(of: name, in: files) else {
            if errno == ENOENT { return }
            throw SystemError.make("examine", files.full(name), errno)
        }
        guard found.st_mode & S_IFMT == S_IFSOCK else {
            throw WeirError(
                .alreadyExists,
                "\(files.full(name)) is not a socket, and is left alone; remove it, and open the "
                    + "store again.", at: .init(path: files.full(name)))
        }
        try files.removeFile(name)
    }

    /// Of the name itself, were it a link; `nil` leaves `errno`.
    static func status(of name: String, in files: RealFileSystem) -> stat? {
        var found = stat()
        let code = unsafe fstatat(files.root.descriptor, name, &found, AT_SYMLINK_NOFOLLOW)
        return code == 0 ? found : nil
    }

    /// Calls with a path that reaches the name; the last call's result, and its `errno`.
    private static func addressed(
        _ name: String, in files: RealFileSystem, _ call: (String) -> Int32
    ) -> Int32 {
        #if os(Linux)
            let code = call("/proc/self/fd/\(files.root.descriptor)/\(name)")
            // ENOENT and ENOTDIR: a place without /proc.
            if code == 0 || errno != ENOENT && errno != ENOTDIR { return code }
        #endif
        return call(files.full(name))
    }

    /// Which file a name meant.
    struct Identity: Equatable {
        let device: UInt64
        let number: UInt64

        init(_ status: stat) {
            device = UInt64(truncatingIfNeeded: status.st_dev)
            number = UInt64(truncatingIfNeeded: status.st_ino)
        }
    }
}

/// A socket at which others ask. One thread accepts; `wake` is for any.
package final class LocalListener: Sendable {
    package var path: String { files.full(name) }
    private let files: RealFileSystem
    private let name: String
    private let socket: LocalConnection
    private let wakeEnds: (waiting: LocalConnection, waking: LocalConnection)
    private let identity: LocalSocket.Identity

    init(
        files: RealFileSystem, name: String, socket: LocalConnection,
        wake: (LocalConnection, LocalConnection), identity: LocalSocket.Identity
    ) {
        self.files = files
        self.name = name
        self.socket = socket
        self.wakeEnds = wake
        self.identity = identity
    }

    /// Waits for the next who connects, whoever it is; `nil` once somebody called `wake`. Throws
    /// `exhausted` and `system`, after which it may be called again.
    package func accept() throws(WeirError) -> LocalConnection? {
        while true {
            var waits = [
                pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeEnds.waiting.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            if unsafe poll(&waits, 2, -1) < 0 {
                if errno == EINTR { continue }
                throw SystemError.make("wait at", files.full(name), errno)
            }
            if waits[1].revents != 0 { return nil }
            let descriptor = awayFromStandard(weir_socket_accept(socket.descriptor))
            if descriptor < 0 {
                // Who connected may be gone again.
                if [EINTR, EAGAIN, ECONNABORTED].contains(errno) { continue }
                throw SystemError.make("accept at", files.full(name), errno)
            }
            return LocalConnection(descriptor: descriptor)
        }
    }

    /// Ends `accept`, now and for good.
    package func wake() { wakeEnds.waking.nudge() }

    /// Takes the socket's name away, if it still means this socket, and closes it.
    package func close() throws(WeirError) {
        socket.close()
        // In this order: a nudge into a pipe that nobody reads would be a signal.
        wakeEnds.waking.close()
        wakeEnds.waiting.close()
        let found = LocalSocket.status(of: name, in: files).map { LocalSocket.Identity($0) }
        if found == identity { try files.removeFile(name) }
    }
}
