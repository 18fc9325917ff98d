// An executable's inside can be tested in debug builds only.
#if DEBUG
    import Foundation
    import Testing
    import Weir
    @testable import WeirCLI

    @Suite("Records that are gathered")
    final class AppenderTests {
        private let folder = NSTemporaryDirectory() + "weir-appender-" + UUID().uuidString
        private let store: Store

        init() throws { store = try Store.openBlocking(at: folder) }

        deinit {
            do {
                try store.closeBlocking()
                try FileManager.default.removeItem(atPath: folder)
            } catch {
                print(error)
            }
        }

        /// With room for one record in a stream, or in one of two partitions.
        private func appender(isPartitioned: Bool) throws -> (Appender, full: LogStream) {
            let configuration = StreamConfiguration(durability: .flushed)
            var names = ["s"]
            if isPartitioned {
                let group = try store.partitionedStreamBlocking(
                    "s", creating: PartitionedConfiguration(partitions: 2, configuration))
                names = group.partitions.map(\.name.description)
            }
            let full = try store.streamBlocking(names[0], creating: configuration)
            try full.configureBlocking(["quota.bytes=1"])
            try full.syncWriter().append(value: [0])
            let appender = try Appender(
                "s", in: store, creating: configuration, producer: nil, batchRecords: 100)
            for number in 0..<4 {
                appender.beginRecord()
                try appender.append(TextRecord(value: Array("\(number)".utf8)), line: number)
            }
            return (appender, full)
        }

        @Test func `are not sent again when they were refused, even with room by then`() throws {
            let (appender, full) = try appender(isPartitioned: false)
            #expect(throws: WeirError.self) { try appender.flush() }
            try full.configureBlocking(["quota.bytes=none"])
            try appender.flush()
            #expect(appender.count == 0)
            #expect(full.endOffset == Offset(1))
        }

        @Test func `go to the other partitions where one refuses them`() throws {
            let (appender, full) = try appender(isPartitioned: true)
            #expect(throws: WeirError.self) { try appender.flush() }
            #expect(appender.count == 2)
            #expect(full.endOffset == Offset(1))
        }
    }

    @Suite("An append that waits")
    struct WaitingAppendTests {
        @Test(arguments: [false, true])
        func `tells of Ctrl-C only where that ended it`(isEnded: Bool) {
            let waiting = WaitingAppends()
            #expect(waiting.goesOn("There is no room.", ending: isEnded) == !isEnded)
            for code in [WeirError.Code.noSpace, .timedOut] {
                let cause = waiting.cause(of: WeirError(code, "There is no room."))
                #expect(cause is ExitRequest == isEnded)
            }
            #expect(waiting.cause(of: WeirError(.malformedInput, "Line 7.")) is WeirError)
        }
    }
#endif
