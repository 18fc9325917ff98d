// An executable's inside can be tested in debug builds only.
#if DEBUG
    import Foundation
    import Testing
    import Weir

    @testable import WeirCLI

    @Suite("A table of groups")
    struct GroupTableTests {
        @Test func `has a row a partition, with what an operator has to know first`() throws {
            func partition(_ number: Int, _ rest: String) -> String {
                """
                {"partition":\(number),"stream":"o-\(number)","endOffset":9,"deliveredRecords":0,
                "deliveredBytes":0,"recordsPerSecond":2.6,\(rest)}
                """
            }
            let working =
                #""member":"a","isAtWork":true,"hasLapsed":false,"leaseMilliseconds":7400,"#
                + #""committedOffset":4,"lagRecords":5,"lagBytes":2048,"lagMicroseconds":90000000"#
            let lapsed = #""member":"a","isAtWork":true,"hasLapsed":true"#
            let moving = #""member":"a","next":"b","isAtWork":true,"hasLapsed":false"#
            let free = #""isAtWork":false,"hasLapsed":false"#
            let json = """
                {"stream":"o","group":"g","variant":"lag","leaseMilliseconds":10000,"members":[],
                "partitions":[
                \(partition(0, working)),\(partition(1, lapsed)),
                \(partition(2, moving)),\(partition(3, free))]}
                """
            let report = try JSONDecoder().decode(GroupReport.self, from: Data(json.utf8))
            let lines = GroupListCommand.table([report]).split(separator: "\n").map {
                $0.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
            }
            #expect(lines.count == 5)
            #expect(lines[1].hasPrefix("o-0 g a working 7 s 4 5 2"))
            #expect(lines[1].hasSuffix("90 s 3 lag"))
            #expect(lines[2] == "o-1 g a lapsed - - - - - 3 lag")
            #expect(lines[3] == "o-2 g a moving - - - - - 3 lag")
            #expect(lines[4] == "o-3 g - free - - - - - 3 lag")
        }
    }
#endif
