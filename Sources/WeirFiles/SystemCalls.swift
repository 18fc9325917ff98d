import CWeirSystem
import WeirBase

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Calls that need a retry, a fallback or another name on some systems. Each returns what the
/// system returned and leaves `errno`.

func systemOpen(_ directory: Int32, _ path: String, _ flags: Int32, _ mode: mode_t = 0) -> Int32 {
    while true {
        let descriptor = unsafe openat(directory, path, flags, mode)
        if descriptor >= 0 || errno != EINTR { return awayFromStandard(descriptor) }
    }
}

/// Where standard input, output or error is closed, the next file gets its number, and whoever
/// prints a word then prints it into a store. (SQLite learned this the hard way too.)
func awayFromStandard(_ descriptor: Int32) -> Int32 {
    guard (0...2).contains(descriptor) else { return descriptor }
    let moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    let code = errno
    _ = systemClose(descriptor)
    errno = code
    return moved
}

/// Resolves beneath `directory` and follows no link; component by component where the kernel, or a
/// container's filter, has no `openat2`.
func systemOpenBeneath(
    _ directory: Int32, _ path: String, _ flags: Int32, _ mode: mode_t
) -> Int32 {
    while true {
        let descriptor = unsafe weir_openat2_beneath(directory, path, flags, mode)
        if descriptor >= 0 { return awayFromStandard(descriptor) }
        if errno == ENOSYS || errno == EPERM { break }
        if errno != EINTR && errno != EAGAIN { return -1 }
    }
    return openByComponents(directory, path, flags, mode)
}

private func openByComponents(
    _ directory: Int32, _ path: String, _ flags: Int32, _ mode: mode_t
) -> Int32 {
    let components = path.split(separator: "/").map(String.init)
    guard !components.contains("..") else {
        errno = EXDEV
        return -1
    }
    var current = directory
    for (index, component) in components.enumerated() {
        let isLast = index == components.count - 1
        let wanted = isLast ? flags : O_RDONLY | O_DIRECTORY | O_CLOEXEC
        let next = systemOpen(current, component, wanted | O_NOFOLLOW, mode)
        let code = errno
        if current != directory { _ = systemClose(current) }
        errno = code
        if next < 0 { return -1 }
        current = next
    }
    return current
}

func systemClose(_ descriptor: Int32) -> Int32 { close(descriptor) }

func systemMakeDirectory(_ directory: Int32, _ path: String) -> Int32 {
    unsafe mkdirat(directory, path, 0o700)
}

func systemSync(_ descriptor: Int32) -> Int32 {
    #if os(Linux)
        return fdatasync(descriptor)
    #else
        // There `fsync` leaves bytes in the drive's cache; this does not.
        return fcntl(descriptor, F_FULLFSYNC)
    #endif
}

/// What the system said, as an error for a person.
enum SystemError {
    static func make(
        _ action: String, _ path: String, _ code: Int32, at position: FilePosition? = nil
    ) -> WeirError {
        let said = unsafe String(cString: strerror(code))
        return WeirError(
            kind(code), "Weir could not \(action) \(path)\(advice(code))",
            at: position.map { .init(path: path, position: $0) } ?? .init(path: path),
            cause: said, errno: code)
    }

    private static func kind(_ code: Int32) -> WeirError.Code {
        switch code {
        case ENOENT: .notFound
        case EEXIST: .alreadyExists
        case EACCES, EPERM, EROFS, ELOOP, EXDEV: .permissionDenied
        case ENOSPC, EDQUOT, EFBIG: .noSpace
        case EMFILE, ENFILE, ENOMEM: .exhausted
        default: .system
        }
    }

    private static func advice(_ code: Int32) -> String {
        switch code {
        case ENOENT: "; check the path"
        case EACCES, EPERM: "; give this user the permission, or run as the store's owner"
        case EROFS: "; the file system may only be read"
        case ELOOP, EXDEV: "; a symbolic link or a path that leaves the store is not followed"
        case ENOSPC, EDQUOT: "; make room on the disk and try again"
        case EFBIG: "; the file would be larger than the system allows"
        case EMFILE, ENFILE: "; raise the limit of open files (ulimit -n)"
        default: ""
        }
    }
}
