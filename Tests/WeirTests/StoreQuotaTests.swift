import Testing
import WeirBase
import WeirFlow
import WeirFormat

@testable import Weir

@Suite("A store with a quota")
struct StoreQuotaTests {
    private let folder = TemporaryFolder()
    private static let value = [UInt8](repeating: 1, count: 10_000)

    private func open(_ policy: Quota.Policy = .failFast) throws -> (Store, [SyncWriter]) {
        let store = try Store.openBlocking(at: folder.path)
        store.pauseUpkeep()
        try store.setQuotaBlocking(Quota(bytesMax: 50_000, policy: policy))
        let writers = try ["a", "b"].map { name in
            try store.streamBlocking(name, creating: .init(durability: .flushed)).syncWriter()
        }
        return (store, writers)
    }

    /// Appends to one stream after the other until there is no room; gives how many there were.
    @discardableResult
    private func fill(_ writers: [SyncWriter]) throws -> Int {
        for count in 0..<100 {
            do throws(WeirError) {
                try writers[count % writers.count].append(value: Self.value)
            } catch {
                #expect(error.code == .noSpace)
                #expect(error.message.contains("streams of the store have"))
                #expect(error.message.contains("quota is 50000"))
                return count
            }
        }
        return 100
    }

    @Test func `counts its streams together`() throws {
        let (store, writers) = try open()
        #expect(try fill(writers) == 5)
        #expect(store.signalCount(.quotaReached) == 1)
        #expect(throws: WeirError.self) { try store.streamBlocking("a").enqueue(value: [1]) }
        let other = try store.streamBlocking("c", creating: .init()).syncWriter()
        #expect(throws: WeirError.self) { try other.append(value: [1]) }
        try store.closeBlocking()
    }

    @Test func `is the same store when it is opened again, and in a reader`() throws {
        let (store, writers) = try open(.wait)
        for _ in 0..<5 { try writers[0].append(value: Self.value) }
        let reader = try Store.openBlocking(at: folder.path, .read)
        #expect(reader.quota == Quota(bytesMax: 50_000, policy: .wait))
        #expect(throws: WeirError.self) { try reader.setQuotaBlocking(nil) }
        try reader.closeBlocking()
        try store.closeBlocking()
        let again = try Store.openBlocking(at: folder.path)
        #expect(again.quota == Quota(bytesMax: 50_000, policy: .wait))
        try again.setQuotaBlocking(Quota(bytesMax: 50_000))
        #expect(try fill([again.streamBlocking("b").syncWriter()]) == 0)
        #expect(again.reports == [])
        try again.closeBlocking()
    }

    @Test func `is not said to be reached where room came meanwhile`() throws {
        let (store, writers) = try open()
        try fill(writers)
        try store.setQuotaBlocking(nil)
        let committer = try #require(try store.streamBlocking("a").committer)
        #expect(committer.overQuota().message.contains("there is room by now"))
        try store.closeBlocking()
    }

    @Test(arguments: ["trim", "delete", "raise", "take away", "policy"])
    func `goes on when there is room`(by way: String) throws {
        let (store, writers) = try open()
        try fill(writers)
        let first = try store.streamBlocking("a")
        switch way {
        case "trim": try first.trimBlocking(before: .next)
        case "delete": try store.deleteStreamBlocking("a")
        case "raise": try store.setQuotaBlocking(Quota(bytesMax: 90_000))
        case "take away": try store.setQuotaBlocking(nil)
        default:
            try first.configureBlocking { $0.retention = RetentionPolicy(bytesMax: 1) }
            // Beside the active segment nothing is let go.
            try first.committer?.sealActive()
            try first.retainBlocking()
        }
        try writers[1].append(value: [1])
        try store.closeBlocking()
    }

    @Test func `goes on when a compaction made room`() throws {
        let store = try Store.openBlocking(at: folder.path)
        let stream = try store.streamBlocking(
            "a", creating: .init(durability: .flushed, compaction: CompactionPolicy()))
        let writer = try stream.syncWriter()
        for _ in 0..<5 { try writer.append(key: bytes("k"), value: Self.value) }
        try store.setQuotaBlocking(Quota(bytesMax: 50_000))
        #expect(throws: WeirError.self) { try writer.append(value: [1]) }
        try stream.compactBlocking(CompactionOptions(isNow: true))
        try writer.append(value: [1])
        try store.closeBlocking()
    }

