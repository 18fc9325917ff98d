// An executable's inside can be tested in debug builds only.
#if DEBUG
    import ArgumentParser
    import Foundation
    import Testing
    import Weir
    @testable import WeirCLI

    @Suite("weir import")
    final class ImportCommandTests {
        private let folder = NSTemporaryDirectory() + "weir-import-" + UUID().uuidString

        init() throws {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
        }

        deinit {
            do { try FileManager.default.removeItem(atPath: folder) } catch { print(error) }
        }

        /// The archive of a stream with a record.
        private func archive() throws -> [UInt8] {
            let store = try Store.openBlocking(at: folder + "/source", .createOrWrite)
            let stream = try store.streamBlocking("s", creating: StreamConfiguration())
            try stream.syncWriter().append(value: [1])
            var export = try stream.exportArchive()
            var found: [UInt8] = []
            while case .bytes(let bytes) = try export.next() { found += bytes }
            try store.closeBlocking()
            return found
        }

        private func bring(_ bytes: [UInt8], named name: String, _ arguments: String...) throws {
            try Data(bytes).write(to: URL(filePath: folder + "/" + name))
            try run(["s", folder + "/" + name] + arguments)
        }

        private func run(_ arguments: [String]) throws {
            try ImportCommand.parse(arguments + ["--store", folder + "/target"]).run()
        }

        private func recordCount() throws -> Int {
            let store = try Store.openBlocking(at: folder + "/target", .read)
            let count = try store.streamBlocking("s").endOffset.value
            try store.closeBlocking()
            return Int(count)
        }

        private func expectRefusal(_ body: () throws -> Void) {
            #expect(throws: WeirError.self, performing: body)
            #expect(!FileManager.default.fileExists(atPath: folder + "/target"))
        }

        @Test func `makes nothing of a file that is no archive`() throws {
            let whole = try archive()
            let head = Int(whole[12]) + Int(whole[13]) << 8
            for count in [0, 1, 8, 15, 16, 71, head - 1] {
                expectRefusal { try bring(Array(whole.prefix(count)), named: "x.archive") }
            }
            for place in 0..<head {
                var altered = whole
                altered[place] ^= 0x55
                expectRefusal { try bring(altered, named: "x.archive") }
            }
            var random = SystemRandomNumberGenerator()
            for _ in 0..<20 {
                let bytes = (0..<1000).map { _ in UInt8.random(in: 0...255, using: &random) }
                expectRefusal { try bring(bytes, named: "x.archive") }
            }
        }

        @Test(arguments: ["x.ndjson", "x.csv"])
        func `makes nothing of text whose first record cannot be read`(name: String) throws {
            for text in ["garbage\n", "{}\n", "a,b\n1,2\n", "[1]", "{\"value\":", "\0\0\0"] {
                expectRefusal { try bring(Array(text.utf8), named: name) }
            }
            let error = #expect(throws: WeirError.self) {
                try bring(Array("a\"b\n".utf8), named: "x.csv")
            }
            #expect(error?.message.contains("--skip-bad") == false)
            let head = "offset,time,key,value,headers\n"
            expectRefusal { try bring(Array((head + "1,2\n").utf8), named: name) }
            expectRefusal { try run(["s", folder]) }
            expectRefusal { try run(["s", folder, "--format", "csv"]) }
        }

        @Test(arguments: [nil, "x.archive", "x.ndjson", "x.csv", "x"])
        func `takes an archive for one under any name`(_ name: String?) throws {
            try bring(archive(), named: name ?? "archive")
            #expect(try recordCount() == 1)
            #expect(throws: ValidationError.self) {
                try bring(archive(), named: "x", "--producer", "p")
            }
        }

        @Test func `takes text that begins as an archive does for text`() throws {
            expectRefusal { try bring(Array("WEIR".utf8), named: "x") }
            expectRefusal { try bring(Array("WEIRARC1".utf8), named: "x", "--format", "csv") }
        }

        @Test func `goes on where the same text was imported in part`() throws {
            let lines = (0..<5).map { "{\"value\":\"\($0)\"}\n" }
            for count in [1, 3, 5, 5] {
                let text = lines.prefix(count).joined()
                try bring(Array(text.utf8), named: "x.ndjson", "--producer", "p")
                #expect(try recordCount() == count)
            }
            try bring([], named: "empty.ndjson")
            #expect(try recordCount() == 5)
        }

        @Test func `takes nothing for text only where somebody says so`() throws {
            expectRefusal { try bring([], named: "empty") }
            expectRefusal { try bring([], named: "x.archive") }
            try bring([], named: "empty", "--format", "ndjson")
            #expect(try recordCount() == 0)
        }

        @Test(arguments: [1, 3, 100])
        func `looks ahead without taking anything`(chunkBytes: Int) throws {
            let path = folder + "/input"
            try Data("0123456789".utf8).write(to: URL(filePath: path))
            let source = try InputSource(path: path, chunkBytes: chunkBytes)
            #expect(try source.begins(with: [0x31]) == false)
            #expect(try source.begins(with: [0x30, 0x31]))
            #expect(try source.peek() == 0x30)
            source.skip()
            #expect(try source.peek(upTo: 4).elementsEqual("1234".utf8))
            #expect(source.bytesTaken == 1)
            #expect(try source.peek(upTo: 40).elementsEqual("123456789".utf8))
            var rest: [UInt8] = []
            while let piece = try source.piece() { rest += piece }
            #expect(rest == Array("123456789".utf8) && source.bytesTaken == 10)
            #expect(try source.peek(upTo: 1).isEmpty)
            #expect(try source.peek() == nil)
        }
    }
#endif
