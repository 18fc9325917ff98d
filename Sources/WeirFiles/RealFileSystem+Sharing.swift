import CWeirSystem
package import WeirBase

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Files that have their bytes from others, for those who keep copies.
extension RealFileSystem {
    package func clone(_ source: File, into target: File) -> Bool {
        weir_clone(source.descriptor, target.descriptor) == 0
    }

    package func link(
        _ source: String, of other: RealFileSystem, as target: String
    ) throws(WeirError) -> Bool {
        let (from, fromName) = try other.parent(of: source)
        let (to, toName) = try parent(of: target)
        if unsafe linkat(from.descriptor, fromName, to.descriptor, toName, 0) == 0 { return true }
        switch errno {
        // Another device, a file system without links, somebody else's file, or too many names.
        case EXDEV, EPERM, EOPNOTSUPP, EMLINK: return false
        case ENOENT: throw SystemError.make("link", other.full(source), ENOENT)
        default: throw SystemError.make("link", full(target), errno)
        }
    }
}
