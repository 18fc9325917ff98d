package import WeirBase
package import WeirFiles

/// Holds the laws of `FileSystem` on an implementation whose root is empty; the broken ones, each
/// a sentence. It leaves the root as it found it, and knows nothing of what a crash does.
package func checkFileSystem<Files: FileSystem>(_ files: Files) throws(WeirError) -> [String] {
    var laws = FileSystemLaws(files: files)
    try laws.checkNames()
    try laws.checkBytes()
    try laws.checkSizes()
    try laws.checkMaps()
    try laws.checkDirectories()
    try laws.checkLocks()
    try laws.checkSharing()
    let left = try files.list("")
    laws.require(left.isEmpty, "what was removed is listed no more; \(left) is")
    return laws.broken
}

private struct FileSystemLaws<Files: FileSystem> {
    let files: Files
    var broken: [String] = []

    mutating func require(_ holds: Bool, _ law: String) {
        if !holds { broken.append(law) }
    }

    /// The code that a step fails with; `nil` where it succeeds.
    private func code(_ step: () throws(WeirError) -> Void) -> WeirError.Code? {
        do throws(WeirError) {
            try step()
            return nil
        } catch {
            return error.code
        }
    }

    mutating func checkNames() throws(WeirError) {
        require(
            code { () throws(WeirError) in _ = try files.open("a", .read) } == .notFound,
            "what is not there is not found")
        try files.close(try files.open("a", .createExclusive))
        require(
            code { () throws(WeirError) in _ = try files.open("a", .createExclusive) }
                == .alreadyExists,
            "a file is created once")
        require(try files.list("") == ["a"], "a new file is listed at once")
        try files.rename("a", to: "b")
        require(try files.list("") == ["b"], "a renamed file has its new name only")
        try files.close(try files.open("c", .createExclusive))
        try files.rename("c", to: "b")
        require(try files.list("") == ["b"], "renaming replaces the target")
        try files.removeFile("b")
        require(
            code { () throws(WeirError) in try files.removeFile("b") } == .notFound,
            "a file is removed once")
        require(
            code { () throws(WeirError) in _ = try files.open("x/y", .read) } == .notFound,
            "a file in a missing directory is not found")
        try files.syncDirectory("")
    }

    mutating func checkBytes() throws(WeirError) {
        let file = try files.open("bytes", .createExclusive)
        try files.writeAll(file, Array(1...200), at: .zero)
        try files.writeAll(file, [255, 254], at: FilePosition(10))
        try files.sync(file)
        var expected = [UInt8](1...200)
        expected[10...11] = [255, 254]
        require(
            try files.read(file, at: .zero, byteCount: 200) == expected,
            "what was written is read, the later over the earlier")
        require(
            try files.read(file, at: FilePosition(190), byteCount: 50) == Array(191...200),
            "reading ends at the file's end")
        require(
            try files.read(file, at: FilePosition(500), byteCount: 5).isEmpty,
            "behind the file's end there is nothing")
        let again = try files.open("bytes", .read)
        require(
            try files.read(again, at: .zero, byteCount: 200) == expected,
            "another opening reads the same")
        try files.dropCache(file)
        require(
            try files.read(file, at: .zero, byteCount: 200) == expected,
            "what was synced is on the medium")
        try files.close(again)
        try files.removeFile("bytes")
        require(
            try files.read(file, at: .zero, byteCount: 200) == expected,
            "a removed file lives as long as it is open")
        try files.close(file)
    }

    mutating func checkSizes() throws(WeirError) {
        let file = try files.open("sizes", .createExclusive)
        require(try files.size(of: file) == 0, "a new file is empty")
        try files.writeAll(file, [1, 2, 3], at: FilePosition(5000))
        require(try files.size(of: file) == 5003, "a write behind the end moves it")
        require(
            try files.read(file, at: FilePosition(4000), byteCount: 1000).allSatisfy { $0 == 0 },
            "bytes that nobody wrote are zeros")
        let data = try files.nextData(in: file, from: .zero)
        require(data.map { $0.value <= 5000 } ?? false, "no data is left out as a hole")
        require(
            try files.nextData(in: file, from: FilePosition(6000)) == nil,
            "behind the end there is no data")
        require(try files.allocatedBytes(of: file) >= 3, "bytes that are there occupy room")
        // Whether there is room for it or not, nothing is to be seen of it.
        _ = files.reserve(file, from: FilePosition(5003), to: FilePosition(64 << 10))
        require(try files.size(of: file) == 5003, "room that is set aside leaves the size")
        require(
            try files.read(file, at: FilePosition(5000), byteCount: 9) == [1, 2, 3],
            "room that is set aside leaves the bytes")
        try files.truncate(file, to: 5001)
        try files.truncate(file, to: 5003)
        require(
            try files.read(file, at: FilePosition(5000), byteCount: 3) == [1, 0, 0],
            "what was cut reads as zeros when the file grows again")
        try files.close(file)
        try files.removeFile("sizes")
    }

