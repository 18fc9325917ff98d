import Foundation

/// The repository that these tests were built from.
enum Tree {
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Every file that a person wrote, by its path from the root.
    static func paths() throws -> [String] { try scanned.get() }

    private static let scanned = Result {
        let skipped = [".build", ".git", ".venv", ".demo", ".swiftpm", "__pycache__"]
        var paths: [String] = []
        var folders = [""]
        while let folder = folders.popLast() {
            let names = try FileManager.default.contentsOfDirectory(
                atPath: root.appending(path: folder).path)
            for name in names.sorted() {
                let path = folder.isEmpty ? name : folder + "/" + name
                var isFolder: ObjCBool = false
                let place = root.appending(path: path).path
                // A link that leads nowhere is not there.
                guard FileManager.default.fileExists(atPath: place, isDirectory: &isFolder)
                else { continue }
                if !isFolder.boolValue {
                    paths.append(path)
                } else if name == ".gitignore" || !skipped.contains(where: name.hasPrefix) {
                    folders.append(path)
                }
            }
        }
        return paths.sorted()
    }

    /// The file's text; nil if it is no text.
    static func text(_ path: String) throws -> String? {
        String(data: try Data(contentsOf: root.appending(path: path)), encoding: .utf8)
    }

    /// The Swift files, taken apart once for all rules.
    static func sources() throws -> [SwiftSource] { try parsed.get() }

    private static let parsed = Result {
        let roots = ["Sources/", "Tests/", "Benchmarks/", "Package.swift"]
        return try paths()
            .filter { path in path.hasSuffix(".swift") && roots.contains(where: path.hasPrefix) }
            .compactMap { path in try text(path).map { SwiftSource(path: path, text: $0) } }
    }

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appending(path: path).path)
    }

    /// What git prints; nil where the tree is no clone, as in a released archive.
    static func git(_ arguments: String...) throws -> String? {
        guard exists(".git") else { return nil }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["git", "-C", root.path] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return process.terminationStatus == 0 ? String(decoding: bytes, as: UTF8.self) : nil
    }
}
