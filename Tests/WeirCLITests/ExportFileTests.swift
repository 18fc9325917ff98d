// An executable's inside can be tested in debug builds only.
#if DEBUG
    import ArgumentParser
    import Foundation
    import Testing
    import Weir
    @testable import WeirCLI

    @Suite("A file that is exported")
    final class ExportFileTests {
        private let folder = NSTemporaryDirectory() + "weir-export-" + UUID().uuidString

        init() throws {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
        }

        deinit {
            do { try FileManager.default.removeItem(atPath: folder) } catch { print(error) }
        }

        @Test func `has a name`() {
            #expect(throws: (any Error).self) { try ExportCommand.parse(["s", "-o", ""]) }
        }

        @Test func `has no folder where its checksum goes`() throws {
            let path = folder + "/x.csv"
            try FileManager.default.createDirectory(
                atPath: path + ".sha256", withIntermediateDirectories: true)
            let error = #expect(throws: WeirError.self) {
                try ExportFile(path, isResuming: false, isSummed: true)
            }
            #expect(error?.message.contains("is not the checksum of") == true)
        }

        @Test(arguments: [false, true])
        func `that vanishes meanwhile leaves no checksum`(isReplaced: Bool) throws {
            let path = folder + "/x.ndjson"
            let file = try ExportFile(path, isResuming: false, isSummed: true)
            try file.sumUp(behind: 0)
            try file.output.write { $0 += Array("{\"value\":\"1\"}\n".utf8) }
            #expect(unlink(path + ".partial") == 0)
            if isReplaced { try Data("other".utf8).write(to: URL(filePath: path + ".partial")) }
            let error = #expect(throws: WeirError.self) { try file.finish() }
            #expect(error?.message.contains("removed or replaced while it was written") == true)
            let left = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(left == (isReplaced ? ["x.ndjson.partial"] : []))
        }
    }
#endif
