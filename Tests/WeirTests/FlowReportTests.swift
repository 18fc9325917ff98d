import Foundation
import Testing
import Weir
import WeirBase
import WeirFiles

/// A source with one figure.
private struct Figure: FlowSource {
    func add(to report: inout FlowReport, streams: Set<String>?) {
        report.budget.usedBytes += 7
        if streams == ["s"] { report.budget.waiting += 1 }
    }
}

@Suite("A report on flow control")
struct FlowReportTests {
    private let folder = TemporaryFolder()

    private func code(_ path: String, stream: String? = nil) -> WeirError? {
        do throws(WeirError) {
            _ = try Store.flowReport(ofStoreAt: path, stream: stream)
            return nil
        } catch {
            return error
        }
    }

    /// Leaves a socket behind, as a writer that was killed does.
    private func leaveSocket() throws {
        let store = try Store.openBlocking(at: folder.path)
        try store.closeBlocking()
        let path = folder.path
        let files = try RealFileSystem.openRoot(path, creating: false)
        let listener = try LocalSocket.listen("control", in: files)
        try files.rename("control", to: "stale")
        try listener.close()
        try files.rename("stale", to: "control")
    }

    @Test func `has what every source adds, until it is removed`() throws {
        let store = try Store.openBlocking(at: folder.path)
        let ids = [store.flowSources.register(Figure()), store.flowSources.register(Figure())]
        #expect(store.flowReport().budget.usedBytes == 14)
        #expect(store.flowReport(stream: "s").budget.waiting == 2)
        store.flowSources.remove(ids[0])
        #expect(store.flowReport().budget.usedBytes == 7)
        #expect(store.flowReport().timeMicroseconds > 0)
        try store.closeBlocking()
    }

    @Test func `comes through the socket as the writer has it`() throws {
        let store = try Store.openBlocking(at: folder.path)
        try store.createStreamBlocking("s", .init())
        _ = store.flowSources.register(Figure())
        #expect(try Store.flowReport(ofStoreAt: folder.path).budget.usedBytes == 7)
        #expect(try Store.flowReport(ofStoreAt: folder.path, stream: "s").budget.waiting == 1)
        let none = code(folder.path, stream: "t")
        #expect(none?.code == .notFound && none?.message.contains("no stream t") == true)
        #expect(code(folder.path, stream: "a/b")?.code == .invalidArgument)
        try store.closeBlocking()
    }

    @Test func `is about all partitions of a stream, in their order`() async throws {
        let store = try await Store.open(at: folder.path)
        let trips = try await store.partitionedStream("trips", creating: .init(partitions: 12))
        let other = try await store.stream("other", creating: .init())
        let subscriptions = try [10, 2, 9].map { partition in
            try trips.partitions[partition].subscribe(as: "billing")
        }
        let alone = try other.subscribe(as: "billing")
        for report in [
            store.flowReport(stream: "trips"),
            try Store.flowReport(ofStoreAt: folder.path, stream: "trips"),
        ] {
            #expect(report.partitions == 12)
            #expect(report.consumers.map(\.partition) == [2, 9, 10])
            #expect(report.gates.map(\.stream) == (0..<12).map { "trips-\($0)" })
        }
        #expect(store.flowReport(stream: "trips-9").consumers.map(\.partition) == [9])
        #expect(store.flowReport(stream: "trips-9").partitions == nil)
        withExtendedLifetime((subscriptions, alone)) {}
        try await store.close()
    }

    @Test func `tells a store without a writer from no store`() throws {
        #expect(code(folder.path)?.message.contains("There is no store at") == true)
        let store = try Store.openBlocking(at: folder.path)
        try store.closeBlocking()
        #expect(
            try !FileManager.default.contentsOfDirectory(atPath: folder.path).contains("control"))
        #expect(code(folder.path)?.message.contains("No writer has the store") == true)
        try leaveSocket()
        #expect(code(folder.path)?.message.contains("No writer has the store") == true)
    }

    @Test func `is served again after a writer was killed`() throws {
        try leaveSocket()
        let store = try Store.openBlocking(at: folder.path)
        #expect(store.reports.isEmpty)
        #expect(code(folder.path) == nil)
        try store.closeBlocking()
    }

    @Test func `is missing where a file is in the way, and the store is open all the same`() throws
    {
        try Store.openBlocking(at: folder.path).closeBlocking()
        try Data("mine".utf8).write(to: URL(filePath: folder.path + "/control"))
        let store = try Store.openBlocking(at: folder.path)
        #expect(store.reports.map(\.kind) == [.noControl])
        #expect(store.reports.allSatisfy { !$0.isDamage })
        #expect(store.reports.first?.description.contains("is not a socket") == true)
        let stream = try store.streamBlocking("s", creating: .init(durability: .flushed))
        var batch = Batch()
        let isAdded = batch.append(value: bytes("a"))
        #expect(isAdded)
        _ = try stream.syncWriter().append(&batch)
        #expect(code(folder.path)?.message.contains("is not a socket") == true)
        try store.closeBlocking()
        #expect(try String(contentsOfFile: folder.path + "/control", encoding: .utf8) == "mine")
    }

    @Test func `says so where a live writer has lost its socket`() throws {
        let store = try Store.openBlocking(at: folder.path)
        try FileManager.default.removeItem(atPath: folder.path + "/control")
        let error = code(folder.path)
        #expect(error?.code == .notFound)
        #expect(error?.message.contains("open for writing by process") == true, "\(error)")
        try store.closeBlocking()
    }

    @Test func `comes through a path that no address holds`() throws {
        let path = folder.path + "/" + String(repeating: "d", count: 200)
        try FileManager.default.createDirectory(
            atPath: folder.path, withIntermediateDirectories: true)
        let store = try Store.openBlocking(at: path)
        #expect(store.reports.isEmpty)
        #expect(code(path) == nil)
        try store.closeBlocking()
    }

    @Test func `ends with a store that nobody closed`() throws {
        var store: Store? = try Store.openBlocking(at: folder.path)
        #expect(store?.reports.isEmpty == true)
        store = nil
        // With the last of its threads, which may be in the middle of a look.
        var error = code(folder.path)
        while error == nil { error = code(folder.path) }
        #expect(error?.message.contains("No writer has the store") == true, "\(error)")
    }

    @Test func `is not served by a reader`() throws {
        try Store.openBlocking(at: folder.path).closeBlocking()
        let reader = try Store.openBlocking(at: folder.path, .read)
        #expect(code(folder.path)?.message.contains("No writer has the store") == true)
        #expect(reader.flowReport().consumers.isEmpty)
        try reader.closeBlocking()
    }
}
