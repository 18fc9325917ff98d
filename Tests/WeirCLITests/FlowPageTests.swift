// An executable's inside can be tested in debug builds only.
#if DEBUG
    import Foundation
    import Testing
    import Weir
    @testable import WeirCLI

    private func report(
        consumers: Int = 0, seconds: Int = 0, signals: Int = 0, name: String = "billing",
        partitions: Int? = nil
    ) throws -> FlowReport {
        let stretch = #"[0,500,250,0,0,0,0,0,0,0,0,250]"#
        let consumer = """
            {"name":"\(name)","stream":"orders","mode":"adaptive","variant":"adaptive+prefetch",
            "releasedOffset":7,"lagRecords":12345,"windowBytes":4194304,"windowRecords":100,
            "queuedBytes":1048576,"queuedRecords":10,"leasedBytes":2097152,"keptBytes":0,
            "leaseMicroseconds":2100000,
            "shareBytes":33554432,"isWaiting":true,"occupancy":[\(stretch),\(stretch)],
            "occupancyMilliseconds":1000}
            """
        let all = Array(repeating: consumer, count: consumers).joined(separator: ",")
        let count = partitions.map(String.init) ?? "null"
        let json = """
            {"timeMicroseconds":\(seconds * 1_000_000),"partitions":\(count),
            "budget":{"totalBytes":268435456,"reservedBytes":0,"usedBytes":0,"waiting":0},
            "consumers":[\(all)],
            "gates":[{"stream":"orders","isOpen":false,"usedBytes":1024,"usedRecords":4,
            "limitBytes":2048,"limitRecords":8,"waiting":3}],
            "latencies":[{"stream":"orders","variant":"baseline","what":"append to delivery",
            "count":9,"p50":850,"p90":2100,"p99":99960,"p999":1200000,"p9999":1,"max":2}],
            "signals":[{"kind":"exhausted","stream":"orders","consumer":"billing","variant":"",
            "count":\(signals),"lastMicroseconds":0}]}
            """
        return try JSONDecoder().decode(FlowReport.self, from: Data(json.utf8))
    }

    private func page(
        _ report: FlowReport, _ previous: FlowReport? = nil, width: Int = 120, height: Int? = nil
    ) -> [String] {
        FlowPage(
            report: report, previous: previous, stream: "orders", store: "s", width: width,
            height: height
        ).lines
    }

    @Suite("The page of weir flow")
    struct FlowPageTests {
        @Test func `shows a consumer's place, window and bar`() throws {
            let line = try #require(
                page(try report(consumers: 1), width: 127).first { $0.hasPrefix("billing") })
            for part in ["adaptive+prefetch", "12,345", "4.0 MiB", "75 %", "13 %", "2.1 s", "yes"] {
                #expect(line.contains(part), "\(line)")
            }
            let queued = line.filter { $0 == "▒" }.count
            let leased = line.filter { $0 == "█" }.count
            let free = line.filter { $0 == "·" }.count
            #expect(queued > 0 && leased == 2 * queued && free == queued)
        }

        @Test func `darkens where more of the time was spent`() throws {
            let heat = page(try report(consumers: 1)).filter { $0.contains("▏") }
            #expect(heat.map { $0.suffix(2) } == ["▒▒", "  ", "  ", "██"])
            #expect(heat.first?.contains("over") == true)
        }

        @Test(arguments: [20, 40, 60, 80, 100, 120, 200], [3, 5, 10, 20, 24, 40, 100])
        func `fits every terminal`(width: Int, height: Int) throws {
            for consumers in [0, 1, 3, 50] {
                let lines = page(
                    try report(consumers: consumers), width: width, height: height)
                #expect(lines.count <= height)
                #expect(lines.allSatisfy { $0.count <= width })
                #expect(lines.first?.hasPrefix("weir flow") == true)
            }
        }

        @Test func `says how many it leaves out`() throws {
            let lines = page(try report(consumers: 50), height: 30)
            let shown = lines.filter { $0.hasPrefix("billing") }.count
            #expect(shown > 3)
            #expect(lines.contains("  … and \(50 - shown) more"))
        }

        @Test func `counts signals by the second between two reports`() throws {
            let earlier = try report(seconds: 10, signals: 100)
            let later = try report(seconds: 14, signals: 150)
            let line = try #require(page(later, earlier).first { $0.hasPrefix("exhausted") })
            #expect(line.contains("150") && line.contains(" 12.5 "))
            let first = try #require(page(later).first { $0.hasPrefix("exhausted") })
            #expect(first.contains(" - "))
        }

        @Test func `lets no name speak to the terminal`() throws {
            let lines = page(try report(consumers: 1, name: #"a\#u{5C}u001b[2J\#u{5C}nb"#))
            #expect(lines.contains { $0.hasPrefix("a?[2J?b") })
            #expect(!lines.joined().unicodeScalars.contains { $0.value < 32 })
        }

        @Test func `sums up the partitions of a stream`() throws {
            let read = page(try report(consumers: 2, partitions: 4))
            let words = "4 partitions, 1 read, 24,690 records behind in all, most in orders: 12,345"
            #expect(read.contains(words))
            #expect(page(try report(partitions: 4)).contains("4 partitions"))
            #expect(!page(try report(consumers: 2)).contains { $0.contains("partitions") })
        }

        @Test func `shows what is missing as missing`() throws {
            let lines = page(try report())
            #expect(lines.contains("no consumer reads in the writing process"))
            #expect(lines.contains { $0.hasPrefix("orders  CLOSED") && $0.hasSuffix("-") })
        }

        @Test func `gives times in the unit that suits`() {
            let times = [0, 850, 2100, 99_960, 1_200_000, 3_600_000_000].map(FlowPage.duration)
            #expect(times == ["0 µs", "850 µs", "2.1 ms", "100 ms", "1.2 s", "3600 s"])
        }
    }
#endif
