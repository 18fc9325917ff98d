import CWeirSystem
package import WeirBase

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// One side of a local socket. One thread reads and writes; `shutDown` is for any.
package final class LocalConnection: Sendable {
    package let descriptor: Int32
    private let isOpen = Lock(true)
    /// Bytes behind the last line that was given.
    private let rest = Lock<[UInt8]>([])

    init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close() }

    /// What became of waiting for a line.
    package enum LineOutcome: Sendable, Equatable {
        /// Without its line feed. The last one of a connection needs none.
        case line([UInt8])
        /// The other side closed, or `shutDown` was called.
        case end
        /// More bytes than the limit, and no line feed.
        case tooLong
        /// The time is over.
        case late
    }

    /// Waits for a whole line. The time is for all of it: a byte now and then is late too.
    package func readLine(
        byteLimit: Int, milliseconds: Int
    ) throws(WeirError) -> LineOutcome {
        let deadline = ContinuousClock.now + .milliseconds(milliseconds)
        var line = rest.withLock { rest in
            defer { rest = [] }
            return rest
        }
        var searched = 0
        while true {
            if let feed = line[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                guard feed <= byteLimit else { return .tooLong }
                rest.withLock { $0 = Array(line[(feed + 1)...]) }
                line.removeSubrange(feed...)
                return .line(line)
            }
            searched = line.count
            guard line.count <= byteLimit else { return .tooLong }
            guard try waits(for: POLLIN, until: deadline) else { return .late }
            if try receive(into: &line) { continue }
            return line.isEmpty ? .end : .line(line)
        }
    }

    /// Appends what there is, perhaps nothing; `false` at the end.
    private func receive(into line: inout [UInt8]) throws(WeirError) -> Bool {
        var chunk = [UInt8](repeating: 0, count: Self.chunkBytes)
        let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
        if count >= 0 {
            line += chunk[..<count]
            return count > 0
        }
        switch errno {
        case EINTR, EAGAIN: return true
        // The other side went away without reading: there is nothing more to come.
        case ECONNRESET: return false
        default: throw SystemError.make("read from", "a local socket", errno)
        }
    }

    private static let chunkBytes = 64 << 10

    /// Sends everything; `false` if the other side closed, or took too little in the time.
    package func writeAll(_ bytes: [UInt8], milliseconds: Int) throws(WeirError) -> Bool {
        let deadline = ContinuousClock.now + .milliseconds(milliseconds)
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { bytes in
                unsafe weir_socket_send(
                    descriptor, bytes.baseAddress.map { unsafe $0 + sent }, bytes.count - sent)
            }
            if count > 0 {
                sent += count
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: guard try waits(for: POLLOUT, until: deadline) else { return false }
            case EPIPE, ECONNRESET: return false
            default: throw SystemError.make("write to", "a local socket", errno)
            }
        }
        return true
    }

    /// Whether it became ready in time.
    private func waits(
        for event: Int32, until deadline: ContinuousClock.Instant
    ) throws(WeirError) -> Bool {
        while true {
            let left = (deadline - .now) / .milliseconds(1)
            guard left > 0 else { return false }
            var wait = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            let count = unsafe poll(&wait, 1, Int32(min(left.rounded(.up), 1_000_000)))
            if count > 0 { return true }
            if count < 0, errno != EINTR {
                throw SystemError.make("wait for", "a local socket", errno)
            }
        }
    }

    /// Throws `permissionDenied` unless this user or root is on the other side.
    package func expectSameUser(_ path: String) throws(WeirError) {
        var user = uid_t.max
        guard unsafe weir_socket_peer(descriptor, &user) == 0 else {
            throw SystemError.make("see who is behind", path, errno)
        }
        guard user == geteuid() || user == 0 else {
            throw WeirError(
                .permissionDenied,
                "User \(user) is on the other side; expected user \(geteuid()) or root. Run as the "
                    + "store's owner.", at: .init(path: path))
        }
    }

    /// One byte, so that whoever waits for the other end of a pipe sees it. Many nudges are one.
    func nudge() {
        // A pipe that is full has been nudged.
        isOpen.withLock { isOpen in
            if isOpen { _ = unsafe write(descriptor, [1], 1) }
        }
    }

    /// Ends reading and writing on both sides. The lock is held over the call, which does not
    /// wait: otherwise the number might be another file's by then.
    package func shutDown() {
        isOpen.withLock { isOpen in
            if isOpen { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    /// Nothing is lost by a failure of this: what was sent is the kernel's.
    package func close() {
        let wasOpen = isOpen.withLock { isOpen in
            defer { isOpen = false }
            return isOpen
        }
        if wasOpen, descriptor >= 0 { _ = systemClose(descriptor) }
    }
}