    @Test(arguments: [true, false])
    func `has appends wait until another stream makes room`(byRaising: Bool) async throws {
        let (store, writers) = try open(.wait)
        for _ in 0..<5 { try writers[0].append(value: Self.value) }
        let first = try store.streamBlocking("a")
        let second = try store.streamBlocking("b")
        async let task = second.append(value: bytes("x"))
        async let thread = Task.detached { try writers[1].append(value: bytes("y")) }.value
        if byRaising {
            try await store.setQuota(Quota(bytesMax: 90_000, policy: .wait))
        } else {
            try await first.trim(before: .next)
        }
        #expect(try await [task.offset.value, thread.offset.value].sorted() == [0, 1])
        try store.closeBlocking()
    }

    @Test func `has a waiting thread go on or not, as whoever watches it says`() throws {
        let (store, writers) = try open(.wait)
        for _ in 0..<5 { try writers[0].append(value: Self.value) }
        let told = Lock<[String]>([])
        store.watchWaitingAppends { reason in
            told.withLock { told in
                told.append(reason)
                return told.count < 2
            }
        }
        #expect(throws: WeirError.self) { try writers[1].append(value: [1]) }
        #expect(told.withLock { $0.count } == 2)
        #expect(told.withLock { $0[0] }.contains("its quota is 50000. Let retention"))
        store.watchWaitingAppends { _ in
            _ = #expect(throws: Never.self) { try store.setQuotaBlocking(nil) }
            return true
        }
        #expect(try writers[1].append(value: [1]).offset == 0)
        try store.closeBlocking()
    }

