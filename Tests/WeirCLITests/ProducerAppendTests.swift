// An executable's inside can be tested in debug builds only.
#if DEBUG
    import ArgumentParser
    import Foundation
    import Testing
    import Weir
    @testable import WeirCLI

    @Suite("weir append --producer")
    final class ProducerAppendTests {
        private let folder = NSTemporaryDirectory() + "weir-producer-" + UUID().uuidString

        init() throws {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
        }

        deinit {
            do { try FileManager.default.removeItem(atPath: folder) } catch { print(error) }
        }

        /// Writes a file and appends it.
        private func append(_ text: String, _ arguments: String...) throws {
            let path = folder + "/input"
            try Data(text.utf8).write(to: URL(filePath: path))
            let command = ["s", path, "--store", folder + "/store"] + arguments
            try AppendCommand.parse(command).run()
        }

        private func values() throws -> [String] {
            let store = try Store.openBlocking(at: folder + "/store", .read)
            var cursor = try store.streamBlocking("s").cursor(from: .first)
            var found: [String] = []
            while case .batch = try cursor.next() {
                var records = cursor.records
                while let record = records.next() {
                    let value = record.copy().value ?? []
                    found.append(String(decoding: value, as: UTF8.self))
                }
            }
            try store.closeBlocking()
            return found
        }

        private func lines(_ range: ClosedRange<Int>) -> String {
            range.map { "\($0)\n" }.joined()
        }

        @Test func `appends an input once, of which a part was sent before`() throws {
            try append(lines(1...250), "--producer", "p", "--batch", "100")
            try append(lines(1...1000), "--producer", "p", "--batch", "70")
            try append(lines(1...1000), "--producer", "p")
            #expect(try values() == (1...1000).map(String.init))
        }

        @Test func `appends another producer's input whole`() throws {
            try append(lines(1...3), "--producer", "p")
            try append(lines(1...2), "--producer", "q")
            try append(lines(1...1))
            #expect(try values() == ["1", "2", "3", "1", "2", "1"])
        }

        @Test func `goes on behind a malformed line that was mended`() throws {
            func objects(_ second: String) -> String {
                "{\"value\":\"1\"}\n\(second)\n{\"value\":\"3\"}\n"
            }
            #expect(throws: WeirError.self) {
                try append(objects("{"), "--producer", "p", "--format", "ndjson")
            }
            #expect(try values() == ["1"])
            try append(objects("{\"value\":\"2\"}"), "--producer", "p", "--format", "ndjson")
            #expect(try values() == ["1", "2", "3"])
        }

        @Test func `counts a malformed line that is skipped`() throws {
            let text = "{\"value\":\"1\"}\n{\n{\"value\":\"3\"}\n"
            for _ in 0..<2 {
                try append(text, "--producer", "p", "--format", "ndjson", "--skip-bad")
            }
            #expect(try values() == ["1", "3"])
        }

        @Test func `refuses a name that is none`() throws {
            let error = #expect(throws: WeirError.self) { try append("1\n", "--producer", "") }
            #expect(error?.code == .invalidArgument)
        }
    }
#endif
