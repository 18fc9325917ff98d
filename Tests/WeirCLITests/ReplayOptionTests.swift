// An executable's inside can be tested in debug builds only.
#if DEBUG
    import Testing
    import Weir
    @testable import WeirCLI

    @Suite("The options of a replay")
    struct ReplayOptionTests {
        @Test(
            arguments: [
                ("max", .max), ("1x", .times(1)), ("60x", .times(60)), ("0.5x", .times(0.5)),
            ] as [(String, ReplaySpeed)])
        func `name a speed`(_ text: String, _ speed: ReplaySpeed) {
            #expect(SpeedArgument(argument: text)?.speed == speed)
        }

        @Test(arguments: ["", "x", "60", "-1x", "1 x", "0x10x", "nanx", "1e3x", "max x", "6.0.0x"])
        func `refuse what is no speed`(_ text: String) {
            #expect(SpeedArgument(argument: text) == nil)
        }

        @Test(arguments: [0, 1, 3, 5, 9])
        func `keep the last records, the oldest first`(_ count: Int) {
            var last = LastOnes<Int>(countMax: count)
            for number in 0..<5 { last.add(number) }
            #expect(Array(last.all) == Array((0..<5).suffix(count)))
        }
    }
#endif