    @Test(arguments: [50_000, 20_000])
    func `that becomes one that refuses is told to those who wait`(bytesMax: Int) throws {
        let (store, writers) = try open(.wait)
        for _ in 0..<5 { try writers[0].append(value: Self.value) }
        let told = Lock(0)
        store.watchWaitingAppends { _ in
            _ = #expect(throws: Never.self) {
                try store.setQuotaBlocking(Quota(bytesMax: bytesMax))
            }
            // Asked a second time, it would wait for ever.
            return told.withLock { told in
                told += 1
                return told == 1
            }
        }
        let error = #expect(throws: WeirError.self) { try writers[1].append(value: [1]) }
        #expect(error?.code == .noSpace)
        #expect(told.withLock { $0 } == 1)
        try store.closeBlocking()
    }

    @Test func `that changes again and again gives nobody a second timeout`() throws {
        let (store, writers) = try open(.wait)
        for _ in 0..<5 { try writers[0].append(value: Self.value) }
        let second = try store.streamBlocking("b")
        try second.setProducerPolicy(
            ProducerPolicy(admission: .wait(timeout: .milliseconds(300))))
        let told = Lock(0)
        // Asked ten times a second. Whoever waits is told to come again, and has no room.
        store.watchWaitingAppends { _ in
            let count = told.withLock { told in
                told += 1
                return told
            }
            _ = #expect(throws: Never.self) {
                try store.setQuotaBlocking(Quota(bytesMax: 40_000 + count, policy: .wait))
            }
            return count < 100
        }
        let error = #expect(throws: WeirError.self) { try writers[1].append(value: [1]) }
        #expect(error?.code == .noSpace)
        #expect(told.withLock { $0 } < 100)
        try store.closeBlocking()
    }

    @Test func `has whoever comes again wait until the same moment`() throws {
        let (store, writers) = try open(.wait)
        for _ in 0..<5 { try writers[0].append(value: Self.value) }
        let second = try store.streamBlocking("b")
        let committer = try #require(second.committer)
        func stand(_ passage: Committer.Passage) throws -> GateWait {
            let passes = WeirError(.system, "It does not wait.")
            let entry = try committer.enter(Credit(bytes: 1, records: 1), passage) {
                (_) throws(WeirError) in throw passes
            }
            guard case .atGate(let wait) = entry else { throw passes }
            return wait
        }
        for timeout in [Duration.seconds(70), nil] {
            try second.setProducerPolicy(ProducerPolicy(admission: .wait(timeout: timeout)))
            let first = try stand(.asks)
            #expect(first.patience.timeout == timeout)
            // Another policy is for those who come then.
            try second.setProducerPolicy(ProducerPolicy(admission: .wait(timeout: .seconds(5))))
            #expect(try stand(first.passage).patience == first.patience)
            try second.setProducerPolicy(ProducerPolicy(admission: .failFast))
            #expect(throws: WeirError.self) { try stand(first.passage) }
        }
        try store.closeBlocking()
    }

    @Test func `has appends wait no longer than their producer policy lets them`() async throws {
        let (store, writers) = try open(.wait)
        for _ in 0..<5 { try writers[0].append(value: Self.value) }
        let second = try store.streamBlocking("b")
        try second.setProducerPolicy(
            ProducerPolicy(admission: .wait(timeout: .milliseconds(20))))
        let error = await #expect(throws: WeirError.self) {
            try await second.append(value: bytes("x"))
        }
        #expect(error?.code == .noSpace)
        try second.setProducerPolicy(ProducerPolicy(admission: .failFast))
        #expect(try fill([writers[1]]) == 0)
        try store.closeBlocking()
    }

    @Test func `tells those who wait that the store closes, or their stream goes`() async throws {
        let (store, writers) = try open(.wait)
        for _ in 0..<5 { try writers[0].append(value: Self.value) }
        let second = try store.streamBlocking("b")
        let third = try store.streamBlocking("c", creating: .init())
        let waiting = Task { try await second.append(value: bytes("x")) }
        let going = Task { try await third.append(value: bytes("x")) }
        try await store.deleteStream("c")
        try await store.close()
        await #expect(throws: WeirError.self) { try await waiting.value }
        await #expect(throws: WeirError.self) { try await going.value }
    }

    @Test func `lets who waits be cancelled`() async throws {
        let (store, writers) = try open(.wait)
        for _ in 0..<5 { try writers[0].append(value: Self.value) }
        let second = try store.streamBlocking("b")
        let waiting = Task { try await second.append(value: bytes("x")) }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(second.endOffset == .zero)
        try store.closeBlocking()
    }

    @Test func `has a stream's own quota beside it`() throws {
        let (store, writers) = try open()
        try store.streamBlocking("a").configureBlocking(["quota.bytes=20000"])
        for _ in 0..<2 { try writers[0].append(value: Self.value) }
        let own = #expect(throws: WeirError.self) { try writers[0].append(value: [1]) }
        #expect(own?.message.contains("stream a has") == true)
        #expect(try fill([writers[1]]) == 3)
        try store.setQuotaBlocking(nil)
        #expect(throws: WeirError.self) { try writers[0].append(value: [1]) }
        try store.closeBlocking()
    }

    @Test func `does not hold back cursors`() throws {
        let (store, writers) = try open()
        try fill(writers)
        try store.streamBlocking("a").savedCursor("c").commitBlocking(upTo: Offset(1))
        try store.closeBlocking()
    }

    @Test(arguments: [0, -1, .max, .min])
    func `refuses what can be no quota, and makes no stream for it`(bytesMax: Int) throws {
        let store = try Store.openBlocking(at: folder.path)
        #expect(throws: WeirError.self) {
            try store.setQuotaBlocking(Quota(bytesMax: bytesMax))
        }
        #expect(store.quota == nil)
        #expect(store.streamNames.isEmpty)
        try store.closeBlocking()
    }

    @Test(arguments: [
        "linger=1", "quota.bytes", "quota.bytes=", "quota.bytes=-1", "quota.bytes=99999999T",
        "quota.policy=wait", "quota.policy=perhaps", "quota.colour=red", "=", "",
    ])
    func `refuses other words`(word: String) throws {
        try Store.openBlocking(at: folder.path).closeBlocking()
        #expect(throws: WeirError.self) { try Store.configure(storeAt: folder.path, [word]) }
        let store = try Store.openBlocking(at: folder.path, .read)
        #expect(store.quota == nil)
        try store.closeBlocking()
    }

    @Test func `is set through the process that writes`() throws {
        let store = try Store.openBlocking(at: folder.path)
        try Store.configure(storeAt: folder.path, ["quota.bytes=1k", "quota.policy=wait"])
        #expect(store.quota == Quota(bytesMax: 1024, policy: .wait))
        #expect(store.settingWords.map(\.value) == ["1024", "wait"])
        try Store.configure(storeAt: folder.path, ["quota.bytes=none"])
        #expect(store.quota == nil)
        try store.closeBlocking()
    }

    @Test func `is brought back by a restore`() throws {
        let backup = TemporaryFolder()
        let restored = TemporaryFolder()
        let (store, writers) = try open()
        try fill(writers)
        try store.closeBlocking()
        let reader = try Store.openBlocking(at: folder.path, .read)
        _ = try reader.backupBlocking(to: backup.path)
        try reader.closeBlocking()
        _ = try Store.restoreBlocking(from: backup.path, to: restored.path)
        let again = try Store.openBlocking(at: restored.path)
        #expect(again.quota == Quota(bytesMax: 50_000))
        #expect(try fill([again.streamBlocking("b").syncWriter()]) == 0)
        try again.closeBlocking()
    }
}

