import Foundation
import Testing
import Weir
import WeirTesting

@Suite("A replay by header")
struct HeaderReplayTests {
    private let folder = TemporaryFolder()
    private static let values: [HeaderValue] = [
        "UA", .symbol("UA"), 5, .unsigned(5), "5", 5.5, 0.0, -0.0, true, "true", .null, "",
        .bytes([85, 65]), .bytes([]), .timestamp(milliseconds: 5), .uuid(high: 0, low: 5),
        "caf\u{E9}", "cafe\u{301}",
    ]

    private func append(_ random: inout SeededRandom, to stream: LogStream) async throws {
        var batch = Batch()
        for number in 0...random.below(300) {
            var headers: Headers = ["number": .int(Int64(number))]
            for name in ["carrier", "origin", "carrier"] where !random.oneIn(3) {
                headers.append(name, Self.values[random.below(Self.values.count)])
            }
            _ = try batch.append(
                key: random.oneIn(2) ? bytes("k") : nil, headers: headers, value: bytes("v"))
        }
        try await stream.append(&batch)
    }

    private func answer(_ records: consuming KeyedRecords) throws -> ([UInt64], String?) {
        var records = records
        var found: [UInt64] = []
        while case .record(let record) = try records.next() { found.append(record.offset.value) }
        return (found, records.scanReason)
    }

    /// To be told apart: `==` takes two zeros, and two spellings of a letter, for one.
    private func exact(_ value: HeaderValue) -> String {
        switch value {
        case .string(let text): "string \(Array(text.utf8))"
        case .double(let number): "double \(number)"
        default: "\(value) \(Mirror(reflecting: value).children.first?.label ?? "")"
        }
    }

    private func check(_ stream: LogStream, scanned: Bool, _ name: String = "carrier") throws {
        let all = try stream.all()
        for value in Self.values {
            let expected = all.filter { record in
                record.headers.contains { $0.name == name && exact($0.value) == exact(value) }
            }.map(\.offset.value)
            let (found, reason) = try answer(stream.records(header: name, equalTo: value))
            #expect(found == expected, "\(exact(value))")
            #expect((reason != nil) == scanned, "\(reason ?? "by the index")")
        }
        for text in ["UA", "5", "true", "0.0", "null", "2 bytes", ""] {
            let expected = all.filter { record in
                record.headers.contains { header in
                    if case .bytes = header.value { return false }
                    return header.name == name && header.value.description == text
                }
            }.map(\.offset.value)
            let (found, _) = try answer(stream.records(header: name, printedAs: text))
            #expect(found == expected, "\(text)")
        }
    }

    @Test(arguments: [true, false])
    func `gives what a walk over the stream gives`(keyIndex: Bool) async throws {
        var random = SeededRandom(seed: 7)
        var store = try await Store.open(at: folder.path)
        let configuration = StreamConfiguration(
            durability: .flushed, keyIndex: keyIndex, indexedHeaders: ["carrier", "number"])
        let stream = try await store.stream("s", creating: configuration)
        for _ in 0..<12 { try await append(&random, to: stream) }
        try check(stream, scanned: false)
        try check(stream, scanned: true, "origin")
        try await store.close()

        store = try await Store.open(at: folder.path, .read)
        let again = try await store.stream("s")
        #expect(again.configuration.indexedHeaders == ["carrier", "number"])
        #expect(store.indexReport().lag == 0)
        try check(again, scanned: false)
        #expect(try (answer(again.records(key: "k")).1 == nil) == keyIndex)
        try await store.close()

        try FileManager.default.removeItem(atPath: folder.path + "/index-1.sqlite")
        store = try await Store.open(at: folder.path, .read)
        try check(try await store.stream("s"), scanned: true)
        try await store.close()
    }

    @Test func `is refused by no stream, and needs no more than its name`() async throws {
        let store = try await Store.open(at: folder.path)
        let stream = try await store.stream("s", creating: .init())
        try await stream.append(key: "k", value: bytes("v"))
        let (found, reason) = try answer(stream.records(header: "carrier", equalTo: "UA"))
        #expect(found == [])
        #expect(reason == "the stream's header carrier is not indexed")
        try await store.close()
    }

    @Test func `needs names that can be kept`() async throws {
        let store = try await Store.open(at: folder.path)
        let names = (0..<9).map { "header \($0)" }
        let error = await #expect(throws: WeirError.self) {
            try await store.stream("s", creating: .init(indexedHeaders: names))
        }
        #expect(error?.message.contains("is 9; expected at most 8") == true)
        try await store.close()
    }
}