    mutating func checkMaps() throws(WeirError) {
        let file = try files.open("map", .createExclusive)
        try files.writeAll(file, [UInt8](repeating: 7, count: 8192), at: .zero)
        let map = try files.mapForPublishing(file, byteCount: 8192)
        try map.populate(0..<8192)
        require(map.isInMemory(4100..<8192), "what was brought in is in memory")
        try files.writeAll(file, [9], at: FilePosition(8191))
        require(
            unsafe map.bytes.unsafeLoad(fromByteOffset: 8191, as: UInt8.self) == 9,
            "a write shows in a map made before it")
        let word = unsafe map.bytes.unsafeLoadUnaligned(fromByteOffset: 64, as: UInt32.self)
        unsafe [1, 2, 3, 4].withUnsafeBytes { unsafe map.publish($0, at: 128, waking: 64) }
        require(
            unsafe map.bytes.unsafeLoadUnaligned(fromByteOffset: 64, as: UInt32.self) != word,
            "publishing changes the word that readers wait on")
        map.wait(while: word, at: 64, milliseconds: 60_000)
        require(!map.lostPages, "a whole file loses no pages")
        try files.close(file)
        try files.removeFile("map")
    }

    /// Whether a system can share or not, it says so.
    mutating func checkSharing() throws(WeirError) {
        let source = try files.open("source", .createExclusive)
        let copy = try files.open("copy", .createExclusive)
        try files.writeAll(source, Array(1...100), at: .zero)
        let expected: [UInt8] = files.clone(source, into: copy) ? Array(1...100) : []
        require(
            try files.read(copy, at: .zero, byteCount: 200) == expected,
            "a clone has the bytes of its source, or nothing was done")
        try files.writeAll(source, [255], at: .zero)
        require(
            try files.read(copy, at: .zero, byteCount: 200) == expected,
            "a clone stays as it was when its source changes")
        if try files.link("source", of: files, as: "second") {
            let found = code { () throws(WeirError) in
                try files.close(try files.open("second", .read))
                try files.removeFile("second")
            }
            require(found == nil, "a linked file has both names")
        }
        try files.close(source)
        try files.close(copy)
        try files.removeFile("source")
        try files.removeFile("copy")
    }

    mutating func checkDirectories() throws(WeirError) {
        try files.createDirectory("d")
        require(
            code { () throws(WeirError) in try files.createDirectory("d") } == .alreadyExists,
            "a directory is made once")
        try files.close(try files.open("d/f", .createExclusive))
        require(
            code { () throws(WeirError) in try files.removeDirectory("d") } != nil,
            "a directory with something in it is not removed")
        require(
            code { () throws(WeirError) in _ = try files.open("d", .read) } != nil,
            "a directory is no file")
        try files.syncDirectory("d")
        try files.removeFile("d/f")
        try files.removeDirectory("d")
        require(
            code { () throws(WeirError) in _ = try files.list("d") } == .notFound,
            "a removed directory is not found")
    }

    mutating func checkLocks() throws(WeirError) {
        let first = try files.open("lock", .createExclusive)
        let second = try files.open("lock", .readWrite)
        require(try !files.isLocked(second), "a new file has no lock")
        require(try files.lock(first), "a free lock is taken")
        require(try !files.lock(second), "a second opening does not get the lock")
        require(try files.isLocked(second), "a lock that is held is seen")
        // A classic lock of the process would go with any of its descriptors.
        try files.close(second)
        let third = try files.open("lock", .readWrite)
        require(try files.isLocked(third), "closing another opening leaves the lock")
        try files.close(first)
        require(try files.lock(third), "the lock goes with its opening")
        try files.close(third)
        try files.removeFile("lock")
    }
}
