package import WeirBase
package import WeirFiles

/// What is asked of a file system, as faults see it.
package enum FileOperation: Sendable, Hashable {
    case open(OpenMode)
    case read, write, startWriting, sync, truncate, reserve, map
    case list, rename, remove, create, syncDirectory
}

/// What happens instead.
package enum Fault: Sendable, Hashable {
    /// Nothing is done, and this is told.
    case fails(WeirError.Code)
    /// A write takes this many bytes, at least one, and says so; a read gives no more, as if the
    /// file ended there.
    case short(Int)
}

/// A file system that goes wrong where a rule says so, and leaves the rest to another one.
///
/// Rules are functions, so they compose: `{ operation, path in first(operation, path) ?? … }`.
/// Every fault that struck is counted: a trial that never met its fault proves nothing.
package struct FaultyFileSystem<Base: FileSystem>: FileSystem {
    package typealias Rule = @Sendable (FileOperation, String) -> Fault?

    package final class File: Sendable {
        let base: Base.File
        let path: String
        init(base: Base.File, path: String) {
            self.base = base
            self.path = path
        }
    }

    private let base: Base
    private let rule: Lock<Rule>
    private let struck = Lock(0)

    package init(_ base: Base, rule: @escaping Rule = { _, _ in nil }) {
        self.base = base
        self.rule = Lock(rule)
    }

    /// How often a fault struck.
    package var hits: Int { struck.withLock { $0 } }

    /// From now on another rule holds.
    package func follow(_ next: @escaping Rule) { rule.withLock { $0 = next } }

    private func fault(_ operation: FileOperation, _ path: String) -> Fault? {
        let current = rule.withLock { $0 }
        guard let fault = current(operation, path) else { return nil }
        struck.withLock { $0 += 1 }
        return fault
    }

    private func check(_ operation: FileOperation, _ path: String) throws(WeirError) {
        guard case .fails(let code)? = fault(operation, path) else { return }
        throw failure(code, path)
    }

    private func failure(_ code: WeirError.Code, _ path: String) -> WeirError {
        WeirError(code, "Injected: \(code) at \(path)", at: .init(path: path), errno: 5)
    }

    // MARK: files

    package func open(_ path: String, _ mode: OpenMode) throws(WeirError) -> File {
        try check(.open(mode), path)
        return File(base: try base.open(path, mode), path: path)
    }

    package func close(_ file: File) throws(WeirError) { try base.close(file.base) }
    package func size(of file: File) throws(WeirError) -> Int { try base.size(of: file.base) }
    package func allocatedBytes(of file: File) throws(WeirError) -> Int {
        try base.allocatedBytes(of: file.base)
    }

    package func read(
        _ file: File, into buffer: UnsafeMutableRawBufferPointer, at position: FilePosition
    ) throws(WeirError) -> Int {
        var part = unsafe buffer
        switch fault(.read, file.path) {
        case .fails(let code)?: throw failure(code, file.path)
        case .short(let count)?:
            unsafe part = UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(count))
        case nil: break
        }
        return unsafe try base.read(file.base, into: part, at: position)
    }

    package func write(
        _ file: File, _ bytes: UnsafeRawBufferPointer, at position: FilePosition
    ) throws(WeirError) -> Int {
        switch fault(.write, file.path) {
        case .fails(let code)?: throw failure(code, file.path)
        case .short(let count)?:
            let part = unsafe UnsafeRawBufferPointer(
                rebasing: bytes.prefix(max(1, min(count, bytes.count))))
            return unsafe try base.write(file.base, part, at: position)
        case nil: return unsafe try base.write(file.base, bytes, at: position)
        }
    }

    package func sync(_ file: File) throws(WeirError) {
        try check(.sync, file.path)
        try base.sync(file.base)
    }

    package func truncate(_ file: File, to size: Int) throws(WeirError) {
        try check(.truncate, file.path)
        try base.truncate(file.base, to: size)
    }

    package func startWriting(
        _ file: File, from start: FilePosition, to end: FilePosition
    ) {
        if fault(.startWriting, file.path) != nil { return }
        base.startWriting(file.base, from: start, to: end)
    }

    package func reserve(
        _ file: File, from start: FilePosition, to end: FilePosition
    ) -> Bool {
        fault(.reserve, file.path) == nil && base.reserve(file.base, from: start, to: end)
    }

    package func dropCache(_ file: File) throws(WeirError) { try base.dropCache(file.base) }

    package func nextData(
        in file: File, from position: FilePosition
    ) throws(WeirError) -> FilePosition? {
        try base.nextData(in: file.base, from: position)
    }

    package func map(_ file: File, byteCount: Int) throws(WeirError) -> Mapping {
        try check(.map, file.path)
        return try base.map(file.base, byteCount: byteCount)
    }

    package func mapForPublishing(_ file: File, byteCount: Int) throws(WeirError) -> Mapping {
        try check(.map, file.path)
        return try base.mapForPublishing(file.base, byteCount: byteCount)
    }

    // MARK: names and locks

    package func createDirectory(_ path: String) throws(WeirError) {
        try check(.create, path)
        try base.createDirectory(path)
    }

    package func list(_ path: String) throws(WeirError) -> [String] {
        try check(.list, path)
        return try base.list(path)
    }

    package func rename(_ source: String, to target: String) throws(WeirError) {
        try check(.rename, source)
        try base.rename(source, to: target)
    }

    package func removeFile(_ path: String) throws(WeirError) {
        try check(.remove, path)
        try base.removeFile(path)
    }

    package func removeDirectory(_ path: String) throws(WeirError) {
        try check(.remove, path)
        try base.removeDirectory(path)
    }

    package func syncDirectory(_ path: String) throws(WeirError) {
        try check(.syncDirectory, path)
        try base.syncDirectory(path)
    }

    package func lock(_ file: File) throws(WeirError) -> Bool { try base.lock(file.base) }
    package func isLocked(_ file: File) throws(WeirError) -> Bool {
        try base.isLocked(file.base)
    }
}
