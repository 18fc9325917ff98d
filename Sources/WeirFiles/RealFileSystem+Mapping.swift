import CWeirSystem
package import WeirBase

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension RealFileSystem {
    package func map(_ file: File, byteCount: Int) throws(WeirError) -> Mapping {
        try map(file, byteCount: byteCount, protection: PROT_READ)
    }

    package func mapForPublishing(_ file: File, byteCount: Int) throws(WeirError) -> Mapping {
        try map(file, byteCount: byteCount, protection: PROT_READ | PROT_WRITE)
    }

    private func map(
        _ file: File, byteCount: Int, protection: Int32
    ) throws(WeirError) -> Mapping {
        precondition(byteCount > 0, "a map without bytes")
        let base = unsafe mmap(nil, byteCount, protection, MAP_SHARED, file.descriptor, 0)
        guard let base = unsafe base, unsafe base != MAP_FAILED else {
            throw SystemError.make("map", file.path, errno)
        }
        let slot = unsafe weir_guard_add(base, byteCount)
        guard slot >= 0 else {
            unsafe munmap(base, byteCount)
            throw WeirError(
                .exhausted, "\(file.path) cannot be mapped: too many files are; read it copied.",
                at: .init(path: file.path), errno: ENOMEM)
        }
        return unsafe Mapping(
            base: UnsafeRawPointer(base), byteCount: byteCount,
            operations: operations(path: file.path, slot: slot, isOwner: isOwner(file)))
    }

    private func isOwner(_ file: File) -> Bool {
        var status = stat()
        return unsafe fstat(file.descriptor, &status) == 0 && status.st_uid == geteuid()
    }

    private func operations(path: String, slot: Int32, isOwner: Bool) -> MappingOperations {
        unsafe MappingOperations(
            unmap: { base, byteCount in
                // Out of the guard's table first: the address may be another map's at once.
                weir_guard_remove(slot)
                unsafe munmap(UnsafeMutableRawPointer(mutating: base), byteCount)
            },
            populate: { (base, range, bound) throws(WeirError) in
                let start = range.lowerBound & ~(pageSize - 1)
                var seen = max(0, bound - start)
                let code = unsafe weir_populate(
                    base + start, range.upperBound - start, isOwner ? 1 : 0, &seen)
                if code != 0 {
                    throw SystemError.make(
                        "read", path, code == EFAULT ? EIO : code,
                        at: FilePosition(UInt64(range.lowerBound)))
                }
                return start + seen
            },
            isInMemory: { base, range in
                let start = range.lowerBound & ~(pageSize - 1)
                guard isOwner else { return false }
                return unsafe weir_is_in_memory(base + start, range.upperBound - start) != 0
            },
            lostPages: { _, _ in weir_guard_lost(slot) > 0 },
            publish: { base, bytes, position, wordPosition in
                let target = unsafe UnsafeMutableRawPointer(mutating: base)
                unsafe publishBytes(target + position, bytes)
                unsafe weir_futex_bump(
                    (target + wordPosition).assumingMemoryBound(to: UInt32.self))
            },
            wait: { base, value, wordPosition, milliseconds in
                unsafe weir_futex_wait(
                    (base + wordPosition).assumingMemoryBound(to: UInt32.self), value,
                    milliseconds)
            })
    }
}

/// Asked once: it cannot change while a process lives.
let pageSize = sysconf(Int32(_SC_PAGESIZE))

private func publishBytes(_ target: UnsafeMutableRawPointer, _ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress else { return }
    unsafe target.copyMemory(from: source, byteCount: bytes.count)
}
