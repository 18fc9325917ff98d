// An executable's inside can be tested in debug builds only.
#if DEBUG
    import Foundation
    import Testing
    import Weir
    @testable import WeirCLI

    @Suite("Simulated loads")
    struct FlowSimulateTests {
        private let folder = URL(
            filePath: NSTemporaryDirectory() + "weir-flow-" + UUID().uuidString,
            directoryHint: .isDirectory)

        /// A program's tree with a script that does what `text` says.
        private func makeScript(_ text: String) throws -> URL {
            let tools = folder.appending(path: "tree/tools", directoryHint: .isDirectory)
            try FileManager.default.createDirectory(at: tools, withIntermediateDirectories: true)
            let script = tools.appending(path: "flow-plots")
            try Data("#!/bin/sh\n\(text)\n".utf8).write(to: script)
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o755], ofItemAtPath: script.path)
            return script
        }

        private func message(_ work: () throws -> Void) -> String {
            do {
                try work()
                return ""
            } catch {
                return "\(error)"
            }
        }

        @Test func `leave their numbers as JSON and have them drawn`() throws {
            defer { remove(folder) }
            let script = try makeScript("echo \"$1\" > \"$2/seen\"")
            let output = folder.appending(path: "new/output", directoryHint: .isDirectory)
            try FlowSimulate.run(
                output: output.path, patterns: ["bimodal"], seed: 3, script: script)
            let data = try Data(contentsOf: output.appending(path: "flow.json"))
            let runs = try #require(
                try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
            #expect(runs.map { $0["policy"] as? String } == ["adaptive", "2 batches", "64 MiB"])
            #expect((runs[0]["windowBytes"] as? [Int])?.count == 120)
            #expect(FileManager.default.fileExists(atPath: output.appending(path: "seen").path))
        }

        @Test func `say where the numbers are when there is no script, or it fails`() throws {
            defer { remove(folder) }
            let data = folder.appending(path: "flow.json")
            let missing = message { try FlowPlots.draw(data, into: folder, script: nil) }
            #expect(missing.contains(data.path) && missing.contains("no tools/flow-plots"))
            let script = try makeScript("exit 3")
            let failed = message { try FlowPlots.draw(data, into: folder, script: script) }
            #expect(failed.contains(data.path) && failed.contains("status 3"))
        }

        @Test func `find the script in the nearest folder above the program`() throws {
            defer { remove(folder) }
            let script = try makeScript("")
            let program = folder.appending(path: "tree/.build/debug/weir")
            #expect(FlowPlots.script(above: program)?.path == script.path)
            #expect(FlowPlots.script(above: URL(filePath: "/weir")) == nil)
        }

        @Test func `are refused where the folder cannot be made, or no pattern has the name`()
            throws
        {
            defer { remove(folder) }
            let file = try makeScript("")
            let blocked = message {
                try FlowSimulate.run(output: file.path, patterns: ["steady"], seed: 1, script: nil)
            }
            #expect(blocked.contains("could not be made"))
            let unknown = message {
                try FlowSimulate.run(output: folder.path, patterns: ["spice"], seed: 1, script: nil)
            }
            #expect(unknown.contains("no load pattern spice; there are steady, spike"))
        }

        private func remove(_ folder: URL) {
            do {
                try FileManager.default.removeItem(at: folder)
            } catch {
                Issue.record("\(error)")
            }
        }
    }
#endif