@Suite("A place under a store's quota")
struct QuotaAnswerTests {
    private let stream = StreamID(7)

    private func usage(_ bytesMax: Int?, _ policy: Quota.Policy) -> StoreUsage {
        var usage = StoreUsage()
        usage.count(10, of: stream)
        usage.quota = bytesMax.map { Quota(bytesMax: $0, policy: policy) }
        return usage
    }

    @Test(arguments: Quota.Policy.allCases, [true, false])
    func `is for those only who may wait, where the quota has them wait`(
        policy: Quota.Policy, mayWait: Bool
    ) {
        let over: QuotaAnswer = policy == .wait && mayWait ? .waits : .refused
        #expect(usage(10, policy).answer(mayWait: mayWait) == over)
        #expect(usage(11, policy).answer(mayWait: mayWait) == .room)
        #expect(usage(nil, policy).answer(mayWait: mayWait) == .room)
    }

    // The append asks                 somebody sets a quota that refuses
    //                            ◀──  before: it is refused, and stands nowhere
    // stands in the line
    //                            ◀──  behind: it is told, and asks again
    @Test(arguments: [true, false])
    func `is not taken unseen by a quota that refuses, whoever comes first`(
        changesFirst: Bool
    ) throws {
        let folder = TemporaryFolder()
        let store = try Store.openBlocking(at: folder.path)
        let writer = try store.streamBlocking("a", creating: .init(durability: .flushed))
            .syncWriter()
        try store.setQuotaBlocking(Quota(bytesMax: 1, policy: .wait))
        try writer.append(value: [1])
        let quota = store.flow.quota
        let told = Lock(0)
        func ask() -> QuotaAnswer { quota.ask(stream, mayWait: true) { told.withLock { $0 += 1 } } }
        if !changesFirst { #expect(ask() == .waits) }
        try store.setQuotaBlocking(Quota(bytesMax: 1))
        #expect(told.withLock { $0 } == (changesFirst ? 0 : 1))
        #expect(ask() == .refused)
        try store.setQuotaBlocking(nil)
        #expect(told.withLock { $0 } == (changesFirst ? 0 : 1))
        #expect(ask() == .room)
        try store.closeBlocking()
    }
}

@Suite("How long an append waits")
struct PatienceTests {
    private func moment(_ seconds: Int64) -> Moment { Moment(nanoseconds: seconds * 1_000_000_000) }

    @Test func `is what is left of its timeout since it began to, and never less than none`() {
        let patience = Patience(timeout: .seconds(5), from: moment(100))
        let left = [100, 103, 105, 999].map { patience.nanosecondsLeft(at: moment($0)) }
        #expect(left == [5_000_000_000, 2_000_000_000, 0, 0])
    }

    @Test func `is for ever without a timeout`() {
        #expect(Patience(timeout: nil, from: moment(1)).nanosecondsLeft(at: moment(9)) == nil)
    }
}

@Suite("What a store takes up")
struct StoreUsageTests {
    private func stream(_ number: UInt64) -> StreamID { StreamID(number) }

    @Test func `is the sum of what each stream was counted last`() {
        var usage = StoreUsage()
        usage.quota = Quota(bytesMax: 10)
        usage.count(4, of: stream(1))
        usage.count(5, of: stream(2))
        #expect(!usage.isOver)
        usage.count(5, of: stream(1))
        #expect(usage.usedBytes == 10)
        #expect(usage.isOver)
        usage.count(1, of: stream(2))
        #expect(usage.usedBytes == 6)
        usage.recount([(stream(3), 7)])
        #expect(usage.usedBytes == 7)
        usage.quota = Quota(bytesMax: 7)
        #expect(usage.isOver)
        usage.quota = nil
        #expect(!usage.isOver)
    }
}
